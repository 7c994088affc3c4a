//! Frame preprocessing: every pixel format on every vector unit of the processor.

use super::Random;
use super::suite::{Backend, Case, Measured, Work};
use mergevit_kernels::cuda::DeviceError;
use mergevit_kernels::frame::{
    Frame, Geometry, Interpolation, PixelFormat, Preprocessor, Resize, VectorUnit, reference,
};

/// Width and height of a frame.
pub(crate) const FRAME: (usize, usize) = (1280, 720);

/// Side of the network's input.
const SIDE: usize = 224;

/// What ImageNet checkpoints are evaluated with.
pub(crate) fn geometry() -> Geometry {
    Geometry::new(
        Resize::ShortestSide(256),
        (SIDE, SIDE),
        Interpolation::Bicubic,
    )
    .expect("sides within the limits")
}

/// A frame and the pixels made from it.
pub(crate) struct Preprocess {
    format: PixelFormat,
    data: Vec<u8>,
    pixels: Vec<u8>,
}

impl Preprocess {
    fn new(format: PixelFormat) -> Self {
        let mut random = Random(1);
        let bytes = format.frame_bytes(FRAME.0, FRAME.1);
        Self {
            format,
            data: (0..bytes).map(|_| random.bits() as u8).collect(),
            pixels: vec![0; geometry().output_len()],
        }
    }

    /// What is read, and where to write.
    pub(crate) fn parts(&mut self) -> (Frame<'_>, &mut [u8]) {
        let frame = Frame::packed(self.format, FRAME.0, FRAME.1, &self.data);
        (frame.expect("as many bytes as needed"), &mut self.pixels)
    }
}

impl Measured for Preprocess {
    fn work(&self) -> Work {
        Work {
            macs: 0,
            bytes: (self.data.len() + self.pixels.len()) as u64,
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![&mut self.pixels]
    }
}

/// Every pixel format.
pub(crate) fn cases() -> Vec<Case<Preprocess>> {
    let case = |format| Case {
        operation: "preprocess",
        shape: format!("{format:?}:{}x{}to{SIDE}", FRAME.0, FRAME.1).to_lowercase(),
        make: Box::new(move || Box::new(Preprocess::new(format))),
    };
    PixelFormat::ALL.map(case).into()
}

/// The scalar reference.
pub(crate) struct Judge;

impl Backend<Preprocess> for Judge {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn run(&mut self, operation: &mut Preprocess) -> Result<(), DeviceError> {
        let (frame, pixels) = operation.parts();
        pixels.copy_from_slice(&reference::preprocess(&geometry(), &frame));
        Ok(())
    }
}

/// Every vector unit, best first, and the name of its backend.
pub(crate) const UNITS: [(VectorUnit, &str); 5] = [
    (VectorUnit::Avx512Vnni, "cpu/avx512-vnni"),
    (VectorUnit::Avx2, "cpu/avx2"),
    (VectorUnit::Sse2, "cpu/sse2"),
    (VectorUnit::Neon, "cpu/neon"),
    (VectorUnit::Portable, "cpu/portable"),
];

/// A vector unit of the processor.
pub(crate) struct OnVectorUnit {
    name: &'static str,
    preprocessor: Preprocessor,
}

impl OnVectorUnit {
    /// Every unit that this machine has, best first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let available = UNITS.into_iter().filter(|(isa, _)| isa.is_available());
        available.map(|(isa, name)| Self {
            name,
            preprocessor: Preprocessor::with_unit(geometry(), FRAME.0, FRAME.1, isa),
        })
    }
}

impl Backend<Preprocess> for OnVectorUnit {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, operation: &mut Preprocess) -> Result<(), DeviceError> {
        let (frame, pixels) = operation.parts();
        let preprocessed = self.preprocessor.preprocess(&frame, pixels);
        preprocessed.expect("as many pixels as the geometry says");
        Ok(())
    }
}
