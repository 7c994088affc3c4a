//! Where results go: files, standard output, pipes and devices, open, closed or full.

mod common;

use common::{data, set, succeed};
use mergevit_runtime::Pack;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a shell script in `folder`, where `$calibrate` is the program and `$set` the test set.
fn shell(folder: &Path, script: &str) -> Output {
    Command::new("sh")
        .args(["-c", script])
        .env("calibrate", env!("CARGO_BIN_EXE_mergevit-calibrate"))
        .env("set", set("test"))
        .current_dir(folder)
        .output()
        .expect("there is a shell")
}

/// The same; it must exit with `code`, and no program in it may panic. Its standard output and error.
fn script(folder: &Path, script: &str, code: i32) -> (String, String) {
    let output = shell(folder, script);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let errors = text(output.stderr);
    assert_eq!(output.status.code(), Some(code), "{script}: {errors}");
    assert!(!errors.contains("panicked"), "{script}: {errors}");
    (text(output.stdout), errors)
}

/// A folder with a small pack of random weights, `m.mvit`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let args = "pack --random-weights vit_tiny_patch16_64 --observer minmax --output %m.mvit";
    succeed(folder.path(), args);
    folder
}

const EVALUATE: &str = "$calibrate evaluate -m m.mvit -i $set --limit 2";
const PACK: &str = "$calibrate pack --random-weights vit_tiny_patch16_64 --observer minmax";

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn is_report(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|report| report["images"] == 2)
}

#[test]
fn results_are_on_standard_output_and_all_else_on_standard_error() {
    let folder = folder();
    let path = folder.path();
    let (out, errors) = script(path, &format!("{PACK} -o again.mvit"), 0);
    assert_eq!(out, "again.mvit\n");
    for what in [
        "observing 0/8",
        "quantizing 12/12 in ",
        "vit_tiny_patch16_64: 64 x 64 pixels, 12 layers, 1000 classes",
        "calibrated on 8 images of 8 random frames, observer minmax",
        "r0        17 to 17",
        "next: mergevit inspect again.mvit\n",
    ] {
        assert!(errors.contains(what), "no {what:?} in {errors}");
    }
    let hash = Pack::open(&path.join("again.mvit")).unwrap().hash();
    assert!(errors.contains(&hash), "{errors}");
    assert_eq!(
        script(path, &format!("{PACK} -q -o quiet.mvit"), 0),
        ("quiet.mvit\n".into(), String::new())
    );
    let (out, errors) = script(path, EVALUATE, 0);
    assert!(out.contains("top-1 %") && out.contains("r0"), "{out}");
    assert!(errors.contains("measuring 0/2\n") && errors.contains("measuring 2/2 in"));
    let (out, errors) = script(path, &format!("{EVALUATE} --quiet"), 0);
    assert!(out.contains("top-1 %") && errors.is_empty(), "{errors}");
    let (_, errors) = script(path, &format!("{EVALUATE} -v"), 0);
    assert!(errors.contains("INFO"), "{errors}");
}

#[test]
fn a_hyphen_and_names_of_standard_output_are_standard_output() {
    let folder = folder();
    let path = folder.path();
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let (out, errors) = script(path, &format!("{EVALUATE} --json {name}"), 0);
        assert!(is_report(&out), "{name}: {out}");
        assert!(errors.contains("top-1 %"), "{name}: {errors}");
    }
    for redirection in [
        "--json - > r.json",
        "--json /dev/stdout > r.json",
        "--json r.json > r.json",
    ] {
        script(path, &format!("{EVALUATE} {redirection}"), 0);
        let text = fs::read_to_string(path.join("r.json")).unwrap();
        assert!(is_report(&text), "{redirection}: {text}");
    }
    script(
        path,
        &format!("echo first > log; {EVALUATE} --json /dev/stdout >> log"),
        0,
    );
    let text = fs::read_to_string(path.join("log")).unwrap();
    assert!(
        text.strip_prefix("first\n").is_some_and(is_report),
        "{text}"
    );
    let (out, _) = script(path, &format!("{EVALUATE} --report - --json r.json"), 0);
    assert!(out.starts_with("<!doctype html>") && out.ends_with("</html>\n"));
    // A pack and logits, too, byte for byte.
    for (command, expected) in [(PACK.to_owned(), "m.mvit"), (forward(), "g")] {
        if expected == "g" {
            script(path, &format!("{command} -o g"), 0);
        }
        let (_, errors) = script(path, &format!("{command} -o - > copy"), 0);
        assert!(fs::read(path.join("copy")).unwrap() == fs::read(path.join(expected)).unwrap());
        assert!(!errors.contains("next:"), "{errors}");
    }
    assert_eq!(names(path), ["copy", "g", "log", "m.mvit", "r.json"]);
}

