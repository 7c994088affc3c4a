//! What a run gives: views into the engine's memory, valid until the next run.

use super::prediction::{Prediction, Probabilities, Top};
use super::scores::Scores;
use crate::classifier::Classifier;
use crate::config::{OutputKind, Schedule, ScoreKind};
use crate::pack::Pack;
use mergevit_kernels::cuda::Best;

/// Best classes of an image that a device picks.
pub(super) const BEST: usize = 8;

/// The numbers of one batch, where an executor has left them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Results<'a> {
    pub(super) batch: usize,
    /// (B, outputs): logits, or embeddings.
    pub(super) outputs: &'a [f32],
    /// (B, T); of two runs, one image after the other.
    pub(super) sizes: &'a [u32],
    /// (B, [`BEST`]) largest outputs that a device has picked, largest first; or nothing.
    pub(super) best: &'a [Best],
}

/// A schedule that has run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) schedule: &'a Schedule,
    /// Tokens an image that it leaves, T.
    pub(super) tokens: usize,
}

/// Which run has the answer for which image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'a> {
    pub(super) first: Run<'a>,
    /// What ran second, if anything did.
    pub(super) second: Option<Run<'a>>,
    /// Images that it ran, ascending.
    pub(super) images: &'a [usize],
}

impl<'a> Runs<'a> {
    /// One run of all images.
    pub(super) const fn once(first: Run<'a>) -> Self {
        Self {
            first,
            second: None,
            images: &[],
        }
    }

    /// The run whose answer counts, and where the image's sizes start among those of the batch.
    fn of(&self, image: usize) -> (Run<'a>, usize) {
        let again = self.images.partition_point(|&other| other < image);
        match self.second {
            Some(second) => {
                let start = (image - again) * self.first.tokens + again * second.tokens;
                let is_second = self.images.get(again) == Some(&image);
                (if is_second { second } else { self.first }, start)
            }
            None => (self.first, image * self.first.tokens),
        }
    }
}

