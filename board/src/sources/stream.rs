//! Bytes from a file or from standard input, read without allocating.

use super::error::OpenError;
use super::spec::Input;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::AsFd;

/// Headers are read through this buffer; frames are read past it.
const BUFFER: usize = 1 << 16;

/// What a stream reads: a file, or bytes in memory where a test or a fuzzer gives them.
pub(super) trait Bytes: Read + Seek + Send + 'static {}

impl<T: Read + Seek + Send + 'static> Bytes for T {}

/// An open input.
#[derive(Debug)]
pub(super) struct Stream<B = File> {
    reader: BufReader<B>,
}

/// The name of an input in messages.
pub(super) fn name(input: &Input) -> String {
    match input {
        Input::Standard => "standard input".into(),
        Input::File(path) => path.display().to_string(),
    }
}

impl Stream<File> {
    /// Opens `input`; with `repeat`, it must be a file that can be read again.
    pub(super) fn open(input: &Input, repeat: bool) -> Result<Self, OpenError> {
        let error = |action| {
            move |source| OpenError::Io {
                name: name(input),
                action,
                source,
            }
        };
        let file = match input {
            Input::Standard => {
                let descriptor = io::stdin().as_fd().try_clone_to_owned();
                File::from(descriptor.map_err(error("open"))?)
            }
            Input::File(path) => File::open(path).map_err(error("open"))?,
        };
        let metadata = file.metadata().map_err(error("open"))?;
        if metadata.is_dir() {
            return Err(error("read")(io::ErrorKind::IsADirectory.into()));
        }
        if repeat && !metadata.is_file() {
            return Err(OpenError::NotRepeatable { name: name(input) });
        }
        Ok(Self::new(file))
    }
}

impl<B: Bytes> Stream<B> {
    /// Reads `bytes` from where they are.
    pub(super) fn new(bytes: B) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, bytes),
        }
    }

    /// Position of the next byte.
    pub(super) fn position(&mut self) -> io::Result<u64> {
        self.reader.stream_position()
    }

    /// Continues at `position`.
    pub(super) fn seek(&mut self, position: u64) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(position)).map(drop)
    }

    /// Bytes that were read and not consumed; none at the end.
    pub(super) fn available(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Once more, since what is borrowed in a loop cannot be returned from it.
                Ok(_) => return Ok(self.reader.buffer()),
                Err(error) => return Err(error),
            }
        }
    }

    /// So many of them are done with.
    pub(super) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }

    /// Fills `to` as far as the input goes; returns the bytes read.
    pub(super) fn read_full(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < to.len() {
            match self.reader.read(&mut to[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Reads up to and including a line feed, at most `to.len()` bytes; returns the bytes read.
    pub(super) fn read_line(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < to.len() {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let room = available.len().min(to.len() - filled);
            let line_feed = available[..room].iter().position(|&byte| byte == b'\n');
            let count = line_feed.map_or(room, |at| at + 1);
            to[filled..filled + count].copy_from_slice(&available[..count]);
            self.reader.consume(count);
            filled += count;
            if count == 0 || line_feed.is_some() {
                break;
            }
        }
        Ok(filled)
    }
}
