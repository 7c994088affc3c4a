//! Classifies image files, which the feature `image` reads.
//!
//! ```sh
//! cargo run --release -p mergevit-runtime --example classify -- board/assets/garments.mvit board/assets/pullover.png
//! ```

use mergevit_runtime::{Engine, image};
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
        let picture = image::decode(&path)?;
        let output = engine.classify(&[picture.frame()])?;
        for prediction in output.top(0).take(3) {
            println!("{path}: {prediction}");
        }
    }
    Ok(())
}
