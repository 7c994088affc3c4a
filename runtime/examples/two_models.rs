//! Two models in turn: a cheap one sees every frame, a careful one those that the first is unsure of.
//!
//! ```sh
//! cargo run --release -p mergevit-runtime --example two_models
//! ```
//!
//! Both engines map the same pack here, so its weights are in memory once; any two packs will do.

#[path = "common/garments.rs"]
mod garments;

use garments::{MODEL, SIDE, garments};
use mergevit_runtime::{Engine, Frame, PixelFormat};
use std::error::Error;

/// Below this probability the second model decides.
const SURE: f32 = 0.8;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Engine::options().max_frame(SIDE, SIDE);
    let mut cheap = options.clone().schedule("r16").load(MODEL)?;
    let mut careful = options.schedule("r0").load(MODEL)?;
    let (mut right, mut asked, mut frames) = (0, 0, 0);
    for (pixels, class) in garments() {
        let frame = Frame::packed(PixelFormat::Grey, SIDE, SIDE, pixels)?;
        let mut best = cheap.classify(&[frame])?.best(0);
        if best.probability < SURE {
            asked += 1;
            best = careful.classify(&[frame])?.best(0);
        }
        frames += 1;
        right += usize::from(best.class == class);
    }
    println!("{right} of {frames} frames right; the second model looked at {asked}");
    Ok(())
}