/// Runs the small checkpoint on its own pixels.
fn forward() -> String {
    format!(
        "$calibrate forward -c {} --pixels {}",
        data("garments").display(),
        data("garments-goldens.safetensors").display()
    )
}

#[test]
fn links_pipes_and_devices_stay_what_they_are() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("v1.json"), "old").unwrap();
    symlink("v1.json", path.join("link.json")).unwrap();
    symlink("/dev/full", path.join("full")).unwrap();
    script(path, &format!("{EVALUATE} --json link.json"), 0);
    assert!(is_report(
        &fs::read_to_string(path.join("v1.json")).unwrap()
    ));
    let (_, errors) = script(path, &format!("{EVALUATE} --json full"), 1);
    assert!(errors.contains("full: cannot write: No space"), "{errors}");
    let (_, errors) = script(path, &format!("{PACK} --output full"), 1);
    assert!(errors.contains("full: cannot write: No space"), "{errors}");
    let piped = format!("mkfifo pipe; cat pipe > piped & {EVALUATE} --json pipe && wait");
    script(path, &piped, 0);
    assert!(is_report(&fs::read_to_string(path.join("piped")).unwrap()));
    script(
        path,
        &format!("cat pipe > piped & {PACK} --output pipe && wait"),
        0,
    );
    Pack::open(&path.join("piped")).unwrap();
    let all = ["full", "link.json", "m.mvit", "pipe", "piped", "v1.json"];
    assert_eq!(names(path), all);
    let is_link = |name| fs::symlink_metadata(path.join(name)).unwrap().is_symlink();
    assert!(is_link("full") && is_link("link.json"));
    assert!(!fs::metadata(path.join("pipe")).unwrap().is_file());
}

#[test]
fn a_full_standard_output_is_a_failure() {
    let folder = folder();
    let forward = forward();
    for command in [
        EVALUATE,
        &format!("{EVALUATE} --json -"),
        &format!("{PACK} -o again.mvit"),
        &format!("{PACK} -o -"),
        &format!("{forward} -o -"),
        "$calibrate --help",
        "$calibrate --version",
        "$calibrate pack --help",
    ] {
        let (_, errors) = script(folder.path(), &format!("{command} > /dev/full"), 1);
        assert!(
            errors.contains("standard output: cannot write: No space"),
            "{command}: {errors}"
        );
    }
}

