//! What a run gives: views into the engine's memory, valid until the next run.

use super::scores::Scores;
use crate::classifier::Classifier;
use crate::config::OutputKind;
use crate::pack::Pack;
use mergevit_kernels::cuda::Best;
use std::fmt;

/// The numbers of one batch, where an executor has left them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Results<'a> {
    pub(super) batch: usize,
    /// (B, outputs): logits, or embeddings.
    pub(super) outputs: &'a [f32],
    /// (B, T)
    pub(super) sizes: &'a [u32],
    /// (B, K) largest outputs that a device has picked, largest first; or nothing.
    pub(super) best: &'a [Best],
}

/// The result of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    results: Results<'a>,
    /// (B, outputs) and (B, outputs) of length 1, where the outputs are embeddings.
    embeddings: Option<(&'a [f32], &'a [f32])>,
    /// (B, classes); nothing where there are no classes.
    logits: &'a [f32],
    /// One a class, or none.
    labels: &'a [String],
    /// What embeddings are classified by.
    classifier: Option<Classifier<'a>>,
}

impl<'a> Output<'a> {
    pub(super) fn new(mut results: Results<'a>, scores: &'a mut Scores, pack: &'a Pack) -> Self {
        let config = pack.config();
        let embeds = config.output == OutputKind::Embedding;
        let classifier = Classifier::of(pack);
        let (unit, of_names) = scores.of(config, classifier.as_ref(), results.outputs);
        if embeds {
            // What a device has picked are not classes.
            results.best = &[];
        }
        Self {
            results,
            embeddings: embeds.then_some((results.outputs, unit)),
            logits: if embeds { of_names } else { results.outputs },
            labels: &config.labels,
            classifier,
        }
    }

    /// Images, B.
    pub fn batch(&self) -> usize {
        self.results.batch
    }

    /// (B, classes). Empty where the model gives embeddings and the pack has no classifier of them.
    pub fn logits(&self) -> &'a [f32] {
        self.logits
    }

    /// (B, T) after the last layer: how many patches each remaining token stands for. A token of the prefix counts
    /// itself.
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

    /// (T) of one image after the last layer.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn image_sizes(&self, image: usize) -> &'a [u32] {
        self.of_image(self.results.sizes, image)
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
    /// allocate. Each costs a pass over
    /// the logits, unless the device has picked it: take the first few.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn top(&self, image: usize) -> Top<'a> {
        let logits = self.image_logits(image);
        // Shifted by the largest, so that no exponential overflows.
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Top {
            logits,
            labels: self.labels,
            picked: self.of_image(self.results.best, image),
            max,
            sum: logits.iter().map(|logit| (logit - max).exp()).sum(),
            count: 0,
            last: None,
        }
    }
}

/// A class of one image's result.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction<'a> {
    /// Index of the class.
    pub class: usize,
    /// Its name, if the pack has names.
    pub label: Option<&'a str>,
    /// Its logit.
    pub logit: f32,
    /// Its softmax probability, 0 to 1.
    pub probability: f32,
}

impl fmt::Display for Prediction<'_> {
    /// The label, or `class 7`, with the probability in per cent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label {
            Some(label) => f.write_str(label)?,
            None => write!(f, "class {}", self.class)?,
        }
        write!(f, " {:.1} %", 100.0 * self.probability)
    }
}

/// An image's classes, most likely first: what [`Output::top`] gives.
#[derive(Clone, Debug)]
pub struct Top<'a> {
    logits: &'a [f32],
    labels: &'a [String],
    /// The best classes by a device's choice.
    picked: &'a [Best],
    /// Largest logit.
    max: f32,
    /// Sum of the exponentials of all logits, less `max`.
    sum: f32,
    /// Classes given so far.
    count: usize,
    /// Index of the class given last.
    last: Option<usize>,
}

impl Top<'_> {
    /// The class that follows the last one: of those that are less likely, or as likely and of a higher index, the
    /// first.
    fn next_class(&self) -> Option<usize> {
        if self.count >= self.logits.len() {
            return None;
        }
        if let Some(best) = self.picked.get(self.count) {
            return Some(best.class as usize);
        }
        let follows = |class: usize| {
            self.last.is_none_or(|last| {
                let order = self.logits[class].total_cmp(&self.logits[last]);
                order.is_lt() || (order.is_eq() && class > last)
            })
        };
        let rest = (0..self.logits.len()).filter(|&class| follows(class));
        rest.reduce(
            |best, class| match self.logits[class].total_cmp(&self.logits[best]).is_gt() {
                true => class,
                false => best,
            },
        )
    }
}

impl<'a> Iterator for Top<'a> {
    type Item = Prediction<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let class = self.next_class()?;
        self.count += 1;
        self.last = Some(class);
        let logit = self.logits[class];
        Some(Prediction {
            class,
            label: self.labels.get(class).map(String::as_str),
            logit,
            probability: (logit - self.max).exp() / self.sum,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.logits.len() - self.count;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Top<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn output<'a>(logits: &'a [f32], batch: usize, best: &'a [Best]) -> Output<'a> {
        let results = Results {
            batch,
            outputs: logits,
            sizes: &[1, 1],
            best,
        };
        Output {
            results,
            embeddings: None,
            logits,
            labels: &[],
            classifier: None,
        }
    }

    #[test]
    fn top_is_sorted_and_breaks_ties_by_index() {
        let logits = [0.0, 2.0, 1.0, 2.0, -1.0, 5.0, 5.0, 5.0, 5.0, 5.0];
        let output = output(&logits, 2, &[]);
        let classes =
            |image, count| -> Vec<_> { output.top(image).take(count).map(|p| p.class).collect() };
        assert_eq!(classes(0, 3), [1, 3, 2]);
        assert_eq!(classes(0, 9), [1, 3, 2, 0, 4]);
        assert_eq!(classes(1, 2), [0, 1]);
        assert_eq!(output.top(0).len(), 5);
        assert_eq!(output.best(0).class, 1);
        assert!(output.top(1).all(|p| (p.probability - 0.2).abs() < 1e-6));
    }

    #[test]
    fn a_device_picks_the_first_and_the_scan_goes_on_behind_them() {
        let logits = [3.0, 9.0, 9.0, 1.0];
        let picked = [1, 2].map(|class| Best {
            class,
            logit: logits[class as usize],
        });
        let classes: Vec<_> = output(&logits, 1, &picked)
            .top(0)
            .map(|p| p.class)
            .collect();
        assert_eq!(classes, [1, 2, 0, 3]);
    }

    #[test]
    fn probabilities_survive_large_logits() {
        let logits = [1e30, -1e30];
        let probabilities: Vec<_> = output(&logits, 1, &[])
            .top(0)
            .map(|p| p.probability)
            .collect();
        assert_eq!(probabilities, [1.0, 0.0]);
    }

    #[test]
    fn a_prediction_reads_as_its_label() {
        let labels = ["cat".to_string(), "dog".to_string()];
        let unnamed = output(&[0.0, 0.0], 1, &[]);
        let named = Output {
            labels: &labels,
            ..unnamed
        };
        assert_eq!(named.best(0).to_string(), "cat 50.0 %");
        assert_eq!(unnamed.best(0).to_string(), "class 0 50.0 %");
    }
}
