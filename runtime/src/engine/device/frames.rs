//! Camera frames on a device: resized, cropped and cut into patches there.

use super::inbox::Inbox;
use mergevit_kernels::cuda::preprocess::{Destination, Resampling, Workspace};
use mergevit_kernels::cuda::{Device, DeviceError};
use mergevit_kernels::frame::{Frame, Geometry};

/// Largest frame that has room on the device, (width, height): 4K video. The processor resizes larger ones,
/// to the same pixels.
const LARGEST: (usize, usize) = (3840, 2160);

/// Room for one frame, and what resizes it.
pub(super) struct Frames {
    resampling: Resampling,
    frame: Inbox,
    workspace: Workspace,
}

impl Frames {
    /// For frames of up to `max_frame`, (width, height), and [`LARGEST`].
    pub(super) fn new(
        geometry: Geometry,
        max_frame: (usize, usize),
        device: &mut dyn Device,
    ) -> Result<Self, DeviceError> {
        let max_frame = (max_frame.0.min(LARGEST.0), max_frame.1.min(LARGEST.1));
        let resampling = Resampling::new(geometry, max_frame);
        let frame = Inbox::new(resampling.frame_bytes(), device)?;
        let workspace = Workspace {
            frame: frame.address,
            tables: device.allocate(resampling.table_bytes())?,
            scratch: device.allocate(resampling.scratch_bytes())?,
        };
        Ok(Self {
            resampling,
            frame,
            workspace,
        })
    }

    /// Whether a frame has room.
    pub(super) fn takes(&self, frame: &Frame<'_>) -> bool {
        self.resampling.takes(frame)
    }

    /// Copies a frame, once the one before is done with, and starts turning it into patches.
    pub(super) fn start(
        &mut self,
        frame: &Frame<'_>,
        destination: &Destination,
        device: &mut dyn Device,
    ) -> Result<(), DeviceError> {
        if self.resampling.prepare(frame.width(), frame.height()) {
            device.write(self.workspace.tables, self.resampling.tables())?;
        }
        let len = frame.packed_bytes();
        frame.copy_packed(&mut self.frame.bytes(device)?[..len]);
        self.frame.send(len, device)?;
        let launches = self
            .resampling
            .launches(frame, &self.workspace, destination);
        launches.iter().try_for_each(|launch| device.launch(launch))
    }
}
