//! `mergevit run --json` on a pipe: frames in, records out.
#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::common::{Fixture, HEIGHT, WIDTH, raw_frames, start};
use mergevit_kernels::frame::PixelFormat;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};

pub(crate) struct Piped {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Piped {
    /// With these arguments more. Its first record is not read yet.
    pub(crate) fn start(fixture: &Fixture, arguments: &[&str]) -> Self {
        let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
        run.arg("--json").args(arguments);
        let mut child = start(run.stdin(Stdio::piped()));
        Self {
            stdin: child.stdin.take().expect("a pipe"),
            stdout: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// Number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stdin.write_all(frames)
    }

    /// Writes one frame, always the same.
    pub(crate) fn write_frame(&mut self) -> io::Result<()> {
        self.write(&raw_frames(PixelFormat::Grey, 1))
    }

    /// The next record; nothing once the program has ended, perhaps in the middle of one.
    pub(crate) fn record(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        read.expect("the output is text");
        serde_json::from_str(&line).ok()
    }

    /// Ends the frames, and returns the records that are left; the program has to succeed.
    pub(crate) fn finish(mut self) -> Vec<Value> {
        drop(self.stdin);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let parse = |line: &str| serde_json::from_str(line).expect("a record");
        rest.lines().map(parse).collect()
    }

    /// Ends the frames; how it ended, and what it said.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        drop(self.stdin);
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut text).expect("errors are text");
        (self.child.wait().expect("it ends"), text)
    }
}
