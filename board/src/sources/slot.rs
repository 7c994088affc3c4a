//! A frame's memory, reserved once and filled again and again.

use mergevit_kernels::frame::{Frame, FrameLayout};
use mergevit_kernels::memory::{self, OutOfMemory};
use std::borrow::Cow;
use std::time::Instant;

/// Room for one frame: bytes, and how the frame in them is laid out.
#[derive(Debug)]
pub(crate) struct Slot {
    bytes: Box<[u8]>,
    /// Bytes of the frame.
    length: usize,
    /// `None` before the first frame.
    layout: Option<FrameLayout>,
    /// Why there is no frame, although there was to be one.
    defect: Option<Cow<'static, str>>,
    /// When the frame was taken, by the driver's clock if that is known, or else when it was complete.
    pub(crate) captured: Instant,
    /// `captured`, where the source knows it.
    pub(super) stamp: Option<Instant>,
    /// The driver's number of the frame, beyond its 32 bits; for other sources, counted from 0.
    pub(crate) sequence: u64,
    /// Frames that the driver dropped since the slot before.
    pub(crate) dropped_by_driver: u32,
    /// Frames that a newer one replaced since the slot before.
    pub(crate) replaced: u32,
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
            defect: None,
            captured: Instant::now(),
            stamp: None,
            sequence: 0,
            dropped_by_driver: 0,
            replaced: 0,
            name: 0,
        })
    }

    /// Forgets what was filled in.
    pub(crate) fn clear(&mut self) {
        self.layout = None;
        self.defect = None;
        self.stamp = None;
        self.dropped_by_driver = 0;
        self.replaced = 0;
    }

    /// Says why the frame cannot be used.
    pub(crate) fn reject(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.defect = Some(reason.into());
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

    /// What was filled in, or why there is nothing. Does not allocate.
    pub(crate) fn frame(&self) -> Result<Frame<'_>, &str> {
        if let Some(defect) = &self.defect {
            return Err(defect);
        }
        let layout = self.layout.ok_or("no frame")?;
        Frame::with_layout(layout, &self.bytes[..self.length])
            .map_err(|_| "a frame that is smaller than its layout")
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
        assert_eq!(slot.frame().err(), Some("no frame"));
        assert!(slot.prepare(layout, layout.bytes() + 1).is_none());
        assert!(slot.prepare(layout, layout.bytes() - 1).is_none());
        let room = slot.prepare(layout, layout.bytes());
        assert_eq!(room.map(|room| room.len()), Some(5 * 3 + 2 * 3 * 2));
        let frame = slot.frame().expect("the room is the frame's");
        assert_eq!((frame.width(), frame.height()), (5, 3));
        assert_eq!(frame.color(), ColorSpace::Bt709Full);
        slot.reject("a reason");
        assert_eq!(slot.frame().err(), Some("a reason"));
        slot.clear();
        assert_eq!(slot.frame().err(), Some("no frame"));
    }
}
