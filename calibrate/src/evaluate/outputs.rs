//! What networks answer to a set of images that fits memory.

use super::Real;
use super::answers::argmax;
use super::difference::Difference;
use crate::checkpoint::Checkpoint;
use crate::fp32::Forward;
use mergevit_runtime::{Engine, Pack, RunError, Schedule};
use std::ops::Range;

/// The outputs of one network for N images, and the scores of the classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    images: usize,
    /// (N, outputs): logits or embeddings.
    outputs: Vec<f32>,
    /// (N, classes); nothing where there are no classes.
    logits: Vec<f32>,
}

impl Outputs {
    /// Images, N.
    pub fn images(&self) -> usize {
        self.images
    }

    /// (outputs) of one image, as the network gives them.
    pub fn output(&self, image: usize) -> &[f32] {
        row(&self.outputs, self.images, image)
    }

    /// (classes) scores of one image; empty where there are no classes.
    pub fn logits(&self, image: usize) -> &[f32] {
        row(&self.logits, self.images, image)
    }

    /// The class of one image; none where there are no classes.
    pub fn decision(&self, image: usize) -> Option<usize> {
        let logits = self.logits(image);
        (!logits.is_empty()).then(|| argmax(logits))
    }

    /// Those of some of the images.
    pub fn part(&self, images: Range<usize>) -> Self {
        let mut part = Self::default();
        for image in images {
            part.push(self.output(image), self.logits(image));
        }
        part
    }

    /// How far these outputs are from `truth`, which is of the same images.
    pub fn difference(&self, truth: &Self) -> Difference {
        let mut difference = Difference::default();
        for image in 0..self.images {
            difference.add(truth.output(image), self.output(image));
            if let (Some(truth), Some(own)) = (truth.decision(image), self.decision(image)) {
                difference.count(truth == own);
            }
        }
        difference
    }

    /// Outputs of these scores, one row an image.
    #[cfg(test)]
    pub(crate) fn of_logits(rows: impl Iterator<Item = Vec<f32>>) -> Self {
        let mut outputs = Self::default();
        rows.for_each(|logits| outputs.push(&logits, &logits));
        outputs
    }

    fn push(&mut self, output: &[f32], logits: &[f32]) {
        self.images += 1;
        self.outputs.extend_from_slice(output);
        self.logits.extend_from_slice(logits);
    }
}

fn row(all: &[f32], images: usize, image: usize) -> &[f32] {
    let width = all.len() / images;
    &all[image * width..][..width]
}

/// Outputs of a pack under one of its schedules to images at model resolution, `pixels` u8 (N, S, S, 3). Calls `done`
/// after each image.
///
/// # Errors
/// [`RunError`]: the pack has no such schedule, or a device fails.
pub fn quantized(
    engine: &mut Engine,
    schedule: &str,
    pixels: &[u8],
    done: &dyn Fn(),
) -> Result<Outputs, RunError> {
    engine.set_schedule(schedule)?;
    let batch = engine.max_batch() * engine.pack().config().image_bytes();
    let mut outputs = Outputs::default();
    for pixels in pixels.chunks(batch) {
        let output = engine.classify_pixels(pixels)?;
        for image in 0..output.batch() {
            let logits = output.image_logits(image);
            outputs.push(output.embedding(image).unwrap_or(logits), logits);
            done();
        }
    }
    Ok(outputs)
}

/// Outputs of a checkpoint in full precision under `schedule`, as [`quantized`]; `pack` is one made of it, and has the
/// classes' vectors where it gives embeddings. Calls `done`, from any thread, after each image.
pub fn full_precision(
    checkpoint: &Checkpoint,
    pack: &Pack,
    schedule: &Schedule,
    pixels: &[u8],
    done: &(dyn Fn() + Sync),
) -> Outputs {
    let forward = Forward::new(checkpoint).ranked_by(schedule.ranking);
    let merge: Vec<usize> = schedule.merge.iter().map(|&r| r.into()).collect();
    let mut outputs = Outputs::default();
    for output in forward.classify_each(pixels, &merge, done) {
        let Real { output, logits } = Real::new(pack, output);
        outputs.push(&output, logits.as_deref().unwrap_or(&[]));
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(logits: &[[f32; 2]]) -> Outputs {
        Outputs::of_logits(logits.iter().map(|logits| logits.to_vec()))
    }

    #[test]
    fn outputs_are_compared_image_by_image() {
        let truth = outputs(&[[3.0, 1.0], [0.0, 2.0]]);
        let own = outputs(&[[1.0, 3.0], [0.0, 2.0]]);
        assert_eq!((own.images(), own.decision(0)), (2, Some(1)));
        let difference = own.difference(&truth);
        assert_eq!(difference.images(), 2);
        assert_eq!(difference.agreement(), Some(0.5));
        let db = difference.signal_to_noise_db().unwrap();
        assert!((db - 10.0 * (14.0f64 / 8.0).log10()).abs() < 1e-12);
    }

    #[test]
    fn without_classes_there_are_no_decisions() {
        let mut embeddings = Outputs::default();
        embeddings.push(&[1.0, 0.0], &[]);
        assert_eq!(embeddings.decision(0), None);
        assert_eq!(embeddings.difference(&embeddings).agreement(), None);
    }
}
