//! A camera that streams into memory-mapped buffers.

use super::error::{CameraError, io_error};
use super::format;
use crate::sources::capture::Captured;
use crate::sources::slot::Slot;
use mergevit_kernels::frame::FrameLayout;
use std::io;
use std::path::Path;
use std::time::Duration;
use v4l::Device;
use v4l::buffer::{Flags, Type};
use v4l::capability::Flags as Capability;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::prelude::MmapStream;

/// Buffers of the driver: one being filled, one waiting, one being copied, one spare for scheduling delays.
const BUFFERS: u32 = 4;

/// A camera that delivers nothing for this long is reopened.
const STALLED: Duration = Duration::from_secs(2);

/// `POLLIN` of poll(2).
const POLLIN: i16 = 1;

/// A camera that streams.
pub(super) struct Streaming {
    stream: MmapStream<'static>,
    pub(super) layout: FrameLayout,
    /// Bytes of a buffer.
    pub(super) size: usize,
    pub(super) card: String,
}

impl Streaming {
    /// Opens a device, agrees on a format, and waits for its first frame.
    pub(super) fn open(device: &Path, size: Option<(usize, usize)>) -> Result<Self, CameraError> {
        let camera = Device::with_path(device).map_err(io_error("open"))?;
        let capabilities = camera.query_caps().map_err(io_error("query"))?;
        let card = capabilities.card;
        let needed = Capability::VIDEO_CAPTURE | Capability::STREAMING;
        if !capabilities.capabilities.contains(needed) {
            return Err(CameraError::NotACamera { card });
        }
        let (format, pixels) = format::negotiate(&camera, size)?;
        let layout = format::layout(&format, pixels)?;
        let mut stream = MmapStream::with_buffers(&camera, Type::VideoCapture, BUFFERS)
            .map_err(io_error("map buffers of"))?;
        stream.set_timeout(STALLED);
        let mut streaming = Self {
            stream,
            layout,
            size: (format.size as usize).max(layout.packed_bytes()),
            card,
        };
        match CaptureStream::next(&mut streaming.stream) {
            Ok(_) => Ok(streaming),
            Err(source) => {
                streaming.close();
                Err(io_error("get a frame from")(source))
            }
        }
    }

    /// Copies the next frame. Only v4l's errors allocate, and `poll` avoids the frequent one.
    pub(super) fn copy_frame(&mut self, slot: &mut Slot) -> io::Result<Captured> {
        // Polled here because the stream's own timeout is an error on the heap.
        let timeout = STALLED.as_millis() as i32;
        if self.stream.handle().poll(POLLIN, timeout)? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (bytes, metadata) = CaptureStream::next(&mut self.stream)?;
        if metadata.flags.contains(Flags::ERROR) {
            return Ok(Captured::Unusable);
        }
        let used = match metadata.bytesused as usize {
            0 => bytes.len(),
            used => used.min(bytes.len()),
        };
        let Some(to) = slot.prepare(self.layout, used) else {
            return Ok(Captured::Unusable);
        };
        to.copy_from_slice(&bytes[..used]);
        Ok(Captured::Frame)
    }

    /// Ends streaming. The stream's destructor panics if the driver refuses; such a stream is leaked.
    pub(super) fn close(mut self) {
        const ENODEV: i32 = 19;
        match self.stream.stop() {
            Err(error) if error.raw_os_error() != Some(ENODEV) => std::mem::forget(self.stream),
            _ => drop(self.stream),
        }
    }
}
