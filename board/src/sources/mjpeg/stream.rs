//! Motion JPEG streams: baseline JPEG images one after the other, as `ffmpeg -f mjpeg` and network cameras write them.

use super::splitter::{Byte, Splitter};
use super::{Decoder, Defect, header};
use crate::seal;
use crate::sources::capture::{Capture, Captured, SourceError};
use crate::sources::error::OpenError;
use crate::sources::slot::Slot;
use crate::sources::source::{Source, SourceOptions};
use crate::sources::spec::Input;
use crate::sources::stream::{self, Bytes, Stream};
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_kernels::memory;
use std::io;

/// Room for an image in bytes. Those of cameras have a tenth of it; of what is not used, none is taken.
pub(crate) const MAX_IMAGE: usize = 1 << 24;

struct MotionJpeg<B> {
    stream: Stream<B>,
    splitter: Splitter,
    image: Box<[u8]>,
    /// Bytes of the image that was read at last.
    length: usize,
    /// It was not decoded yet.
    pending: bool,
    decoder: Decoder,
    frame: u64,
    repeat: bool,
}

/// Opens a stream and reads its first image, whose size is the largest.
pub(in crate::sources) fn open(
    input: &Input,
    options: &SourceOptions,
) -> Result<Source, OpenError> {
    let stream = Stream::open(input, options.repeat)?;
    read(&stream::name(input), stream, options)
}

/// As [`open`], from an open stream.
pub(in crate::sources) fn read<B: Bytes>(
    name: &str,
    mut stream: Stream<B>,
    options: &SourceOptions,
) -> Result<Source, OpenError> {
    let defect = |reason| OpenError::Jpeg {
        name: name.into(),
        reason,
    };
    let mut image = memory::zeroed(MAX_IMAGE, "an image").map_err(OpenError::OutOfMemory)?;
    let mut splitter = Splitter::default();
    let length =
        next_image(&mut stream, &mut splitter, &mut image).map_err(|source| OpenError::Io {
            name: name.into(),
            action: "read",
            source,
        })?;
    let header = header::read(&image[..length]).map_err(|reason| defect(Defect::Header(reason)))?;
    let (width, height) = (header.width, header.height);
    if width.max(height) > MAX_SIDE {
        return Err(defect(Defect::TooLarge { width, height }));
    }
    let decoder = Decoder::new((width, height)).map_err(OpenError::OutOfMemory)?;
    Ok(Source {
        description: format!("{name}: Motion JPEG {width}x{height}"),
        policy: options.policy(),
        max_width: width,
        max_height: height,
        slot_bytes: 3 * width * height,
        names: [].into(),
        capture: Box::new(MotionJpeg {
            stream,
            splitter,
            image,
            length,
            pending: true,
            decoder,
            frame: 0,
            repeat: options.repeat,
        }),
    })
}

/// Reads the next image, whole or cut; returns its length, 0 at the end of the stream.
fn next_image<B: Bytes>(
    stream: &mut Stream<B>,
    splitter: &mut Splitter,
    image: &mut [u8],
) -> io::Result<usize> {
    let mut length = 0;
    let mut skipped = 0;
    // The start of the one after a cut image was read with that.
    if splitter.is_inside() {
        image[..2].copy_from_slice(&header::START);
        length = 2;
    }
    loop {
        let (used, done) = {
            let bytes = stream.available()?;
            if bytes.is_empty() {
                // The stream ends, perhaps within an image.
                *splitter = Splitter::default();
                return Ok(length);
            }
            take(bytes, splitter, image, &mut length)?
        };
        stream.consume(used);
        if done {
            return Ok(length);
        }
        // What has no image for so long is no such stream, and may have no end.
        skipped += used;
        if length == 0 && skipped > MAX_IMAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Takes bytes until an image ends; returns how many, and whether one did.
fn take(
    bytes: &[u8],
    splitter: &mut Splitter,
    image: &mut [u8],
    length: &mut usize,
) -> io::Result<(usize, bool)> {
    for (index, &byte) in bytes.iter().enumerate() {
        let was_inside = splitter.is_inside();
        let is = splitter.next(byte);
        match is {
            Byte::Between => continue,
            Byte::Restart if was_inside => {
                // Without the 0xff of the next image's start.
                *length -= 1;
                return Ok((index + 1, true));
            }
            Byte::Restart => {
                image[..2].copy_from_slice(&header::START);
                *length = 2;
                continue;
            }
            Byte::Inside | Byte::Last => {}
        }
        let room = image.get_mut(*length).ok_or(io::ErrorKind::FileTooLarge)?;
        *room = byte;
        *length += 1;
        if is == Byte::Last {
            return Ok((index + 1, true));
        }
    }
    Ok((bytes.len(), false))
}

impl<B: Bytes> MotionJpeg<B> {
    /// Reads the next image. `false` at the end of the stream.
    fn advance(&mut self) -> Result<bool, SourceError> {
        let frame = self.frame;
        let failed = |source| SourceError::Io { frame, source };
        for attempt in 0..2 {
            if attempt == 1 {
                self.stream.seek(0).map_err(failed)?;
            }
            self.length = next_image(&mut self.stream, &mut self.splitter, &mut self.image)
                .map_err(failed)?;
            if self.length > 0 || !self.repeat {
                break;
            }
        }
        Ok(self.length > 0)
    }
}

impl<B: Bytes> Capture for MotionJpeg<B> {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        if !std::mem::replace(&mut self.pending, false) && !self.advance()? {
            return Ok(Captured::End);
        }
        self.frame += 1;
        match self.decoder.decode(&self.image[..self.length], slot) {
            Ok(()) => Ok(Captured::Frame),
            Err(defect) => {
                slot.reject(seal::exempt(|| defect.to_string()));
                Ok(Captured::Unusable)
            }
        }
    }
}
