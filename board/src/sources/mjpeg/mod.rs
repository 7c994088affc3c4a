//! JPEG images as frames: what most USB cameras give where pixels would be too many for the cable.
//!
//! The decoder allocates, in [`Scratch`] memory that is reserved before the live loop starts; so the loop's seal holds.

mod header;
mod splitter;
pub(super) mod stream;
#[cfg(test)]
mod tests;

use super::slot::Slot;
use crate::seal::{Overflow, Scratch};
use header::{Header, HeaderDefect, START};
use mergevit_kernels::frame::{FrameLayout, PixelFormat};
use mergevit_kernels::memory::OutOfMemory;
use std::fmt;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Why an image gives no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    Header(HeaderDefect),
    TooLarge {
        width: usize,
        height: usize,
    },
    /// The decoder's reason, where it has one without details.
    Damaged(&'static str),
    Overflow(Overflow),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(defect) => defect.fmt(f),
            Self::TooLarge { width, height } => {
                write!(
                    f,
                    "a JPEG image of {width}x{height} pixels, more than are reserved"
                )
            }
            Self::Damaged(reason) => write!(f, "a damaged JPEG image: {reason}"),
            Self::Overflow(overflow) => write!(f, "an unusual JPEG image: {overflow}"),
        }
    }
}

/// Decodes baseline JPEG images of a limited size.
pub(crate) struct Decoder {
    scratch: Scratch,
    /// Width and height in pixels.
    most: (usize, usize),
}

/// Scratch memory for images of a size: the decoder keeps some rows of each component in 16 bits, before and after it
/// has enlarged them. Beside them, tables, comments, and the image itself where tables are put into it.
fn scratch_bytes((width, _): (usize, usize), image: usize) -> usize {
    const ROWS: usize = 256;
    const REST: usize = 1 << 19;
    ROWS * width.next_multiple_of(64) + image + REST
}

impl Decoder {
    /// For images of at most this width and height in pixels.
    ///
    /// # Errors
    /// [`OutOfMemory`]
    pub(crate) fn new(most: (usize, usize)) -> Result<Self, OutOfMemory> {
        // At the best quality there is, two bytes a pixel.
        let image = 2 * most.0 * most.1;
        Ok(Self {
            scratch: Scratch::new(scratch_bytes(most, image))?,
            most,
        })
    }

    /// Decodes an image into a slot. Allocates in scratch memory alone.
    pub(crate) fn decode(&mut self, jpeg: &[u8], slot: &mut Slot) -> Result<(), Defect> {
        let header = header::read(jpeg).map_err(Defect::Header)?;
        let Header { width, height, .. } = header;
        let too_large = Defect::TooLarge { width, height };
        if width > self.most.0 || height > self.most.1 {
            return Err(too_large);
        }
        let layout = FrameLayout::packed(PixelFormat::Rgb, width, height);
        let layout = layout.map_err(|_| too_large)?;
        let pixels = slot.prepare(layout, layout.bytes()).ok_or(too_large)?;
        let decoded = self.scratch.run(|| decode(jpeg, header, pixels));
        decoded.map_err(Defect::Overflow)?.map_err(Defect::Damaged)
    }
}

/// A segment that says: this is a frame of a Motion JPEG file. The decoder then has the Huffman tables that such files
/// leave out (those of annex K.3).
const MOTION_JPEG: [u8; 18] = *b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0";

/// Decodes an image to RGB.
fn decode(jpeg: &[u8], header: Header, pixels: &mut [u8]) -> Result<(), &'static str> {
    let completed;
    let jpeg = match header.has_tables {
        true => jpeg,
        false => {
            completed = [&START[..], &MOTION_JPEG, &jpeg[START.len()..]].concat();
            &completed
        }
    };
    // Strict: half a picture is no frame.
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(header.width)
        .set_max_height(header.height)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().map_err(|error| reason(&error))?;
    // A second size in the header would leave a part of the slot as it was.
    if decoder.dimensions() != Some((header.width, header.height)) {
        return Err("it has two sizes");
    }
    decoder.decode_into(pixels).map_err(|error| reason(&error))
}

/// What of a reason needs no memory.
fn reason(error: &DecodeErrors) -> &'static str {
    match error {
        DecodeErrors::FormatStatic(reason) => reason,
        DecodeErrors::HuffmanDecode(_) => "its Huffman tables are wrong",
        DecodeErrors::DqtError(_) => "its quantization tables are wrong",
        DecodeErrors::SosError(_) | DecodeErrors::SofError(_) => "its header is wrong",
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => "it ends too soon",
        _ => "its data is wrong",
    }
}
