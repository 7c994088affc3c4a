//! A frame's memory, reserved once and filled again and again.

use mergevit_kernels::frame::{ColorSpace, Frame, FrameError, PixelFormat, Planes};
use std::time::Instant;

/// How the bytes of a slot are a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: PixelFormat,
    pub(crate) color: ColorSpace,
    /// Pixels a row.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    pub(crate) planes: Planes,
}

impl Layout {
    /// Without padding between rows; sides within the limits of [`Frame`].
    pub(crate) fn packed(
        format: PixelFormat,
        color: ColorSpace,
        width: usize,
        height: usize,
    ) -> Self {
        let stride = format.row_bytes(width);
        let planes = Planes {
            stride,
            chroma_offset: stride * height,
            chroma_stride: format.chroma_row_bytes(width),
        };
        Self {
            format,
            color,
            width,
            height,
            planes,
        }
    }

    /// Bytes of a frame without padding.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.format.frame_bytes(self.width, self.height)
    }
}

/// Room for one frame.
#[derive(Debug)]
pub(crate) struct Slot {
    bytes: Box<[u8]>,
    length: usize,
    layout: Layout,
    /// When the frame was complete.
    pub(crate) captured: Instant,
    /// Index of the frame's name among the source's names, if they have names.
    pub(crate) name: usize,
}

impl Slot {
    /// `bytes` of room. Allocates.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into(),
            length: 0,
            layout: Layout::packed(PixelFormat::Grey, ColorSpace::default(), 1, 1),
            captured: Instant::now(),
            name: 0,
        }
    }

    /// The first `length` bytes, to be filled as `layout` says; `None` if the slot is smaller.
    pub(crate) fn prepare(&mut self, layout: Layout, length: usize) -> Option<&mut [u8]> {
        let room = self.bytes.get_mut(..length)?;
        self.layout = layout;
        self.length = length;
        Some(room)
    }

    /// What was filled in.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes are too few for the layout.
    pub(crate) fn frame(&self) -> Result<Frame<'_>, FrameError> {
        let Layout {
            format,
            color,
            width,
            height,
            planes,
        } = self.layout;
        let data = &self.bytes[..self.length];
        Ok(Frame::with_planes(format, width, height, planes, data)?.with_color(color))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_as_large_as_it_was_made() {
        let layout = Layout::packed(PixelFormat::I420, ColorSpace::Bt709Full, 5, 3);
        let mut slot = Slot::new(layout.packed_bytes());
        assert!(slot.prepare(layout, layout.packed_bytes() + 1).is_none());
        let room = slot.prepare(layout, layout.packed_bytes());
        assert_eq!(room.map(|room| room.len()), Some(5 * 3 + 2 * 3 * 2));
        let frame = slot.frame().expect("the room is the frame's");
        assert_eq!((frame.width(), frame.height()), (5, 3));
        assert_eq!(frame.color(), ColorSpace::Bt709Full);
        slot.prepare(layout, 26);
        assert!(slot.frame().is_err());
    }
}
