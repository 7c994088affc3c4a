//! A client's end of the socket.

use super::header::{HEADER_BYTES, Header, HeaderError};
use std::io::{self, Read};
use thiserror::Error;

/// What a run said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// A record, or what a broken program sends instead.
    pub(crate) json: &'a [u8],
    /// (S, S, 3) RGB, or nothing.
    pub(crate) picture: &'a [u8],
    /// A little-endian u16 for each patch, row by row, or nothing.
    pub(crate) tokens: &'a [u8],
}

/// Why no further message comes.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the stream ends within a message")]
    Truncated,
}

/// Reads messages from a stream, each into the memory of the one before.
#[derive(Debug)]
pub(crate) struct Receiver<R> {
    stream: R,
    body: Vec<u8>,
}

impl<R: Read> Receiver<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            body: Vec::new(),
        }
    }

    /// The next message; `None` at an end between messages. Memory grows with what arrives, not with what a header
    /// promises.
    ///
    /// # Errors
    /// If the stream fails, ends within a message, or has something else in it.
    pub(crate) fn next(&mut self) -> Result<Option<Message<'_>>, WireError> {
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        self.body.clear();
        let promised = header.body_bytes();
        let mut body = self.stream.by_ref().take(promised as u64);
        if body.read_to_end(&mut self.body)? < promised {
            return Err(WireError::Truncated);
        }
        let (json, rest) = self.body.split_at(header.json);
        let (picture, tokens) = rest.split_at(header.picture);
        Ok(Some(Message {
            json,
            picture,
            tokens,
        }))
    }

    /// The next header; `None` if the stream ends before it.
    fn header(&mut self) -> Result<Option<Header>, WireError> {
        let mut bytes = [0; HEADER_BYTES];
        let mut filled = 0;
        while filled < HEADER_BYTES {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(WireError::Truncated),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(Header::from_bytes(&bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::{MAX_JSON, MAX_PICTURE, MAX_TOKENS, encode, message_bytes};
    use super::*;

    fn message(json: &[u8], picture: &[u8], tokens: &[u16]) -> Vec<u8> {
        let mut bytes = vec![0; message_bytes(json.len(), picture.len(), tokens.len())];
        let length = encode(&mut bytes, json, picture, tokens).expect("it is short");
        assert_eq!(length, bytes.len());
        bytes
    }

    /// Hands out a byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let mut stream = message(br#"{"event":"frame"}"#, &[1, 2, 3], &[513, 7]);
        stream.extend(message(b"{}", &[], &[]));
        stream.extend(message(b"", &[9], &[]));
        let mut receiver = Receiver::new(Drops(&stream));
        let mut next = |json: &[u8], picture: &[u8], tokens: &[u8]| {
            let expected = Message {
                json,
                picture,
                tokens,
            };
            assert_eq!(receiver.next().expect("a message"), Some(expected));
        };
        next(br#"{"event":"frame"}"#, &[1, 2, 3], &[1, 2, 7, 0]);
        next(b"{}", &[], &[]);
        next(b"", &[9], &[]);
        assert_eq!(receiver.next().expect("an end"), None);
    }

    #[test]
    fn an_end_within_a_message_is_an_error() {
        let whole = message(b"{}", &[1, 2, 3], &[7]);
        for length in 1..whole.len() {
            let error = Receiver::new(&whole[..length]).next().expect_err("an end");
            assert!(matches!(error, WireError::Truncated), "{length}: {error}");
        }
    }

    #[test]
    fn memory_is_not_taken_on_a_promise() {
        let header = Header {
            json: MAX_JSON,
            picture: MAX_PICTURE,
            tokens: MAX_TOKENS,
        };
        let bytes = header.to_bytes().expect("within the limits");
        let mut receiver = Receiver::new(&bytes[..]);
        assert!(matches!(receiver.next(), Err(WireError::Truncated)));
        assert!(receiver.body.capacity() < 1 << 16);
    }

    #[test]
    fn something_else_ends_it() {
        let mut receiver = Receiver::new(&b"HTTP/1.1 400 Bad Request\r\n"[..]);
        let error = receiver.next().expect_err("no message");
        assert!(
            matches!(error, WireError::Header(HeaderError::Magic(_))),
            "{error}"
        );
    }
}
