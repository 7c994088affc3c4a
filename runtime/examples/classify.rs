//! Classifies image files.
//!
//! ```sh
//! cargo run --release -p mergevit-runtime --example classify -- board/assets/garments.mvit board/assets/pullover.png
//! ```

use mergevit_runtime::{Engine, Frame, PixelFormat};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or("usage: classify MODEL.mvit IMAGE...")?;
    let mut engine = Engine::load(model)?;
    println!(
        "{} on {}",
        engine.pack().config().architecture,
        engine.backend()
    );
    for path in args {
        let image = image::open(&path)?.into_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        let frame = Frame::packed(PixelFormat::Rgb, width, height, &image)?;
        let output = engine.classify(&[frame])?;
        for prediction in output.top(0).take(3) {
            println!("{path}: {prediction}");
        }
    }
    Ok(())
}
