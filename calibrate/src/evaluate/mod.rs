//! How good a pack is: accuracy, agreement with full precision, noise inside the network.

mod answers;
mod cosine;
mod difference;
pub mod outputs;
mod snr;
mod tally;

pub use answers::{Answer, Answers};
pub use cosine::{Cosines, cosine};
pub use difference::Difference;
pub use outputs::Outputs;
pub use snr::{LayerNoise, Place, residual_noise};
pub use tally::{ClassTally, Tally, argmax, standard_error};

use crate::checkpoint::Checkpoint;
use crate::fp32::Forward;
use mergevit_runtime::{Accuracy, Engine, Pack, Plan, RunError, Schedule, TensorKind};
use rayon::prelude::*;

/// Classifies a data set with a pack under its schedules, and with the checkpoint that the pack was made from.
#[derive(Debug)]
pub struct Evaluation<'a> {
    engine: Engine,
    checkpoint: Option<&'a Checkpoint>,
    full: Tally,
    schedules: Vec<(Schedule, Tally)>,
}

impl<'a> Evaluation<'a> {
    /// Nothing classified yet. `schedule` names one of the pack's; without it, all of them run.
    ///
    /// # Errors
    /// [`RunError::UnknownSchedule`].
    pub fn new(
        mut engine: Engine,
        checkpoint: Option<&'a Checkpoint>,
        schedule: Option<&str>,
    ) -> Result<Self, RunError> {
        if let Some(name) = schedule {
            engine.set_schedule(name)?;
        }
        let model = engine.pack().config();
        let classes = if model.classifies() {
            model.scores()
        } else {
            0
        };
        let schedules = engine
            .pack()
            .schedules()
            .iter()
            .filter(|own| schedule.is_none_or(|name| own.name == name))
            .map(|own| (own.clone(), Tally::new(classes)))
            .collect();
        Ok(Self {
            engine,
            checkpoint,
            full: Tally::new(classes),
            schedules,
        })
    }

    /// Classifies images at model resolution, `pixels` u8 (N, S, S, 3), with each image's label, if it has
    /// one; labels are below the number of classes. Calls `done`, from any thread, each time that an image
    /// has passed a network: [`passes`](Self::passes) times an image.
    ///
    /// # Errors
    /// [`RunError`] if `pixels` are not whole images of the model.
    pub fn classify(
        &mut self,
        pixels: &[u8],
        labels: &[Option<usize>],
        done: &(dyn Fn() + Sync),
    ) -> Result<(), RunError> {
        let image = self.engine.pack().config().image_bytes();
        if pixels.len() != image * labels.len() {
            let found = pixels.len();
            return Err(RunError::Pixels { found, image });
        }
        let classifies = self.engine.pack().config().classifies();
        let mut real = vec![None; labels.len()];
        if let Some(checkpoint) = self.checkpoint {
            let forward = Forward::new(checkpoint);
            let pack = self.engine.pack();
            let images = pixels.par_chunks_exact(image);
            let outputs: Vec<Real> = images
                .map(|pixels| {
                    let output = forward.run(pixels, &[], &mut ()).logits;
                    let logits = classifies.then(|| scores(pack, &output));
                    done();
                    Real { output, logits }
                })
                .collect();
            for ((output, label), real) in outputs.into_iter().zip(labels).zip(&mut real) {
                if let Some(logits) = &output.logits {
                    self.full.count(logits, *label, None);
                }
                *real = Some(output);
            }
        }
        let batch = self.engine.max_batch();
        for (schedule, tally) in &mut self.schedules {
            self.engine.set_schedule(&schedule.name)?;
            let facts = labels.chunks(batch).zip(real.chunks(batch));
            for (pixels, (labels, real)) in pixels.chunks(batch * image).zip(facts) {
                let output = self.engine.classify_pixels(pixels)?;
                for (index, (label, real)) in labels.iter().zip(real).enumerate() {
                    if let (Some(own), Some(real)) = (output.embedding(index), real) {
                        tally.compare(cosine(own, &real.output));
                    }
                    if classifies {
                        let logits = real.as_ref().and_then(|real| real.logits.as_ref());
                        let decision = logits.map(|logits| argmax(logits));
                        tally.count(output.image_logits(index), *label, decision);
                    } else {
                        tally.count_image();
                    }
                    done();
                }
            }
        }
        Ok(())
    }

