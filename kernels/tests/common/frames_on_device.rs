//! Frame preprocessing by the CUDA kernels, with room for frames up to a size.

use mergevit_kernels::cuda::preprocess::{Destination, Resampling, Workspace};
use mergevit_kernels::cuda::{Address, Device, Launch};
use mergevit_kernels::frame::{Frame, Geometry};

/// A device, and what preprocesses frames on it.
pub(crate) struct Rig {
    pub(crate) device: Box<dyn Device>,
    pub(crate) geometry: Geometry,
    resampling: Resampling,
    workspace: Workspace,
}

impl Rig {
    /// For frames of at most `max_frame`, (width, height) pixels.
    pub(crate) fn on(
        mut device: Box<dyn Device>,
        geometry: Geometry,
        max_frame: (usize, usize),
    ) -> Self {
        let resampling = Resampling::new(geometry, max_frame);
        let mut room = |bytes| device.allocate(bytes).unwrap();
        let workspace = Workspace {
            frame: Address::NULL,
            tables: room(resampling.table_bytes()),
            scratch: room(resampling.scratch_bytes()),
        };
        Self {
            device,
            geometry,
            resampling,
            workspace,
        }
    }

    /// Uploads and preprocesses a frame; returns the launches, which can be repeated until the next frame.
    pub(crate) fn run(&mut self, frame: &Frame<'_>, destination: &Destination) -> [Launch; 2] {
        let mut packed = vec![0; frame.packed_bytes()];
        frame.copy_packed(&mut packed);
        // Room for not a byte more, so that reading one is a fault.
        assert!(packed.len() <= self.resampling.frame_bytes());
        self.workspace.frame = self.device.allocate(packed.len()).unwrap();
        self.device.write(self.workspace.frame, &packed).unwrap();
        if self.resampling.prepare(frame.width(), frame.height()) {
            let tables = self.resampling.tables();
            assert!(tables.len() <= self.resampling.table_bytes());
            self.device.write(self.workspace.tables, tables).unwrap();
        }
        let launches = self
            .resampling
            .launches(frame, &self.workspace, destination);
        for launch in &launches {
            self.device.launch(launch).unwrap();
        }
        launches
    }

    pub(crate) fn read(&mut self, address: Address, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        self.device.read(address, &mut out).unwrap();
        out
    }
}
