//! A camera loop in a program of one's own: V4L2 frames into the engine, without a copy of them.
//!
//! ```sh
//! cargo run --release -p mergevit-board --features camera --example camera -- board/assets/garments.mvit /dev/video0
//! ```
//!
//! `mergevit run` does what this leaves out: other formats, cameras that disappear, a thread that captures while the
//! engine runs, a sealed allocator.

use mergevit_runtime::{Engine, Frame, PixelFormat};
use std::error::Error;
use v4l::buffer::Type;
use v4l::io::traits::CaptureStream;
use v4l::prelude::MmapStream;
use v4l::video::Capture;
use v4l::{Device, FourCC};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or("usage: camera MODEL.mvit [DEVICE]")?;
    let device = args.next().unwrap_or_else(|| "/dev/video0".into());

    let camera = Device::with_path(&device)?;
    let mut wanted = camera.format()?;
    wanted.fourcc = FourCC::new(b"YUYV");
    let format = camera.set_format(&wanted)?;
    if format.fourcc != wanted.fourcc {
        return Err(format!("{device} gives {}, expected YUYV", format.fourcc).into());
    }
    let (width, height) = (format.width as usize, format.height as usize);
    // Drivers may pad rows.
    let stride = format.stride as usize;

    let mut engine = Engine::options().max_frame(width, height).load(model)?;
    let mut stream = MmapStream::with_buffers(&camera, Type::VideoCapture, 4)?;
    loop {
        let (bytes, buffer) = stream.next()?;
        let frame = Frame::new(PixelFormat::Yuyv, width, height, stride, bytes)?;
        let output = engine.classify(&[frame])?;
        println!("frame {}: {}", buffer.sequence, output.best(0));
    }
}