    /// How many networks each image passes: each schedule that runs, and full precision.
    pub fn passes(&self) -> usize {
        self.schedules.len() + usize::from(self.checkpoint.is_some())
    }

    /// A schedule that does not merge.
    fn unmerged(&self) -> Option<&Schedule> {
        let mut schedules = self.engine.pack().schedules().iter();
        schedules.find(|schedule| schedule.merge.iter().all(|&r| r == 0))
    }

    /// Whether noise can be measured: there is a checkpoint, and the pack has a schedule that does not merge.
    pub fn has_noise(&self) -> bool {
        self.checkpoint.is_some() && self.unmerged().is_some()
    }

    /// Compares residual streams over images at model resolution, `pixels` u8 (N, S, S, 3); none unless
    /// [`has_noise`](Self::has_noise). Calls `done` after each image.
    ///
    /// # Errors
    /// [`RunError`] if `pixels` are not whole images of the model.
    pub fn residual_noise(
        &mut self,
        pixels: &[u8],
        done: impl Fn(),
    ) -> Result<Vec<LayerNoise>, RunError> {
        let (Some(checkpoint), Some(schedule)) = (self.checkpoint, self.unmerged()) else {
            return Ok(Vec::new());
        };
        let name = schedule.name.clone();
        self.engine.set_schedule(&name)?;
        residual_noise(&mut self.engine, checkpoint, pixels, done)
    }

    /// The checkpoint, if there is one.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint
    }

    /// The engine that runs the pack.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The same, to look at single images with. Whoever runs it sets the schedule first.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Full precision's scores of the classes without merging, for an image at model resolution, `pixels` u8 (S, S, 3);
    /// none without a checkpoint.
    pub fn full_precision_scores(&self, pixels: &[u8]) -> Option<Vec<f32>> {
        let forward = Forward::new(self.checkpoint?);
        let output = forward.run(pixels, &[], &mut ()).logits;
        Some(scores(self.engine.pack(), &output))
    }

    /// The tally of full precision without merging, if there is a checkpoint.
    pub fn full_precision(&self) -> Option<&Tally> {
        self.checkpoint.map(|_| &self.full)
    }

    /// Each schedule that ran, and its tally.
    pub fn schedules(&self) -> &[(Schedule, Tally)] {
        &self.schedules
    }

    /// Billions of multiply-accumulates that one image costs under a schedule of this pack.
    pub fn gmac(&self, schedule: &Schedule) -> f64 {
        Plan::new(self.engine.pack().config(), schedule, 1)
            .map_or(f64::NAN, |plan| plan.cost().macs as f64 / 1e9)
    }

    /// The schedules with their accuracy, as a pack stores it. Accuracy needs
    /// labels and a checkpoint.
    pub fn measured(&self, dataset: &str) -> Vec<Schedule> {
        self.schedules
            .iter()
            .map(|(schedule, tally)| Schedule {
                accuracy: self.accuracy(tally, dataset),
                ..schedule.clone()
            })
            .collect()
    }

    fn accuracy(&self, tally: &Tally, dataset: &str) -> Option<Accuracy> {
        Some(Accuracy {
            dataset: dataset.into(),
            images: tally.images(),
            top1: tally.top1()?,
            top5: tally.top5()?,
            agreement: tally.agreement()?,
            top1_fp32: self.full.top1(),
        })
    }
}

/// What full precision gives for one image.
#[derive(Clone)]
struct Real {
    /// The network's output: logits or an embedding.
    output: Vec<f32>,
    /// The scores of the classes, if there are classes.
    logits: Option<Vec<f32>>,
}

/// The scores of the classes, given what the network gives: itself, or its cosine with each class's text embedding.
fn scores(pack: &Pack, output: &[f32]) -> Vec<f32> {
    let texts = pack.tensor_f32(TensorKind::TextEmbedding, None);
    let (Some(zero_shot), Some(texts)) = (pack.config().zero_shot, texts) else {
        return output.to_vec();
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let inverse = 1.0 / dot(output, output).sqrt().max(f32::MIN_POSITIVE);
    let score = |text: &[f32]| zero_shot.scale * dot(output, text) * inverse + zero_shot.bias;
    texts.chunks_exact(output.len()).map(score).collect()
}
