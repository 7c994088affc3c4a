//! Records are read as they were written, and compared.

use super::operations::compare::Comparison;
use super::operations::record::{CHECK, Machine, Measurement, Record, SCHEMA};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn measurement(operation: &str, backend: &str, ns: [f64; 3]) -> Measurement {
    Measurement {
        operation: operation.into(),
        shape: "197x768".into(),
        backend: backend.into(),
        threads: 2,
        macs: 100,
        bytes: 200,
        bursts: 10,
        min_ns: ns[0],
        median_ns: ns[1],
        p90_ns: ns[2],
        peak_share: Some(0.5),
        check: CHECK.into(),
    }
}

fn record(measurements: Vec<Measurement>) -> Record {
    Record {
        schema: SCHEMA,
        date: "2026-11-24T18:30:05Z".into(),
        commit: Some("0123456789abcdef-dirty".into()),
        rustc: None,
        profile: "bench".into(),
        machine: Machine {
            processor: "Test".into(),
            architecture: "x86_64".into(),
            cores: 2,
            instruction_sets: vec!["cpu/avx2".into(), "cpu/portable".into()],
            device: None,
        },
        threads: 2,
        seconds: 0.5,
        peaks: BTreeMap::from([("cpu/avx2".into(), 3e11)]),
        measurements,
    }
}

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

#[test]
fn what_is_written_is_read() {
    let directory = directory("records");
    let first = record(vec![measurement("qkv", "cpu/avx2", [1.0, 1.5, 2.25])]);
    let path = first.write(&directory).unwrap();
    assert!(path.ends_with("2026-11-24T1830-avx2.json"));
    assert_eq!(Record::read(&path).unwrap(), first);
    // Nothing is overwritten, and a GPU gives its name.
    let again = first.write(&directory).unwrap();
    assert!(again.ends_with("2026-11-24T1830-avx2-2.json"));
    let both = ["cpu/avx2", "cuda"].map(|name| measurement("qkv", name, [1.0; 3]));
    let path = record(both.into()).write(&directory).unwrap();
    assert!(path.ends_with("2026-11-24T1830-cuda.json"));
}

#[test]
fn other_files_are_refused() {
    let directory = directory("refused records");
    let path = record(Vec::new()).write(&directory).unwrap();
    let json = fs::read_to_string(&path).unwrap();
    let refusal = |text: &str| {
        fs::write(&path, text).unwrap();
        let refused = Record::read(&path).unwrap_err().to_string();
        let rest = refused.strip_prefix(&format!("{}: ", path.display()));
        rest.expect("the file's name first").to_owned()
    };
    let newer = json.replace("\"schema\": 1", "\"schema\": 2");
    assert_eq!(refusal(&newer), "schema 2, expected 1");
    // Another schema may have other fields: its version is looked at first.
    assert_eq!(refusal("{\"schema\": 7}"), "schema 7, expected 1");
    let renamed = json.replace("\"seconds\"", "\"minutes\"");
    assert!(refusal(&renamed).starts_with("not a record: unknown field `minutes`"));
    assert!(refusal("[]").starts_with("not a record: "));
    let missing = Record::read(Path::new("no such file")).unwrap_err();
    assert!(missing.to_string().starts_with("no such file: "));
}

/// The records that are checked in can still be read.
#[test]
fn kept_records_are_read() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/records");
    for entry in fs::read_dir(kept).unwrap() {
        let record = Record::read(&entry.unwrap().path()).unwrap();
        assert!(record.measurements.iter().all(|m| m.check == CHECK));
    }
}

#[test]
fn rows_are_sorted_by_ratio_and_marked_beyond_both_spreads() {
    let before = record(vec![
        measurement("same", "cpu/avx2", [90.0, 100.0, 120.0]),
        measurement("noisy", "cpu/avx2", [90.0, 100.0, 200.0]),
        measurement("slower", "cpu/avx2", [98.0, 100.0, 102.0]),
        measurement("faster", "cpu/avx2", [98.0, 100.0, 102.0]),
        measurement("gone", "cpu/avx2", [1.0; 3]),
    ]);
    let after = record(vec![
        measurement("same", "cpu/avx2", [90.0, 110.0, 115.0]),
        measurement("noisy", "cpu/avx2", [45.0, 50.0, 55.0]),
        measurement("slower", "cpu/avx2", [105.0, 110.0, 112.0]),
        measurement("faster", "cpu/avx2", [75.0, 80.0, 90.0]),
        measurement("faster", "cpu/portable", [1.0; 3]),
    ]);
    let text = Comparison::new(&before, &after).to_string();
    let words = text.lines().map(|line| line.split(' ').next().unwrap());
    let want = ["operation", "noisy", "faster", "same", "slower", "2"];
    assert_eq!(words.collect::<Vec<_>>(), want, "{text}");
    let line = |word: &str| text.lines().find(|line| line.starts_with(word)).unwrap();
    assert!(line("faster").ends_with(" 0.800  faster"), "{text}");
    assert!(line("slower").ends_with(" 1.100  slower"), "{text}");
    assert!(line("noisy").ends_with(" 0.500"), "{text}");
    assert!(line("same").ends_with(" 1.100"), "{text}");
    assert!(line("2 of 4 changed").ends_with("2 measurements are in one record only"));
}

#[test]
fn a_record_equals_itself() {
    let one = record(vec![measurement("qkv", "cuda", [5.0; 3])]);
    let text = Comparison::new(&one, &one).to_string();
    assert!(text.contains(" 1.000\n"), "{text}");
    assert!(text.contains("\n0 of 1 changed"), "{text}");
}

#[test]
fn other_differences_are_named() {
    let before = record(Vec::new());
    let mut after = before.clone();
    after.machine.cores = 4;
    after.rustc = Some("rustc 2.0".into());
    after.profile = "dev".into();
    let text = Comparison::new(&before, &after).to_string();
    for note in [
        "note: the records are of different machines\n",
        "note: the records are of different compilers\n",
        "note: the second record is of a dev build\n",
    ] {
        assert!(text.contains(note), "{text}");
    }
}
