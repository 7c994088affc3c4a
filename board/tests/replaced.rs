//! What becomes of a run whose pack is written to, truncated or replaced.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/piped.rs"]
mod piped;

use common::{Fixture, config};
use mergevit_runtime::testing;
use piped::Piped;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const SIGBUS: i32 = 7;

/// `mergevit run` on a pipe, one frame at a time.
struct Run(Piped);

impl Run {
    fn new(fixture: &Fixture) -> Self {
        let mut piped = Piped::start(fixture, &[]);
        let first = piped.record().expect("a record");
        assert_eq!(first["event"], "start");
        Self(piped)
    }

    /// The classes of one frame, always the same; nothing once the program has ended.
    fn frame(&mut self) -> Option<serde_json::Value> {
        // The program may have ended before it reads the frame.
        let _ = self.0.write_frame();
        let record = self.0.record()?;
        (record["event"] == "frame").then(|| record["top"].clone())
    }

    /// How it ended, and what it said.
    fn end(self) -> (ExitStatus, String) {
        self.0.end()
    }
}

/// Another model of the same shape.
fn other() -> Vec<u8> {
    testing::bytes(&config(), &[0, 3], 8).to_vec()
}

#[test]
fn a_pack_that_is_overwritten_ends_the_run_before_a_wrong_answer() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture);
    let first = run.frame();
    assert!(first.is_some());
    let whole = other();
    assert_eq!(
        fixture.model().metadata().expect("it is there").len(),
        whole.len() as u64
    );
    // Without truncating it first: the run would say that, if it looked in between.
    let file = OpenOptions::new().write(true).open(fixture.model());
    let written = file.and_then(|mut file| file.write_all(&whole));
    written.expect("the pack is written");
    assert_eq!(run.frame(), None, "an answer of another model");
    let (status, stderr) = run.end();
    assert_eq!(status.code(), Some(1), "{stderr}");
    for part in [
        "m.mvit: changed while in use: it was written to",
        "hint: never write into",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
}

#[test]
fn a_single_byte_written_in_place_ends_the_run() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture);
    assert!(run.frame().is_some());
    let mut file = OpenOptions::new().write(true).open(fixture.model());
    let file = file.as_mut().expect("the pack opens");
    file.write_all(b"\x89")
        .expect("the byte that is there is written");
    assert_eq!(run.frame(), None);
    assert_eq!(run.end().0.code(), Some(1));
}

#[test]
fn a_truncated_pack_is_named() {
    for left in [0, 100] {
        let fixture = Fixture::new();
        let mut run = Run::new(&fixture);
        assert!(run.frame().is_some());
        let file = OpenOptions::new().write(true).open(fixture.model());
        file.expect("the pack opens")
            .set_len(left)
            .expect("it is truncated");
        assert_eq!(run.frame(), None);
        let (status, stderr) = run.end();
        // The loop may see the new length before the engine meets the end of the file.
        let expected = match status.code() {
            Some(code) => {
                assert_eq!(code, 1, "{stderr}");
                format!("m.mvit: changed while in use: it has {left} bytes, and had ")
            }
            None => {
                assert_eq!(status.signal(), Some(SIGBUS), "{stderr}");
                "m.mvit: was truncated while in use".into()
            }
        };
        assert!(stderr.contains(&expected), "{stderr}");
        assert!(stderr.contains("hint: never write into"), "{stderr}");
    }
}

#[test]
fn a_pack_that_is_renamed_over_leaves_the_run_as_it_was() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture);
    let first = run.frame();
    assert!(first.is_some());
    let new = fixture.write("new.mvit", &other());
    std::fs::rename(new, fixture.model()).expect("a rename");
    // Until the run has said that it knows.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(run.frame(), first);
    let (status, stderr) = run.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("the pack was replaced or removed"),
        "{stderr}"
    );
    let mut next = Run::new(&fixture);
    assert_ne!(next.frame(), first, "the next run takes the new pack");
}
