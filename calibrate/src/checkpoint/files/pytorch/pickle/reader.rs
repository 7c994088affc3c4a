//! The bytes of a pickle, in order.

use super::error::PickleError;

/// What is left of a pickle.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or(PickleError::End)?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of up to eight bytes.
    pub(super) fn number(&mut self, width: usize) -> Result<u64, PickleError> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |n, &byte| n << 8 | u64::from(byte)))
    }

    /// Bytes after their number, which has `width` bytes.
    pub(super) fn counted(&mut self, width: usize) -> Result<&'a [u8], PickleError> {
        let count = self.number(width)?;
        self.take(usize::try_from(count).map_err(|_| PickleError::End)?)
    }

    /// The bytes before the next line feed.
    pub(super) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(length.ok_or(PickleError::End)?)?;
        self.at += 1;
        Ok(line)
    }
}