/// The result of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    results: Results<'a>,
    runs: Runs<'a>,
    /// (B, outputs) and (B, outputs) of length 1, where the outputs are embeddings.
    embeddings: Option<(&'a [f32], &'a [f32])>,
    /// (B, classes); nothing where there are no classes.
    logits: &'a [f32],
    /// One a class, or none.
    labels: &'a [String],
    score_kind: ScoreKind,
    /// What embeddings are classified by.
    classifier: Option<Classifier<'a>>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        results: Results<'a>,
        runs: Runs<'a>,
        scores: &'a mut Scores,
        pack: &'a Pack,
    ) -> Self {
        scores.make(pack, results.outputs);
        Self::scored(results, runs, scores, pack)
    }

    /// The same of results that `scores` were last made of.
    pub(super) fn scored(
        mut results: Results<'a>,
        runs: Runs<'a>,
        scores: &'a Scores,
        pack: &'a Pack,
    ) -> Self {
        let config = pack.config();
        let embeds = config.output == OutputKind::Embedding;
        let (unit, of_names) = scores.of(config, results.batch);
        if embeds {
            // What a device has picked are not classes.
            results.best = &[];
        }
        Self {
            results,
            runs,
            embeddings: embeds.then_some((results.outputs, unit)),
            logits: if embeds { of_names } else { results.outputs },
            labels: &config.labels,
            score_kind: config.score_kind,
            classifier: Classifier::of(pack),
        }
    }

    /// Images, B.
    pub fn batch(&self) -> usize {
        self.results.batch
    }

    /// The schedule that one image's answer comes from: under a cascade, of the two the one whose answer counts.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn schedule(&self, image: usize) -> &'a Schedule {
        self.run(image).0.schedule
    }

    /// Whether the image ran twice: a cascade's first schedule was unsure of it.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn ran_again(&self, image: usize) -> bool {
        self.check(image);
        self.runs.images.binary_search(&image).is_ok()
    }

    /// Images of the batch that ran twice: those that a cascade's first schedule was unsure of.
    pub fn second_runs(&self) -> usize {
        self.runs.images.len()
    }

    fn run(&self, image: usize) -> (Run<'a>, usize) {
        self.check(image);
        self.runs.of(image)
    }

    fn check(&self, image: usize) {
        let batch = self.results.batch;
        assert!(image < batch, "image {image} of a batch of {batch}");
    }

    /// (B, classes). Empty where the model gives embeddings and the pack has no classifier of them.
    pub fn logits(&self) -> &'a [f32] {
        self.logits
    }

    /// (B, T) after the last layer that merges: how many patches each remaining token stands for. A token of the prefix
    /// counts itself. Where only tokens of the prefix are pooled, the last layer merges nothing. Under a cascade, images whose answers come from different schedules have different T.
    pub fn sizes(&self) -> &'a [u32] {
        self.results.sizes
    }

    /// (classes) of one image; see [`logits`](Self::logits).
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn image_logits(&self, image: usize) -> &'a [f32] {
        self.of_image(self.logits, image)
    }

    /// How sure the model is of one image: its largest logit less its second largest. Infinite where there are not two
    /// classes. A cascade runs an image again unless its first schedule's margin reaches the threshold.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn margin(&self, image: usize) -> f32 {
        margin(self.image_logits(image))
    }

    /// The images whose margin does not reach a threshold, ascending. A margin that is no number reaches none.
    pub(super) fn unsure(&self, threshold: f32) -> impl Iterator<Item = usize> {
        let is_sure = move |image: &usize| self.margin(*image) >= threshold;
        (0..self.batch()).filter(move |image| !is_sure(image))
    }

    /// One image's embedding as the network gives it; `None` where the network gives logits.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn embedding(&self, image: usize) -> Option<&'a [f32]> {
        self.embeddings.map(|(raw, _)| self.of_image(raw, image))
    }

    /// One image's embedding, of length 1: what similarities are measured with. `None` where the network gives
    /// logits.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn unit_embedding(&self, image: usize) -> Option<&'a [f32]> {
        self.embeddings.map(|(_, unit)| self.of_image(unit, image))
    }

    /// Whether an image is of none of the classes: its embedding is farther from the center of its best class than the
    /// images of that class were that the pack was made with. `None` where the pack cannot tell.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn is_unknown(&self, image: usize) -> Option<bool> {
        let unit = self.unit_embedding(image)?;
        let best = self.top(image).next()?;
        self.classifier?.is_unknown(unit, best.class)
    }

    /// (T) of one image after the last layer of its [schedule](Self::schedule) that merges.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn image_sizes(&self, image: usize) -> &'a [u32] {
        let (run, start) = self.run(image);
        &self.results.sizes[start..][..run.tokens]
    }

    fn of_image<T>(&self, all: &'a [T], image: usize) -> &'a [T] {
        let len = all.len() / self.results.batch;
        &all[image * len..][..len]
    }

    /// One image's most likely class; the lowest of equals.
    ///
    /// # Panics
    /// If there is no such image in the batch, or if there are no classes: see
    /// [`ModelConfig::classifies`](crate::ModelConfig::classifies).
    pub fn best(&self, image: usize) -> Prediction<'a> {
        self.top(image).next().expect("the model classifies")
    }

    /// One image's classes, most likely first, ties to the lower index; none where there are no classes. Does not
    /// allocate. Each costs a pass over the logits, unless the device has picked it: take the first few.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn top(&self, image: usize) -> Top<'a> {
        let logits = self.image_logits(image);
        let temperature = self.schedule(image).temperature();
        Top::new(
            logits,
            self.labels,
            self.of_image(self.results.best, image),
            Probabilities::new(self.score_kind, temperature, logits),
        )
    }
}

