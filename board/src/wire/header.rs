//! The form of a message: a header with the length of each part, then the parts.

use mergevit_kernels::ops::MAX_PATCHES;
use mergevit_runtime::limits::{MAX_METADATA, MAX_PATCH_SIZE};
use thiserror::Error;

/// Bytes of a header: four u32, little endian.
pub(crate) const HEADER_BYTES: usize = 16;

/// `MGVL`, for "mergevit live".
const MAGIC: u32 = u32::from_le_bytes(*b"MGVL");

/// Most bytes of a record. The longest is a [`Hello`](super::Hello): every label of a pack at its limit, and as many
/// bytes again for the rest as a pack may have.
pub(crate) const MAX_JSON: usize = MAX_METADATA;

/// Most bytes of a picture: the largest patches, as many as there may be, and the pixels beside them that belong to
/// none.
pub(crate) const MAX_PICTURE: usize = {
    let side = (MAX_PATCHES.isqrt() + 1) * MAX_PATCH_SIZE - 1;
    3 * side * side
};

/// Most bytes of a token map.
pub(crate) const MAX_TOKENS: usize = 2 * MAX_PATCHES;

/// The lengths of a message's parts in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// A record, as a line of `--json` without its end.
    pub(crate) json: usize,
    /// (S, S, 3) RGB; 0 if there is none.
    pub(crate) picture: usize,
    /// A u16 for each patch, row by row; 0 if there are none.
    pub(crate) tokens: usize,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum HeaderError {
    #[error("no message of mergevit: it begins with {0:#010x}")]
    Magic(u32),
    #[error("a {part} of {bytes} bytes, at most {most} allowed")]
    TooLong {
        part: &'static str,
        bytes: usize,
        most: usize,
    },
    #[error("a token map of {0} bytes, which are no whole tokens")]
    HalfToken(usize),
}

impl Header {
    /// Checks the lengths against their limits.
    fn checked(self) -> Result<Self, HeaderError> {
        for (part, bytes, most) in [
            ("record", self.json, MAX_JSON),
            ("picture", self.picture, MAX_PICTURE),
            ("token map", self.tokens, MAX_TOKENS),
        ] {
            if bytes > most {
                return Err(HeaderError::TooLong { part, bytes, most });
            }
        }
        match self.tokens % 2 {
            0 => Ok(self),
            _ => Err(HeaderError::HalfToken(self.tokens)),
        }
    }

    /// Bytes of the three parts.
    pub(crate) fn body_bytes(&self) -> usize {
        self.json + self.picture + self.tokens
    }

    /// As a message begins.
    ///
    /// # Errors
    /// If a part is longer than a client would accept.
    pub(crate) fn to_bytes(self) -> Result<[u8; HEADER_BYTES], HeaderError> {
        let Self {
            json,
            picture,
            tokens,
        } = self.checked()?;
        let mut bytes = [0; HEADER_BYTES];
        let words = [json, picture, tokens].map(|length| length as u32);
        let words = [MAGIC].into_iter().chain(words);
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Reads a header.
    ///
    /// # Errors
    /// If it is no header, or a part is longer than any message's.
    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[4 * at + i]));
        if word(0) != MAGIC {
            return Err(HeaderError::Magic(word(0)));
        }
        let length = |at| word(at) as usize;
        let header = Self {
            json: length(1),
            picture: length(2),
            tokens: length(3),
        };
        header.checked()
    }
}

/// Bytes of a message with parts of these lengths, its header counted.
pub(crate) const fn message_bytes(json: usize, picture: usize, patches: usize) -> usize {
    HEADER_BYTES + json + picture + 2 * patches
}

/// Writes a message to the beginning of `buffer` and returns its length. Does not allocate.
///
/// # Errors
/// If a part is longer than a client would accept.
///
/// # Panics
/// If the buffer is shorter than [`message_bytes`].
pub(crate) fn encode(
    buffer: &mut [u8],
    json: &[u8],
    picture: &[u8],
    tokens: &[u16],
) -> Result<usize, HeaderError> {
    let header = Header {
        json: json.len(),
        picture: picture.len(),
        tokens: 2 * tokens.len(),
    };
    let bytes = header.to_bytes()?;
    let (place, rest) = buffer.split_at_mut(HEADER_BYTES);
    place.copy_from_slice(&bytes);
    let (place, rest) = rest.split_at_mut(json.len());
    place.copy_from_slice(json);
    let (place, rest) = rest.split_at_mut(picture.len());
    place.copy_from_slice(picture);
    for (place, token) in rest[..header.tokens].chunks_exact_mut(2).zip(tokens) {
        place.copy_from_slice(&token.to_le_bytes());
    }
    Ok(HEADER_BYTES + header.body_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_documented_bytes() {
        let mut buffer = [0xee; 40];
        let length = encode(&mut buffer, b"{}", &[1, 2, 3], &[0x0102, 7]).expect("it is short");
        assert_eq!(length, message_bytes(2, 3, 2));
        let expected = *b"MGVL\x02\0\0\0\x03\0\0\0\x04\0\0\0{}\x01\x02\x03\x02\x01\x07\0";
        assert_eq!(buffer[..length], expected);
        assert!(buffer[length..].iter().all(|&byte| byte == 0xee));
    }

    #[test]
    fn lengths_are_held_to_their_limits() {
        let empty = Header {
            json: 0,
            picture: 0,
            tokens: 0,
        };
        let longest = Header {
            json: MAX_JSON,
            picture: MAX_PICTURE,
            tokens: MAX_TOKENS,
        };
        for header in [empty, longest] {
            let bytes = header.to_bytes().expect("within the limits");
            assert_eq!(Header::from_bytes(&bytes), Ok(header));
        }
        for word in 1..4 {
            let mut bytes = longest.to_bytes().expect("within the limits");
            let place = 4 * word..4 * word + 4;
            let length = u32::from_le_bytes(bytes[place.clone()].try_into().expect("a word"));
            for wrong in [length + 2, u32::MAX] {
                bytes[place.clone()].copy_from_slice(&wrong.to_le_bytes());
                let error = Header::from_bytes(&bytes).expect_err("too long");
                assert!(matches!(error, HeaderError::TooLong { .. }), "{error}");
            }
        }
        let half = Header { tokens: 3, ..empty };
        assert_eq!(half.to_bytes(), Err(HeaderError::HalfToken(3)));
    }

    #[test]
    fn other_bytes_are_no_header() {
        let error = Header::from_bytes(b"GET / HTTP/1.1\r\n").expect_err("no header");
        assert_eq!(error, HeaderError::Magic(0x2054_4547));
        assert!(error.to_string().ends_with("0x20544547"), "{error}");
    }
}
