//! How good a pack is: accuracy, agreement with full precision, noise inside the network.

mod answers;
mod cascade;
mod cosine;
mod cost;
mod difference;
pub mod outputs;
mod snr;
mod tally;

pub use answers::{Answer, Answers, argmax};
pub use cascade::CascadeTally;
pub use cosine::{Cosines, cosine};
pub use cost::ScheduleCost;
pub use difference::Difference;
pub use outputs::Outputs;
pub use snr::{LayerNoise, Place, residual_noise};
pub(crate) use tally::fraction;
pub use tally::{ClassTally, Tally, standard_error};

use crate::checkpoint::Checkpoint;
use crate::fp32::{Forward, Output};
use mergevit_runtime::{
    Accuracy, Cascade, Classifier, Engine, Pack, RunError, Schedule, normalize,
};

/// Classifies a data set with a pack under its schedules, and with the checkpoint that the pack was made from.
#[derive(Debug)]
pub struct Evaluation<'a> {
    engine: Engine,
    checkpoint: Option<&'a Checkpoint>,
    full: Tally,
    schedules: Vec<(Schedule, Tally)>,
    /// Those whose two schedules run.
    cascades: Vec<Cascade>,
}

impl<'a> Evaluation<'a> {
    /// Nothing classified yet. `schedule` names one of the pack's schedules, or a cascade, whose two then run; without it,
    /// all of them do.
    ///
    /// # Errors
    /// [`RunError::UnknownSchedule`].
    pub fn new(
        engine: Engine,
        checkpoint: Option<&'a Checkpoint>,
        schedule: Option<&str>,
    ) -> Result<Self, RunError> {
        let pack = engine.pack();
        let model = pack.config();
        let classes = if model.classifies() {
            model.scores()
        } else {
            0
        };
        let cascades = pack.cascades().iter();
        let cascade = cascades.clone().find(|own| schedule == Some(&own.name));
        let runs = |name: &str| match (cascade, schedule) {
            (Some(cascade), _) => cascade.first == name || cascade.then == name,
            (None, Some(schedule)) => schedule == name,
            (None, None) => true,
        };
        if let (None, Some(name)) = (cascade, schedule) {
            pack.schedule_index(name)?;
        }
        let tally = |own: &Schedule| {
            let temperature = own.temperature().into();
            Tally::new(classes).with_confidence(model.score_kind, temperature)
        };
        let schedules = pack.schedules().iter().filter(|own| runs(&own.name));
        Ok(Self {
            schedules: schedules.map(|own| (own.clone(), tally(own))).collect(),
            cascades: cascades
                .filter(|own| runs(&own.first) && runs(&own.then))
                .filter(|own| cascade.is_none_or(|cascade| cascade.name == own.name))
                .cloned()
                .collect(),
            full: Tally::new(classes),
            checkpoint,
            engine,
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
        let mut real: Vec<Option<Real>> = vec![None; labels.len()];
        if let Some(checkpoint) = self.checkpoint {
            let outputs = Forward::new(checkpoint).classify_each(pixels, &[], done);
            let outputs = outputs
                .into_iter()
                .map(|output| Real::new(self.engine.pack(), output));
            for ((output, label), real) in outputs.zip(labels).zip(&mut real) {
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
                    let embedding = output.embedding(index);
                    if let (Some(own), Some(real)) = (embedding, real) {
                        tally.compare(cosine(own, &real.output));
                    }
                    if let Some(real) = real {
                        let own = embedding.unwrap_or(output.image_logits(index));
                        tally.compare_outputs(&real.output, own);
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
        schedules.find(|schedule| schedule.is_unmerged())
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
        let mut outputs = Forward::new(self.checkpoint?).classify(pixels, &[]);
        Real::new(self.engine.pack(), outputs.remove(0)).logits
    }

    /// The tally of full precision without merging, if there is a checkpoint.
    pub fn full_precision(&self) -> Option<&Tally> {
        self.checkpoint.map(|_| &self.full)
    }

    /// Each schedule that ran, and its tally.
    pub fn schedules(&self) -> &[(Schedule, Tally)] {
        &self.schedules
    }

    /// What each cascade whose two schedules ran has answered.
    pub fn cascades(&self) -> Vec<CascadeTally> {
        let of = |name: &str| {
            let mut schedules = self.schedules.iter();
            let found = schedules.find(|(own, _)| own.name == name);
            found.map(|(_, tally)| tally)
        };
        let reference = self.full_precision().map(Tally::answers);
        let tally = |cascade: &Cascade| {
            let (first, then) = (of(&cascade.first)?, of(&cascade.then)?);
            Some(CascadeTally::new(cascade, first, then, reference))
        };
        self.cascades.iter().filter_map(tally).collect()
    }

    /// Billions of multiply-accumulates that one image costs under a cascade of this pack, on the mean of these images.
    pub fn cascade_gmac(&self, tally: &CascadeTally) -> f64 {
        let gmac = |name: &str| {
            let index = self.engine.pack().schedule_index(name);
            index.map_or(f64::NAN, |index| {
                self.cost(&self.engine.pack().schedules()[index]).gmac
            })
        };
        let again = tally.second_run_rate().unwrap_or(0.0);
        gmac(&tally.cascade.first) + again * gmac(&tally.cascade.then)
    }

    /// What one image costs under a schedule of this pack.
    pub fn cost(&self, schedule: &Schedule) -> ScheduleCost {
        ScheduleCost::of(self.engine.pack().config(), schedule)
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

impl Real {
    /// What full precision gave; `pack` is made of the same checkpoint.
    fn new(pack: &Pack, Output { logits: output, .. }: Output) -> Self {
        let classifies = pack.config().classifies();
        let logits = classifies.then(|| scores(pack, &output));
        Self { output, logits }
    }
}

/// The scores of the classes, given what the network gives: itself, or what the pack's classifier makes of it.
fn scores(pack: &Pack, output: &[f32]) -> Vec<f32> {
    let Some(classifier) = Classifier::of(pack) else {
        return output.to_vec();
    };
    let mut unit = vec![0.0; output.len()];
    let mut scores = vec![0.0; classifier.classes()];
    normalize(output, &mut unit);
    classifier.score(output, &unit, &mut scores);
    scores
}
