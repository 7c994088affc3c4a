//! The socket's messages on any bytes, beside a reading of the same bytes that is written to be obviously right.

use super::command::{Command, CommandBuffer, CommandError, MAX_LINE};
use super::header::{HEADER_BYTES, encode, message_bytes};
use super::receiver::Receiver;

/// What a run sends, and what a client does: both are read as either.
pub fn wire(bytes: &[u8]) {
    messages(bytes);
    commands(bytes);
}

/// What is read is what would be written.
fn messages(bytes: &[u8]) {
    let mut receiver = Receiver::new(bytes);
    let mut rest = bytes;
    loop {
        match receiver.next() {
            Ok(Some(message)) => {
                let tokens = message.tokens.chunks_exact(2);
                let tokens: Vec<u16> = tokens
                    .map(|two| u16::from_le_bytes([two[0], two[1]]))
                    .collect();
                let (json, picture) = (message.json, message.picture);
                let mut again = vec![0; message_bytes(json.len(), picture.len(), tokens.len())];
                let length =
                    encode(&mut again, json, picture, &tokens).expect("it came within the limits");
                assert_eq!(again[..length], rest[..length]);
                rest = &rest[length..];
            }
            Ok(None) => return assert!(rest.is_empty()),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                // Whole messages, empty ones at least, are never refused for their end.
                return assert!(
                    !rest.is_empty() && rest != [&b"MGVL"[..], &[0; HEADER_BYTES - 4]].concat()
                );
            }
        }
    }
}

/// Commands do not depend on how they arrive.
fn commands(bytes: &[u8]) {
    let expected = plain_commands(bytes);
    for piece in [1, 3, MAX_LINE] {
        assert_eq!(arriving(bytes, piece), expected);
    }
}

/// The commands of whole lines, up to the first that is none, and whether there is such a line.
fn plain_commands(bytes: &[u8]) -> (Vec<Command>, bool) {
    let mut found = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else {
            // It has not ended yet.
            return (found, line.len() >= MAX_LINE);
        };
        match serde_json::from_slice(text) {
            Ok(command) if line.len() <= MAX_LINE => found.push(command),
            _ => return (found, true),
        }
    }
    (found, false)
}

fn arriving(mut bytes: &[u8], piece: usize) -> (Vec<Command>, bool) {
    let mut buffer = CommandBuffer::new();
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let room = buffer.room();
        let count = piece.min(bytes.len()).min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        buffer.fill(count);
        loop {
            match buffer.next() {
                Ok(Some(command)) => found.push(command),
                Ok(None) => break,
                Err(CommandError::TooLong | CommandError::Unknown(_)) => return (found, true),
            }
        }
    }
    (found, false)
}
