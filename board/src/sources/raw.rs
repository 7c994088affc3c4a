//! Frames of one size and format, one after the other, without headers.

use super::capture::{Capture, Captured, SourceError};
use super::error::OpenError;
use super::names::format_name;
use super::slot::Slot;
use super::source::{Source, SourceOptions};
use super::spec::Input;
use super::stream::{self, Bytes, Stream};
use mergevit_kernels::frame::{FrameLayout, PixelFormat};

#[derive(Debug)]
struct Raw<B> {
    stream: Stream<B>,
    layout: FrameLayout,
    repeat: bool,
    frame: u64,
}

/// Opens an input of frames of `size` (width, height) in pixels.
pub(super) fn open(
    format: PixelFormat,
    size: (usize, usize),
    input: &Input,
    options: &SourceOptions,
) -> Result<Source, OpenError> {
    let stream = Stream::open(input, options.repeat)?;
    read(format, size, &stream::name(input), stream, options)
}

/// As [`open`], from an open stream.
pub(super) fn read<B: Bytes>(
    format: PixelFormat,
    size: (usize, usize),
    name: &str,
    stream: Stream<B>,
    options: &SourceOptions,
) -> Result<Source, OpenError> {
    let layout = FrameLayout::packed(format, size.0, size.1);
    let layout = layout.map_err(|reason| OpenError::Layout {
        name: name.into(),
        reason,
    })?;
    let layout = layout.with_color(options.color.unwrap_or_default());
    let raw = Raw {
        stream,
        layout,
        repeat: options.repeat,
        frame: 0,
    };
    Ok(Source {
        description: format!("{name}: raw {} {}x{}", format_name(format), size.0, size.1),
        policy: options.policy(),
        max_width: size.0,
        max_height: size.1,
        slot_bytes: layout.packed_bytes(),
        names: [].into(),
        capture: Box::new(raw),
    })
}

impl<B: Bytes> Raw<B> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, SourceError> {
        self.stream.read_full(to).map_err(|source| SourceError::Io {
            frame: self.frame,
            source,
        })
    }
}

impl<B: Bytes> Capture for Raw<B> {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        let expected = self.layout.packed_bytes();
        let Some(to) = slot.prepare(self.layout, expected) else {
            slot.reject("larger than the source's frames");
            return Ok(Captured::Unusable);
        };
        let mut found = self.read(to)?;
        if found == 0 && self.repeat && self.frame > 0 {
            let frame = self.frame;
            self.stream
                .seek(0)
                .map_err(|source| SourceError::Io { frame, source })?;
            found = self.read(to)?;
        }
        if found == 0 {
            return Ok(Captured::End);
        }
        if found < expected {
            return Err(SourceError::Truncated {
                frame: self.frame,
                found,
                expected,
            });
        }
        self.frame += 1;
        Ok(Captured::Frame)
    }
}
