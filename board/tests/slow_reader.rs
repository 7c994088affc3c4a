//! Who reads standard output slowly: holds up files, and loses records of what does not wait, which it is told.
#![cfg(target_os = "linux")]

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Fixture, HEIGHT, WIDTH, start, text};
use mergevit_kernels::frame::PixelFormat;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::time::Duration;

/// More records than the pipe and the ring have room for.
const FRAMES: u64 = 3000;

/// A run whose records nobody reads at first.
fn unread(fixture: &Fixture, source: &str, arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut run = fixture.source(source);
    let mut child = start(run.arg("--json").args(arguments));
    let stdout = child.stdout.take().expect("a pipe");
    std::thread::sleep(Duration::from_millis(500));
    (child, BufReader::new(stdout))
}

fn parse(line: std::io::Result<String>) -> Value {
    let record = serde_json::from_str(&line.expect("text")).expect("a record");
    schema::events(std::slice::from_ref(&record));
    record
}

#[test]
fn of_what_does_not_wait_each_record_is_there_or_lost() {
    let fixture = Fixture::new();
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:/dev/zero");
    let (mut child, stdout) = unread(&fixture, &source, &["--latest"]);
    let mut records = stdout.lines().map(parse);
    assert_eq!(records.next().expect("a start")["event"], "start");
    let (mut next, mut all_lost) = (0, 0);
    while all_lost == 0 || next < FRAMES {
        let record = records.next().expect("the run goes on");
        if record["event"] == "lost" {
            let lost = record["records"].as_u64().expect("a count");
            all_lost += lost;
            next += lost;
        } else {
            assert_eq!(record["frame"], next);
            next += 1;
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn of_a_file_nothing_is_lost() {
    let fixture = Fixture::new();
    let bytes = FRAMES as usize * PixelFormat::Grey.frame_bytes(WIDTH, HEIGHT);
    let path = fixture.write("frames", &vec![7; bytes]);
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:{}", text(&path));
    let (mut child, stdout) = unread(&fixture, &source, &[]);
    let records: Vec<Value> = stdout.lines().map(parse).collect();
    assert_eq!(records.len() as u64, FRAMES + 2);
    for (index, record) in records[1..=FRAMES as usize].iter().enumerate() {
        assert_eq!(
            (&record["frame"], &record["sequence"]),
            (&index.into(), &index.into())
        );
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
