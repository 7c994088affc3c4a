//! Is the backend correct? Its output must equal the reference's bit for bit.

use super::cascade::work;
use super::pixels::Pixels;
use super::preprocessing::FRAME;
use crate::args::{BackendArgs, ModelArgs};
use crate::failure::Failure;
use crate::model;
use mergevit_runtime::{Engine, Output};
use serde::Serialize;
use std::fmt;

/// Multiply-accumulates per second of the reference on a slow machine.
const REFERENCE_RATE: f64 = 5e8;

/// The longest check that is worth its time, in seconds.
const PATIENCE: f64 = 60.0;

const REFERENCE: &str = "reference";

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    /// Logits and token sizes of one image equal the reference's, and those of the batch's other images
    /// what the backend gives for each alone.
    Equal,
    /// The backend is the reference.
    IsReference,
    /// `--no-check` was given.
    NotAsked,
    /// The reference would take about this many seconds.
    TooSlow(f64),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal => f.write_str("outputs and token sizes equal the reference's bit for bit"),
            Self::IsReference => f.write_str("none; this is the reference itself"),
            Self::NotAsked => f.write_str("none (--no-check)"),
            Self::TooSlow(seconds) => {
                write!(f, "none; the reference would take about {seconds:.0} s")
            }
        }
    }
}

/// A result that outlives the engine's next run.
#[derive(PartialEq)]
struct Kept {
    /// Logits, or an embedding, as bits, so that 0.0 and -0.0 differ.
    outputs: Vec<u32>,
    sizes: Vec<u32>,
}

impl Kept {
    fn of(output: &Output<'_>, image: usize) -> Self {
        let logits = || output.image_logits(image);
        let outputs = output.embedding(image).unwrap_or_else(logits).iter();
        Self {
            outputs: outputs.map(|output| output.to_bits()).collect(),
            sizes: output.image_sizes(image).to_vec(),
        }
    }

    /// Describes the first difference.
    fn difference(&self, expected: &Self) -> String {
        let mut pairs = self.outputs.iter().zip(&expected.outputs).enumerate();
        match pairs.find(|(_, (found, expected))| found != expected) {
            Some((class, (&found, &expected))) => {
                let (found, expected) = (f32::from_bits(found), f32::from_bits(expected));
                format!("output {class} is {found:?}, expected {expected:?}")
            }
            None => "the token sizes differ".into(),
        }
    }
}

/// Compares the engine with the reference, unless that would take too long.
pub(super) fn check(
    model: &ModelArgs,
    engine: &mut Engine,
    pixels: &Pixels,
) -> Result<Check, Failure> {
    let seconds = 1e9 * work(engine, pixels)? / pixels.batch() as f64 / REFERENCE_RATE;
    if engine.backend() == REFERENCE {
        return Ok(Check::IsReference);
    }
    if seconds > PATIENCE {
        return Ok(Check::TooSlow(seconds));
    }
    let found = run(engine, pixels.all(), pixels.batch())?;
    let mut args = model.clone();
    args.schedule = Some(model::chosen(engine).to_owned());
    args.backend = BackendArgs {
        backend: REFERENCE.into(),
        threads: None,
        tune: false,
        ..args.backend
    };
    let mut reference = model::load(&args, 1, FRAME)?;
    for (image, found) in found.iter().enumerate() {
        let (judge, name) = match image {
            0 => (&mut reference, REFERENCE),
            _ => (&mut *engine, "a batch of one"),
        };
        let expected = run(judge, pixels.image(image), 1)?;
        if *found != expected[0] {
            return Err(Failure::work(&format_args!(
                "check: image {image} of the batch on {} differs from {name}: {}",
                engine.backend(),
                found.difference(&expected[0])
            ))
            .hint("this is a bug in mergevit; --no-check measures anyway"));
        }
    }
    Ok(Check::Equal)
}

fn run(engine: &mut Engine, pixels: &[u8], batch: usize) -> Result<Vec<Kept>, Failure> {
    let output = engine
        .classify_pixels(pixels)
        .map_err(|error| Failure::work(&error))?;
    Ok((0..batch).map(|image| Kept::of(&output, image)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let kept = |logits: [f32; 2], sizes: [u32; 1]| Kept {
            outputs: logits.map(f32::to_bits).to_vec(),
            sizes: sizes.to_vec(),
        };
        let expected = kept([1.0, 2.0], [3]);
        assert!(kept([1.0, 2.0], [3]) == expected);
        assert!(kept([1.0, 2.0], [4]) != expected);
        assert_eq!(
            kept([1.0, 2.5], [3]).difference(&expected),
            "output 1 is 2.5, expected 2.0"
        );
        assert_eq!(
            kept([1.0, 2.0], [4]).difference(&expected),
            "the token sizes differ"
        );
        // The two zeros are equal as numbers, not as results.
        assert!(kept([0.0, 2.0], [3]) != kept([-0.0, 2.0], [3]));
    }
}