/// The largest of `logits` less the second largest; infinite unless there are two, and NaN if any is.
pub fn margin(logits: &[f32]) -> f32 {
    if logits.len() < 2 {
        return f32::INFINITY;
    }
    let (mut best, mut next) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &logit in logits {
        if logit > best {
            (best, next) = (logit, best);
        } else if logit > next {
            next = logit;
        } else if logit.is_nan() {
            return f32::NAN;
        }
    }
    best - next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_what_the_largest_has_before_the_second() {
        let infinity = f32::INFINITY;
        for (logits, expected) in [
            (&[1.0, 4.0, 2.5][..], 1.5),
            (&[4.0, 1.0], 3.0),
            (&[-1.0, -3.0, -1.5, -9.0], 0.5),
            (&[2.0, 2.0, 1.0], 0.0),
            (&[2.0], infinity),
            (&[], infinity),
            (&[3.0, -infinity], infinity),
        ] {
            assert_eq!(margin(logits), expected, "{logits:?}");
        }
        for logits in [
            [f32::NAN, 1.0, 2.0],
            [3.0, 1.0, -f32::NAN],
            [1.0, f32::NAN, f32::NAN],
            [infinity, infinity, 1.0],
            [-infinity; 3],
        ] {
            assert!(margin(&logits).is_nan(), "{logits:?}");
        }
    }

    const SCHEDULES: [(&str, usize); 2] = [("cheap", 2), ("r0", 3)];

    /// Calls `test` with the output of a batch, of which the second run has answered for the images in `again`.
    fn with_output(
        batch: usize,
        again: &[usize],
        sizes: &[u32],
        logits: &[f32],
        test: impl Fn(&Output<'_>),
    ) {
        let schedules = SCHEDULES.map(|(name, _)| Schedule::new(name, vec![]));
        let [first, second] = [0, 1].map(|index| Run {
            schedule: &schedules[index],
            tokens: SCHEDULES[index].1,
        });
        let runs = Runs {
            second: (!again.is_empty()).then_some(second),
            images: again,
            ..Runs::once(first)
        };
        let results = Results {
            batch,
            outputs: logits,
            sizes,
            best: &[],
        };
        test(&Output {
            results,
            runs,
            embeddings: None,
            logits,
            labels: &[],
            score_kind: ScoreKind::Softmax,
            classifier: None,
        });
    }

    #[test]
    fn each_image_has_the_sizes_of_its_schedule() {
        for again in [&[][..], &[0], &[4], &[1, 2, 4], &[0, 1, 2, 3, 4]] {
            let sizes: Vec<u32> = (0..10 + again.len() as u32).collect();
            with_output(5, again, &sizes, &[], |output| {
                assert_eq!(output.second_runs(), again.len());
                let mut rest = &sizes[..];
                for image in 0..5 {
                    let ran_again = again.contains(&image);
                    let (name, tokens) = SCHEDULES[usize::from(ran_again)];
                    assert_eq!(output.ran_again(image), ran_again);
                    assert_eq!(output.schedule(image).name, name);
                    let expected = rest.split_off(..tokens).expect("sizes");
                    assert_eq!(output.image_sizes(image), expected, "{again:?}: {image}");
                }
                assert!(rest.is_empty());
            });
        }
    }

    #[test]
    fn an_answer_is_unsure_of_what_does_not_reach_the_threshold() {
        let logits = [4.0, 1.0, 1.0, 2.0, f32::NAN, 1.0, 1.5, 1.5];
        with_output(4, &[], &[1; 8], &logits, |output| {
            let unsure = |threshold| -> Vec<usize> { output.unsure(threshold).collect() };
            assert_eq!(unsure(f32::MIN_POSITIVE), [2, 3]);
            assert_eq!(unsure(1.0), [2, 3]);
            assert_eq!(unsure(1.5), [1, 2, 3]);
            assert_eq!(unsure(f32::MAX), [0, 1, 2, 3]);
        });
    }
}
