//! A frame's memory, reserved once and filled again and again.

use mergevit_kernels::frame::{Frame, FrameLayout};
use mergevit_kernels::memory::{self, OutOfMemory};
use std::time::Instant;

/// Room for one frame: bytes, and how the frame in them is laid out.
#[derive(Debug)]
pub(crate) struct Slot {
    bytes: Box<[u8]>,
    /// Bytes of the frame.
    length: usize,
    /// `None` before the first frame.
    layout: Option<FrameLayout>,
    /// When the frame was complete.
    pub(crate) captured: Instant,
    /// Index of the frame's name among the source's names, if they have names.
    pub(crate) name: usize,
}

impl Slot {
    /// `bytes` of room. Allocates.
    pub(crate) fn new(bytes: usize) -> Result<Self, OutOfMemory> {
        Ok(Self {
            bytes: memory::zeroed(bytes, "a frame")?,
            length: 0,
            layout: None,
            captured: Instant::now(),
            name: 0,
        })
    }

    /// The first `length` bytes, to be filled as `layout` says; `None` if the slot is smaller, or that is too few for
    /// the layout.
    pub(crate) fn prepare(&mut self, layout: FrameLayout, length: usize) -> Option<&mut [u8]> {
        if length < layout.bytes() {
            return None;
        }
        let room = self.bytes.get_mut(..length)?;
        self.layout = Some(layout);
        self.length = length;
        Some(room)
    }

    /// What was filled in; `None` before the slot was first prepared.
    pub(crate) fn frame(&self) -> Option<Frame<'_>> {
        Frame::with_layout(self.layout?, &self.bytes[..self.length]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::{ColorSpace, PixelFormat};

    #[test]
    fn a_slot_is_as_large_as_it_was_made() {
        let layout = FrameLayout::packed(PixelFormat::I420, 5, 3).expect("a valid size");
        let layout = layout.with_color(ColorSpace::Bt709Full);
        let mut slot = Slot::new(layout.bytes()).expect("a few bytes");
        assert!(slot.frame().is_none());
        assert!(slot.prepare(layout, layout.bytes() + 1).is_none());
        assert!(slot.prepare(layout, layout.bytes() - 1).is_none());
        let room = slot.prepare(layout, layout.bytes());
        assert_eq!(room.map(|room| room.len()), Some(5 * 3 + 2 * 3 * 2));
        let frame = slot.frame().expect("the room is the frame's");
        assert_eq!((frame.width(), frame.height()), (5, 3));
        assert_eq!(frame.color(), ColorSpace::Bt709Full);
    }
}
