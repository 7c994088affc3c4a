//! A client of a run's socket, written from its description alone.
#![allow(dead_code, reason = "each test program uses a part of it")]

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long something may take that happens.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    stream: UnixStream,
}

/// What a run says.
pub(crate) struct Message {
    pub(crate) record: Value,
    /// (S, S, 3), or nothing.
    pub(crate) picture: Vec<u8>,
    /// One a patch, or nothing.
    pub(crate) tokens: Vec<u16>,
}

impl Client {
    /// Connects, once somebody listens.
    pub(crate) fn connect(path: &Path) -> Self {
        let begin = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let set = stream.set_read_timeout(Some(PATIENCE));
        set.expect("a timeout can be set");
        Self { stream }
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) {
        let sent = self.stream.write_all(format!("{line}\n").as_bytes());
        sent.expect("the run listens");
    }

    /// The next message; nothing once the connection is closed.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let mut header = [0; 16];
        if self.stream.read_exact(&mut header).is_err() {
            return None;
        }
        let word = |at: usize| u32::from_le_bytes(header[4 * at..][..4].try_into().unwrap());
        assert_eq!(word(0), 0x4C56_474D);
        let mut part = |at: usize| {
            let mut bytes = vec![0; word(at) as usize];
            self.stream
                .read_exact(&mut bytes)
                .expect("all of a message");
            bytes
        };
        let (json, picture, tokens) = (part(1), part(2), part(3));
        let tokens = tokens.chunks_exact(2);
        Some(Message {
            record: serde_json::from_slice(&json).expect("a record"),
            picture,
            tokens: tokens
                .map(|two| u16::from_le_bytes([two[0], two[1]]))
                .collect(),
        })
    }

    /// The next message for which this holds.
    pub(crate) fn find(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        let begin = Instant::now();
        loop {
            let message = self.next().expect("the run goes on");
            if wanted(&message) {
                return message;
            }
            assert!(begin.elapsed() < PATIENCE, "{}", message.record);
        }
    }
}
