//! Interrupts while the program loads, waits or runs.
#![cfg(unix)]

mod common;

use common::{Fixture, HEIGHT, WIDTH, raw_frames, start, text};
use mergevit_kernels::frame::PixelFormat;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

fn send(signal: i32, child: &Child) {
    let id = child.id().to_string();
    let kill = Command::new("kill")
        .args([&format!("-{signal}"), &id])
        .status();
    assert!(kill.expect("kill runs").success());
}

/// `mergevit run` with the arguments on frames from a pipe, up to its first record: the loop is about to run, and has
/// no frame yet.
fn waiting(
    fixture: &Fixture,
    arguments: &[&str],
) -> (Child, ChildStdin, BufReader<ChildStdout>, String) {
    let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
    let mut child = start(run.arg("--json").args(arguments).stdin(Stdio::piped()));
    let stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    stdout.read_line(&mut first).expect("a record comes");
    (child, stdin, stdout, first)
}

/// A summary as JSON, after which there is nothing.
fn summary(mut stdout: BufReader<ChildStdout>) -> serde_json::Value {
    let mut rest = String::new();
    stdout
        .read_to_string(&mut rest)
        .expect("the output is text");
    serde_json::from_str(&rest).expect("one record")
}

#[test]
fn an_interrupt_before_the_first_frame_is_no_failure() {
    for signal in [SIGINT, SIGTERM] {
        let fixture = Fixture::new();
        let (mut child, stdin, stdout, first) = waiting(&fixture, &["--quiet"]);
        assert!(first.contains(r#""event":"start""#), "{first}");
        send(signal, &child);
        let summary = summary(stdout);
        assert_eq!(summary["event"], "summary");
        assert_eq!(summary["frames"], 0);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        let mut stderr = String::new();
        let mut errors = child.stderr.take().expect("a pipe");
        errors.read_to_string(&mut stderr).expect("errors are text");
        assert_eq!(stderr, "");
        drop(stdin);
    }
}

/// A run on endless frames, whose records nobody reads.
fn unread(fixture: &Fixture) -> (Child, ChildStdout) {
    let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:/dev/zero"));
    let mut child = start(run.args(["--json", "--top", "5"]));
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("the start comes");
    // Time to fill the pipe.
    std::thread::sleep(Duration::from_millis(500));
    (child, stdout)
}

/// One is enough. What was not written is said.
#[test]
fn an_interrupt_ends_a_loop_whose_records_nobody_reads() {
    for signal in [SIGINT, SIGTERM] {
        let fixture = Fixture::new();
        let (mut child, stdout) = unread(&fixture);
        send(signal, &child);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(1), "{status}");
        let mut stderr = String::new();
        let mut errors = child.stderr.take().expect("a pipe");
        errors.read_to_string(&mut stderr).expect("errors are text");
        assert!(stderr.contains("because nobody reads there"), "{stderr}");
        drop(stdout);
    }
}

/// Two end the process, whatever it does.
#[test]
fn a_second_interrupt_does_not_wait() {
    let fixture = Fixture::new();
    let (mut child, stdout) = unread(&fixture);
    // Two that come at once may count as one.
    let status = loop {
        send(SIGINT, &child);
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
    };
    assert!(matches!(status.code(), Some(1 | 130)), "{status}");
    drop(stdout);
}

/// What `nohup` does: a program that starts with SIGHUP ignored goes on ignoring it.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let fixture = Fixture::new();
    let run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP TERM; exec \"$@\"", "sh"]);
    shell
        .arg(run.get_program())
        .args(run.get_args())
        .arg("--json");
    let mut child = start(shell.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the start comes");
    for signal in [SIGHUP, SIGTERM] {
        send(signal, &child);
        let frame = raw_frames(PixelFormat::Grey, 1);
        stdin.write_all(&frame).expect("the program reads");
        line.clear();
        stdout.read_line(&mut line).expect("a record comes");
        assert!(line.contains(r#""event":"frame""#), "{line}");
    }
    drop(stdin);
    assert_eq!(summary(stdout)["frames"], 2);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// A pipe without data makes the program wait before the loop runs.
#[test]
fn waiting_for_a_pipe_can_be_interrupted() {
    let fixture = Fixture::new();
    let pipe = fixture.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let source = format!("y4m:{}", text(&pipe));
    for signal in [SIGINT, SIGTERM] {
        let mut child = start(&mut fixture.source(&source));
        // Opening a pipe waits for its reader, so the program has come this far.
        let writer = OpenOptions::new().write(true).open(&pipe);
        let mut writer = writer.expect("the pipe opens");
        send(signal, &child);
        // A program that has not ended goes on with this.
        let _ = writer.write_all(&raw_frames(PixelFormat::Grey, 1));
        drop(writer);
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(signal), "{status}");
    }
}
