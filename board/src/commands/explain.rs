//! `mergevit explain`: a picture of what merging makes of an image.

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::file_name::FileName;
use crate::{model, output};
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_runtime::image::{self, merged_tokens};
use mergevit_runtime::inspect::{pixels_of, token_map};
use mergevit_runtime::{Engine, OutputFile};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit explain -m model.mvit --schedule r16 --output tokens.png photo.jpg\n\
                        \n\
                        Patches that merged into one token have their mean colour and the token's outline, wherever they \
                        lie; patches that stayed alone are as they were.")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A PNG, JPEG, WebP or BMP file
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The picture to write, a PNG file
    #[arg(long, value_name = "FILE.png")]
    output: PathBuf,
    /// Pixels of the picture for each pixel that the model sees
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=8))]
    zoom: u8,
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let work = |error: &dyn std::fmt::Display| Failure::work(error);
    let file = OutputFile::new(&args.output).map_err(|error| work(&error))?;
    if file.would_replace(&args.image) || file.would_replace(&args.model.model) {
        let name = args.output.display();
        return Err(Failure::Usage(format!(
            "--output {name}: is an input of this command"
        )));
    }
    let picture = image::decode(&args.image).map_err(|error| work(&error))?;
    let mut engine = model::load(&args.model, 1, (MAX_SIDE, MAX_SIDE))?;
    let pixels = pixels_of(engine.pack().config(), &picture.frame());
    let answer = classify(&mut engine, &pixels)?;
    let map = token_map(&mut engine, &pixels).map_err(|error| work(&error))?;
    model::check(&args.model, &engine)?;
    let png = merged_tokens(&pixels, &map, args.zoom.into()).to_png();
    file.write(&png).map_err(|error| work(&error))?;
    let (tokens, largest) = count(&map);
    output::print(&format!(
        "{}: {answer}{}: {} patches as {tokens} tokens, {largest} in the largest\n",
        FileName::from(args.image.as_path()),
        engine.schedule().name,
        map.len(),
    ))
}

/// Sets the schedule whose answer counts, of which a cascade has two; returns the answer, if there are classes.
fn classify(engine: &mut Engine, pixels: &[u8]) -> Result<String, Failure> {
    let classifies = engine.pack().config().classifies();
    let output = engine
        .classify_pixels(pixels)
        .map_err(|error| Failure::work(&error))?;
    let answer = match classifies {
        true => format!("{}  ", output.best(0)),
        false => String::new(),
    };
    let schedule = output.schedule(0).name.clone();
    engine
        .set_schedule(&schedule)
        .map_err(|error| Failure::work(&error))?;
    Ok(answer)
}

/// How many tokens patches became, and how many patches the largest has.
fn count(map: &[u16]) -> (usize, usize) {
    let mut sorted = map.to_vec();
    sorted.sort_unstable();
    let tokens = sorted.chunk_by(|a, b| a == b);
    tokens.fold((0, 0), |(count, largest), token| {
        (count + 1, largest.max(token.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_wherever_their_patches_lie() {
        assert_eq!(count(&[7, 3, 7, 9, 7]), (3, 3));
    }
}
