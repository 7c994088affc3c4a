//! Packs whose file changes while they are in use.
#![cfg(target_os = "linux")]

use mergevit_runtime::{Defect, Engine, Pack, PackChanged, pack, testing};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

fn written(seed: u64) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("m.mvit");
    let writer = testing::writer(&testing::tiny(), &[0], seed);
    writer.finish(&path).expect("the pack is written");
    // Some file systems tell times in milliseconds: what follows is later than this.
    let past = SystemTime::now() - Duration::from_secs(60);
    let file = File::open(&path).expect("it opens");
    file.set_modified(past).expect("the time is set");
    (folder, path)
}

fn writable(path: &Path) -> File {
    let file = OpenOptions::new().write(true).open(path);
    file.expect("the pack opens")
}

#[test]
fn what_is_done_to_its_names_does_not_change_a_pack() {
    let (folder, path) = written(1);
    let pack = Pack::open(&path).expect("a valid pack");
    assert_eq!(pack.path(), Some(path.as_path()));
    assert_eq!((pack.check(), pack.is_replaced()), (Ok(()), false));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
    let link = folder.path().join("link.mvit");
    fs::hard_link(&path, &link).expect("a second name");
    fs::remove_file(&link).expect("removed");
    assert_eq!((pack.check(), pack.is_replaced()), (Ok(()), false));
    let moved = folder.path().join("moved.mvit");
    fs::rename(&path, &moved).expect("renamed");
    assert_eq!((pack.check(), pack.is_replaced()), (Ok(()), false));
    let writer = testing::writer(&testing::tiny(), &[0], 2);
    writer.finish(&moved).expect("renamed over");
    assert_eq!((pack.check(), pack.is_replaced()), (Ok(()), true));

    let embedded = testing::pack(&testing::tiny(), &[0], 1);
    assert_eq!((embedded.check(), embedded.is_replaced()), (Ok(()), false));
    assert_eq!(embedded.path(), None);
}

#[test]
fn every_way_to_write_into_a_pack_is_noticed() {
    let (_folder, path) = written(1);
    let open = || Pack::open(&path).expect("a valid pack");

    let first = open();
    let length = first.len() as u64;
    let mut file = writable(&path);
    file.seek(SeekFrom::End(-1)).expect("a seek");
    file.write_all(&[0]).expect("a byte");
    assert_eq!(first.check(), Err(PackChanged::Modified));

    // Who writes and then puts the time back is betrayed by the header.
    let (_folder, path) = written(1);
    let second = Pack::open(&path).expect("a valid pack");
    let time = path.metadata().and_then(|m| m.modified()).expect("a time");
    let other = testing::bytes(&testing::tiny(), &[0], 2);
    assert_eq!(other.len() as u64, length);
    fs::write(&path, &other[..]).expect("written");
    writable(&path).set_modified(time).expect("the time is set");
    assert_eq!(second.check(), Err(PackChanged::Header));

    for found in [length + 1, length - 1, 0] {
        let (_folder, path) = written(1);
        let pack = Pack::open(&path).expect("a valid pack");
        writable(&path).set_len(found).expect("a new length");
        let expected = length;
        assert_eq!(pack.check(), Err(PackChanged::Size { found, expected }));
    }
}

#[test]
fn checking_a_changed_pack_says_what_is_the_matter() {
    let size = PackChanged::Size {
        found: 100,
        expected: 9,
    };
    let text = Defect::Changed(size).to_string();
    assert_eq!(text, "changed while in use: it has 100 bytes, and had 9");
}

/// A file that somebody writes to all the time either opens as one pack or is refused.
#[test]
fn an_engine_is_never_made_of_two_packs() {
    let (_folder, path) = written(1);
    let packs: [_; 2] = std::array::from_fn(|seed| {
        let seed = seed as u64 + 1;
        testing::bytes(&testing::tiny(), &[0], seed)
    });
    let pixels = vec![7; testing::tiny().image_bytes()];
    let bits = |logits: &[f32]| -> Vec<u32> { logits.iter().map(|x| x.to_bits()).collect() };
    let expected = [1, 2].map(|seed| {
        let pack = testing::pack(&testing::tiny(), &[0], seed);
        let mut engine = Engine::options()
            .backend("reference")
            .build(pack)
            .expect("made");
        bits(engine.classify_pixels(&pixels).expect("it runs").logits())
    });
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = writable(&path);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for bytes in &packs {
                    use std::os::unix::fs::FileExt;
                    // Longer than a file system's clock takes for a step.
                    std::thread::sleep(Duration::from_millis(15));
                    file.write_all_at(bytes, 0).expect("written");
                }
            }
        });
        for _ in 0..200 {
            let Ok(mut engine) = Engine::options().backend("reference").load(&path) else {
                continue;
            };
            let answer = bits(engine.classify_pixels(&pixels).expect("it runs").logits());
            if engine.pack().check().is_ok() {
                assert!(expected.contains(&answer));
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Names the pack to a process that is to die of a bus error.
const VICTIM: &str = "MERGEVIT_TEST_VICTIM";

#[test]
fn a_bus_error_names_the_truncated_pack() {
    if let Some(path) = std::env::var_os(VICTIM) {
        victim(Path::new(&path));
    }
    let (_folder, path) = written(1);
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", "a_bus_error_names_the_truncated_pack"])
        .env(VICTIM, &path)
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = format!("error: {}: was truncated while in use", path.display());
    assert!(stderr.contains(&expected), "{stderr}");
    assert_eq!(output.status.signal(), Some(7), "{:?}", output.status);
}

/// Reads a pack behind its end.
fn victim(path: &Path) -> ! {
    pack::explain_bus_errors().expect("a handler");
    let other = Pack::open(path).expect("a valid pack");
    let pack = Pack::open(path).expect("a valid pack");
    drop(other);
    writable(path).set_len(0).expect("truncated");
    let sum: f32 = pack
        .tensor_f32(mergevit_runtime::TensorKind::HeadScale, None)
        .expect("every model has it")
        .iter()
        .sum();
    unreachable!("the sum is {sum}");
}