#[test]
fn a_reader_that_went_away_is_no_failure_once_the_work_is_done() {
    let folder = folder();
    // The program starts after the reader has gone.
    let gone = |command: &str| format!("({command}; echo $? > code) | true; cat code");
    for command in [
        EVALUATE,
        &format!("{EVALUATE} --json - --report r.html"),
        &format!("{PACK} -o again.mvit"),
        "$calibrate --help",
    ] {
        let command = format!("sleep 0.1; {command}");
        let (code, errors) = script(folder.path(), &gone(&command), 0);
        assert_eq!(code, "0\n", "{command}: {errors}");
        assert!(!errors.contains("error"), "{command}: {errors}");
    }
    for name in ["r.html", "again.mvit"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    // A pack that nobody read is lost.
    let (code, errors) = script(folder.path(), &gone(&format!("sleep 0.1; {PACK} -o -")), 0);
    assert_eq!(code, "1\n", "{errors}");
    assert!(errors.contains("standard output: cannot write"), "{errors}");
}

#[test]
fn nobody_needs_to_read_standard_error() {
    let folder = folder();
    for (command, code) in [
        (EVALUATE, 0),
        (&format!("{PACK} -v -o again.mvit"), 0),
        (&format!("{EVALUATE} --backend abacus"), 2),
        ("$calibrate evaluate -m nowhere.mvit -i $set", 1),
        ("$calibrate nonsense", 2),
    ] {
        for redirection in ["2>&-", "2>/dev/full"] {
            script(folder.path(), &format!("{command} {redirection}"), code);
        }
    }
    for closed in ["<&- >&- 2>&-", "<&- 2>&-", ">&- 2>&-"] {
        script(
            folder.path(),
            &format!("{EVALUATE} --json r.json {closed}"),
            0,
        );
        let text = fs::read_to_string(folder.path().join("r.json")).unwrap();
        assert!(is_report(&text), "{closed}: {text}");
        fs::remove_file(folder.path().join("r.json")).unwrap();
    }
}

#[test]
fn a_file_that_may_not_grow_leaves_the_old_one() {
    let folder = folder();
    fs::write(folder.path().join("old.mvit"), "old").unwrap();
    // In blocks of 512 bytes; other shells count 1024.
    let limited = |before: &str| format!("{before} ulimit -f 4; {PACK} -o old.mvit 2>&1 | cat");
    let (out, _) = script(folder.path(), &limited("trap '' XFSZ;"), 0);
    assert!(
        out.contains("old.mvit: cannot write: File too large"),
        "{out}"
    );
    // Without the trap, the system kills the program.
    script(folder.path(), &limited(""), 0);
    assert_eq!(fs::read(folder.path().join("old.mvit")).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["m.mvit", "old.mvit"]);
}

#[test]
fn the_report_says_what_was_measured_and_every_key_is_documented() {
    let folder = folder();
    script(
        folder.path(),
        &format!("{EVALUATE} --json r.json --report r.html"),
        0,
    );
    let text = fs::read_to_string(folder.path().join("r.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let pack = Pack::open(&folder.path().join("m.mvit")).unwrap();
    assert_eq!(report["pack"], "m.mvit");
    assert_eq!(report["pack_hash"], pack.hash());
    assert_eq!(report["checkpoint_hash"], pack.provenance().checkpoint_hash);
    assert_eq!(report["labelled"], 2);
    assert!(
        report["tool"]
            .as_str()
            .unwrap()
            .starts_with("mergevit-calibrate ")
    );
    let date = report["date"].as_str().unwrap();
    assert!(
        date.len() == 20 && date.ends_with('Z') && date.as_bytes()[10] == b'T',
        "{date}"
    );
    let page = fs::read_to_string(folder.path().join("r.html")).unwrap();
    for what in [
        &pack.hash(),
        "m.mvit",
        "2 images of test-images.idx3.gz, all labelled",
        date,
    ] {
        assert!(page.contains(what), "no {what} in {page}");
    }
    let readme = include_str!("../README.md");
    let mut keys = Vec::new();
    collect(&report, &mut keys);
    for key in keys {
        assert!(
            readme.contains(&format!("`{key}`")),
            "the README does not name {key}"
        );
    }
}

fn collect(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            keys.push(key.clone());
            collect(value, keys);
        }),
        Value::Array(values) => values.iter().for_each(|value| collect(value, keys)),
        _ => {}
    }
}

#[test]
fn a_closed_standard_output_is_seen_by_the_process_that_holds_it() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_mergevit-calibrate"))
        .args([
            "evaluate",
            "-m",
            "m.mvit",
            "-i",
            &set("test"),
            "--limit",
            "2",
        ])
        .current_dir(folder.path())
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}
