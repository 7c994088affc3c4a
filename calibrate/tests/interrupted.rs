//! A process that is ended leaves what it found.

#[expect(dead_code, reason = "these tests start the program in their own way")]
mod common;

use common::{data, set};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Starts the program in `folder`, and waits until it says `moment`.
fn start(folder: &Path, args: &[&str], moment: &str) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mergevit-calibrate"))
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(moment) {
        let count = errors.read_line(&mut said).unwrap();
        assert_ne!(count, 0, "{moment:?} is never said: {said}");
    }
    // It goes on writing there.
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    child
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success());
}

/// Interrupts a measurement with `signal`: what of a pack there is then is only in memory.
fn interrupt_measurement(folder: &Path, name: &str) -> ExitStatus {
    let (checkpoint, calibration, test) = (
        data("garments").display().to_string(),
        set("calibration"),
        set("test"),
    );
    let args = [
        "pack",
        "-c",
        &checkpoint,
        "-i",
        &calibration,
        "--limit",
        "1",
        "-o",
        "m.mvit",
    ];
    let more = ["--observer", "minmax", "--measure", &test];
    let mut child = start(folder, &[&args[..], &more].concat(), "measuring 0/");
    signal(&child, name);
    child.wait().unwrap()
}

#[test]
fn an_interrupted_measurement_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["INT", "TERM", "HUP"] {
        let status = interrupt_measurement(folder.path(), name);
        assert_eq!(status.code(), Some(130), "{name}: {status}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_killed_measurement_leaves_nothing_and_the_old_pack() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.mvit"), "old").unwrap();
    let status = interrupt_measurement(folder.path(), "KILL");
    assert_eq!(status.signal(), Some(9));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(folder.path().join("m.mvit")).unwrap(), b"old");
}

#[test]
fn signals_that_were_to_be_ignored_stay_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' HUP; $calibrate pack --random-weights vit_tiny_patch16_64 \
                  --observer minmax -o m.mvit & sleep 0.2; kill -HUP $!; wait $!";
    let status = Command::new("sh")
        .args(["-c", script])
        .env("calibrate", env!("CARGO_BIN_EXE_mergevit-calibrate"))
        .current_dir(folder.path())
        .output()
        .unwrap()
        .status;
    assert!(status.success(), "{status}");
    assert!(folder.path().join("m.mvit").exists());
}
