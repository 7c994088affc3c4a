//! What a client may ask of a run.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most bytes of a line, its end counted.
pub(super) const MAX_LINE: usize = 1024;

/// One line of JSON: `{"watch":true}`, `{"schedule":"r16"}` or `{"schedule":null}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Command {
    /// From now on, frames come with their picture and token map, or without.
    Watch(bool),
    /// Holds a schedule or a cascade; `None` gives it back to the governor.
    Schedule(Option<String>),
}

/// Why a client's line is no command. The connection ends with it.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("a line of more than {MAX_LINE} bytes")]
    TooLong,
    #[error("no command: {0}")]
    Unknown(#[from] serde_json::Error),
}

impl Command {
    /// The line, with its end.
    ///
    /// # Errors
    /// If a run would not take a line that long.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, CommandError> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        match line.len() {
            ..=MAX_LINE => Ok(line),
            _ => Err(CommandError::TooLong),
        }
    }
}

/// Cuts what a client sends into commands, however it arrives, in bounded memory.
#[derive(Debug)]
pub(crate) struct CommandBuffer {
    bytes: Box<[u8; MAX_LINE]>,
    /// Bytes of commands not taken yet.
    filled: usize,
}

impl CommandBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Box::new([0; MAX_LINE]),
            filled: 0,
        }
    }

    /// Where the next bytes are to be read to. Not empty after [`CommandBuffer::next`] returned `None`.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Says that `count` bytes were read to [`CommandBuffer::room`].
    pub(crate) fn fill(&mut self, count: usize) {
        assert!(count <= MAX_LINE - self.filled);
        self.filled += count;
    }

    /// The next command, `None` if more bytes must come first.
    ///
    /// # Errors
    /// If a line is too long or no command; the connection is of no more use.
    pub(crate) fn next(&mut self) -> Result<Option<Command>, CommandError> {
        let filled = &self.bytes[..self.filled];
        let Some(end) = filled.iter().position(|&byte| byte == b'\n') else {
            return match self.filled {
                MAX_LINE => Err(CommandError::TooLong),
                _ => Ok(None),
            };
        };
        let command = serde_json::from_slice(&filled[..end])?;
        self.bytes.copy_within(end + 1..self.filled, 0);
        self.filled -= end + 1;
        Ok(Some(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of a stream that arrives in pieces of so many bytes.
    fn commands(mut stream: &[u8], piece: usize) -> Result<Vec<Command>, CommandError> {
        let mut buffer = CommandBuffer::new();
        let mut found = Vec::new();
        while !stream.is_empty() {
            let room = buffer.room();
            let count = piece.min(stream.len()).min(room.len());
            room[..count].copy_from_slice(&stream[..count]);
            stream = &stream[count..];
            buffer.fill(count);
            while let Some(command) = buffer.next()? {
                found.push(command);
            }
        }
        Ok(found)
    }

    fn all() -> [(Command, &'static str); 4] {
        [
            (Command::Watch(true), r#"{"watch":true}"#),
            (Command::Watch(false), r#"{"watch":false}"#),
            (
                Command::Schedule(Some("r16".into())),
                r#"{"schedule":"r16"}"#,
            ),
            (Command::Schedule(None), r#"{"schedule":null}"#),
        ]
    }

    #[test]
    fn commands_are_the_documented_lines_however_they_arrive() {
        let mut stream = Vec::new();
        for (command, text) in all() {
            let line = command.to_line().expect("it is short");
            assert_eq!(line, format!("{text}\n").as_bytes());
            stream.extend(line);
        }
        for piece in [1, 7, 1024] {
            let found = commands(&stream, piece).expect("all are commands");
            assert_eq!(found, all().map(|(command, _)| command));
        }
    }

    #[test]
    fn whatever_else_is_refused() {
        for line in [
            "\n",
            "{}\n",
            "watch\n",
            "{\"watch\":1}\n",
            "{\"watch\":true,\"schedule\":null}\n",
            "{\"reboot\":true}\n",
            "{\"watch\":true} {}\n",
            "\u{0}\n",
        ] {
            let error = commands(line.as_bytes(), 64).expect_err(line);
            assert!(matches!(error, CommandError::Unknown(_)), "{error}");
        }
        let nested = [vec![b'['; 1000], b"\n".to_vec()].concat();
        assert!(commands(&nested, 64).is_err());
    }

    #[test]
    fn lines_have_a_longest() {
        let name = |length| Command::Schedule(Some("x".repeat(length)));
        let frame = r#"{"schedule":""}"#.len() + 1;
        let longest = name(MAX_LINE - frame);
        let line = longest.to_line().expect("it fits");
        assert_eq!(commands(&line, 1000).expect("it fits"), [longest]);
        let error = name(MAX_LINE - frame + 1).to_line().expect_err("too long");
        assert!(matches!(error, CommandError::TooLong), "{error}");
        let error = commands(&[b'x'; 2 * MAX_LINE], 1000).expect_err("too long");
        assert!(matches!(error, CommandError::TooLong), "{error}");
    }
}
