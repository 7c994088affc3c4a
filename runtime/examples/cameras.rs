//! A batch of cameras: four that differ in size and pixel format, one frame of each classified together.
//!
//! ```sh
//! cargo run --release -p mergevit-runtime --example cameras
//! ```
//!
//! The cameras are simulated: each looks at one garment after the other. `board/examples/camera.rs` opens a real one.

#[path = "common/garments.rs"]
mod garments;

use garments::{MODEL, SIDE, garments};
use mergevit_runtime::{Engine, Frame, FrameError, PixelFormat};
use std::error::Error;

/// A camera that sees grey things.
struct Camera {
    name: &'static str,
    format: PixelFormat,
    width: usize,
    height: usize,
    /// What it has captured; full of the chroma of grey before it has.
    buffer: Vec<u8>,
}

impl Camera {
    fn new(name: &'static str, format: PixelFormat, width: usize, height: usize) -> Self {
        Self {
            name,
            format,
            width,
            height,
            buffer: vec![128; format.frame_bytes(width, height)],
        }
    }

    /// Fills the buffer with a picture of a garment, enlarged.
    fn capture(&mut self, garment: &[u8]) {
        // Bytes from one sample of brightness to the next, and how many of them a pixel has.
        let (step, samples) = match self.format {
            PixelFormat::Rgb | PixelFormat::Bgr => (3, 3),
            PixelFormat::Yuyv | PixelFormat::Uyvy => (2, 1),
            _ => (1, 1),
        };
        let first = usize::from(self.format == PixelFormat::Uyvy);
        let row = self.format.row_bytes(self.width);
        for y in 0..self.height {
            for x in 0..self.width {
                let value = garment[y * SIDE / self.height * SIDE + x * SIDE / self.width];
                let at = y * row + x * step + first;
                self.buffer[at..at + samples].fill(value);
            }
        }
    }

    fn frame(&self) -> Result<Frame<'_>, FrameError> {
        Frame::packed(self.format, self.width, self.height, &self.buffer)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut cameras = [
        Camera::new("front", PixelFormat::Nv12, 640, 640),
        Camera::new("rear", PixelFormat::Yuyv, 320, 320),
        Camera::new("left", PixelFormat::Rgb, 480, 480),
        Camera::new("right", PixelFormat::Grey, 112, 112),
    ];
    let mut engine = Engine::options()
        .max_batch(cameras.len())
        .max_frame(640, 640)
        .load(MODEL)?;
    let mut garments = garments();
    for _ in 0..4 {
        for (camera, (garment, _)) in cameras.iter_mut().zip(&mut garments) {
            camera.capture(garment);
        }
        let [front, rear, left, right] = &cameras;
        let frames = [front.frame()?, rear.frame()?, left.frame()?, right.frame()?];
        let output = engine.classify(&frames)?;
        for (index, camera) in cameras.iter().enumerate() {
            println!("{:>5}: {}", camera.name, output.best(index));
        }
    }
    Ok(())
}
