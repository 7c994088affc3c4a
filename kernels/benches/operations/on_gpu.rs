//! The CUDA kernels as backends. The equality tests' adapters run an operation once; then the launches that it
//! took are timed, with operands and results in the device's memory.

use super::frames::{FRAME, Preprocess, geometry};
use super::frames_on_device::Rig;
use super::on_device::OnDevice;
use super::operation::AnyOperation;
use super::suite::Backend;
use mergevit_kernels::cuda::gemm::{Shape, Tile, Tiling};
use mergevit_kernels::cuda::preprocess::Destination;
use mergevit_kernels::cuda::{Device, DeviceError, Launch};

/// Name of both backends.
pub(crate) const NAME: &str = "cuda";

/// Operations of the `Kernels` trait. Merging includes the layer norm that follows, pooling likewise.
pub(crate) struct OperationsOnGpu(OnDevice);

impl OperationsOnGpu {
    pub(crate) fn new(device: Box<dyn Device>) -> Self {
        Self(OnDevice::new(device, Tiling::new(Tile::ALL[0], 1)))
    }

    /// Takes the tiling that the runtime takes without tuning.
    fn choose_tiling(&mut self, [rows, outputs, inputs]: [usize; 3]) {
        let shape = Shape {
            rows: rows as u32,
            outputs: outputs as u32,
            inputs: inputs as u32,
        };
        self.0.tiling = Tiling::best(&shape, &self.0.device.target());
    }
}

impl Backend<AnyOperation> for OperationsOnGpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(&mut self, operation: &mut AnyOperation) -> Result<(), DeviceError> {
        if let Some(product) = operation.product() {
            self.choose_tiling(product);
        }
        self.0.launches.clear();
        operation.run(&mut self.0);
        Ok(())
    }

    fn time(&mut self, _: &mut AnyOperation, repeats: u32) -> Result<f64, DeviceError> {
        time(&mut *self.0.device, &self.0.launches, repeats)
    }
}

/// Frame preprocessing, to pixels.
pub(crate) struct FramesOnGpu {
    rig: Rig,
    launches: Vec<Launch>,
}

impl FramesOnGpu {
    pub(crate) fn new(device: Box<dyn Device>) -> Self {
        Self {
            rig: Rig::on(device, geometry(), FRAME),
            launches: Vec::new(),
        }
    }
}

impl Backend<Preprocess> for FramesOnGpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(&mut self, operation: &mut Preprocess) -> Result<(), DeviceError> {
        let (frame, pixels) = operation.parts();
        let out = self.rig.device.allocate(self.rig.geometry.output_len())?;
        let launches = self.rig.run(&frame, &Destination::Pixels(out));
        self.launches = launches.into();
        pixels.copy_from_slice(&self.rig.read(out, pixels.len()));
        Ok(())
    }

    fn time(&mut self, _: &mut Preprocess, repeats: u32) -> Result<f64, DeviceError> {
        time(&mut *self.rig.device, &self.launches, repeats)
    }
}

/// Nanoseconds of the launches, on average over `repeats`.
fn time(device: &mut dyn Device, launches: &[Launch], repeats: u32) -> Result<f64, DeviceError> {
    Ok(device.time(launches, repeats)?.as_nanos() as f64)
}
