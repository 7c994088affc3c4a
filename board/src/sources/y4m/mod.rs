//! YUV4MPEG2 streams, which `ffmpeg -f yuv4mpegpipe` writes: 4:2:0 and luma alone, 8 bits.

pub(super) mod header;

use super::capture::{Capture, Captured, SourceError};
use super::error::OpenError;
use super::slot::Slot;
use super::source::{Source, SourceOptions};
use super::spec::Input;
use super::stream::{self, Bytes, Stream};
use header::{HeaderError, MAX_LINE};
use mergevit_kernels::frame::FrameLayout;

struct Y4m<B> {
    stream: Stream<B>,
    layout: FrameLayout,
    /// Where the first frame starts, if the stream is to be repeated.
    start: Option<u64>,
    frame: u64,
    line: Box<[u8]>,
}

/// Opens a stream and reads its header.
pub(super) fn open(input: &Input, options: &SourceOptions) -> Result<Source, OpenError> {
    let stream = Stream::open(input, options.repeat)?;
    read(&stream::name(input), stream, options)
}

/// As [`open`], from an open stream.
pub(super) fn read<B: Bytes>(
    name: &str,
    mut stream: Stream<B>,
    options: &SourceOptions,
) -> Result<Source, OpenError> {
    let io_error = |source| OpenError::Io {
        name: name.into(),
        action: "read",
        source,
    };
    let mut line = vec![0; MAX_LINE].into_boxed_slice();
    let length = stream.read_line(&mut line).map_err(io_error)?;
    let header = match length {
        0 => Err(HeaderError::Empty),
        _ => header::parse(&line[..length], options.color),
    };
    let layout = header.map_err(|reason| OpenError::Header {
        name: name.into(),
        reason,
    })?;
    let start = match options.repeat {
        true => Some(stream.position().map_err(io_error)?),
        false => None,
    };
    Ok(Source {
        description: format!("{name}: Y4M {}x{}", layout.width(), layout.height()),
        policy: options.policy(),
        max_width: layout.width(),
        max_height: layout.height(),
        slot_bytes: layout.packed_bytes(),
        names: [].into(),
        capture: Box::new(Y4m {
            stream,
            layout,
            start,
            frame: 0,
            line,
        }),
    })
}

impl<B: Bytes> Y4m<B> {
    fn read_line(&mut self) -> Result<usize, SourceError> {
        self.stream
            .read_line(&mut self.line)
            .map_err(|source| SourceError::Io {
                frame: self.frame,
                source,
            })
    }

    /// Reads a frame's header line. `false` at the end of the stream.
    fn frame_header(&mut self) -> Result<bool, SourceError> {
        let mut length = self.read_line()?;
        if let (0, Some(start), 1..) = (length, self.start, self.frame) {
            let frame = self.frame;
            self.stream
                .seek(start)
                .map_err(|source| SourceError::Io { frame, source })?;
            length = self.read_line()?;
        }
        let line = &self.line[..length];
        let complete = line.strip_suffix(b"\n");
        match complete.and_then(|line| line.strip_prefix(b"FRAME")) {
            Some([] | [b' ', ..]) => Ok(true),
            None if line.is_empty() => Ok(false),
            None if b"FRAME".starts_with(line) => Err(SourceError::Truncated {
                frame: self.frame,
                found: 0,
                expected: self.layout.packed_bytes(),
            }),
            _ => Err(SourceError::FrameHeader {
                frame: self.frame,
                limit: MAX_LINE,
            }),
        }
    }
}

impl<B: Bytes> Capture for Y4m<B> {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        if !self.frame_header()? {
            return Ok(Captured::End);
        }
        let (frame, expected) = (self.frame, self.layout.packed_bytes());
        let Some(to) = slot.prepare(self.layout, expected) else {
            slot.reject("larger than the source's frames");
            return Ok(Captured::Unusable);
        };
        let found = self
            .stream
            .read_full(to)
            .map_err(|source| SourceError::Io { frame, source })?;
        if found < expected {
            return Err(SourceError::Truncated {
                frame,
                found,
                expected,
            });
        }
        self.frame += 1;
        Ok(Captured::Frame)
    }
}
