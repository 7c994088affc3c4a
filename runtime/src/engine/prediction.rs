//! Classes of one image's result, best first, with their probabilities.

use crate::config::ScoreKind;
use mergevit_kernels::cuda::Best;
use std::fmt;

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
    /// Its probability, 0 to 1: the softmax of the logits over all classes, or where any number of classes is right
    /// ([`ScoreKind::Sigmoid`]) the logistic function of its logit. The schedule's
    /// [temperature](crate::Schedule::temperature) divides logits first.
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

/// How the logits of one image become probabilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probabilities {
    temperature: f32,
    /// Of a softmax, the largest logit, and the sum over all classes of the exponentials of what they lie below it.
    softmax: Option<(f32, f32)>,
}

impl Probabilities {
    pub(super) fn new(kind: ScoreKind, temperature: f32, logits: &[f32]) -> Self {
        let softmax = || {
            // Shifted by the largest, so that no exponential overflows.
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let shares = logits
                .iter()
                .map(|logit| ((logit - max) / temperature).exp());
            (max, shares.sum())
        };
        Self {
            temperature,
            softmax: (kind == ScoreKind::Softmax).then(softmax),
        }
    }

    fn of(&self, logit: f32) -> f32 {
        match self.softmax {
            Some((max, sum)) => ((logit - max) / self.temperature).exp() / sum,
            None => 1.0 / (1.0 + (-logit / self.temperature).exp()),
        }
    }
}

/// An image's classes, most likely first: what [`Output::top`](super::Output::top) gives.
#[derive(Clone, Debug)]
pub struct Top<'a> {
    logits: &'a [f32],
    labels: &'a [String],
    /// The best classes by a device's choice.
    picked: &'a [Best],
    probabilities: Probabilities,
    /// Classes given so far.
    count: usize,
    /// Index of the class given last.
    last: Option<usize>,
}

impl<'a> Top<'a> {
    /// The classes of an image with these `logits`, wherever they come from: those of a network in full precision, say.
    /// `temperature` divides them before they become probabilities; `labels` are the classes' names, or none.
    pub fn of_scores(
        kind: ScoreKind,
        temperature: f32,
        logits: &'a [f32],
        labels: &'a [String],
    ) -> Self {
        let probabilities = Probabilities::new(kind, temperature, logits);
        Self::new(logits, labels, &[], probabilities)
    }

    pub(super) fn new(
        logits: &'a [f32],
        labels: &'a [String],
        picked: &'a [Best],
        probabilities: Probabilities,
    ) -> Self {
        Self {
            logits,
            labels,
            picked,
            probabilities,
            count: 0,
            last: None,
        }
    }

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
            probability: self.probabilities.of(logit),
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

    fn top<'a>(logits: &'a [f32], labels: &'a [String], picked: &'a [Best]) -> Top<'a> {
        let probabilities = Probabilities::new(ScoreKind::Softmax, 1.0, logits);
        Top::new(logits, labels, picked, probabilities)
    }

    fn classes<'a>(top: impl Iterator<Item = Prediction<'a>>) -> Vec<usize> {
        top.map(|prediction| prediction.class).collect()
    }

    #[test]
    fn top_is_sorted_and_breaks_ties_by_index() {
        let logits = [0.0, 2.0, 1.0, 2.0, -1.0];
        assert_eq!(classes(top(&logits, &[], &[]).take(3)), [1, 3, 2]);
        assert_eq!(classes(top(&logits, &[], &[])), [1, 3, 2, 0, 4]);
        assert_eq!(top(&logits, &[], &[]).len(), 5);
        let equal = [5.0; 5];
        assert_eq!(classes(top(&equal, &[], &[]).take(2)), [0, 1]);
        assert!(top(&equal, &[], &[]).all(|p| (p.probability - 0.2).abs() < 1e-6));
    }

    #[test]
    fn a_device_picks_the_first_and_the_scan_goes_on_behind_them() {
        let logits = [3.0, 9.0, 9.0, 1.0];
        let picked = [1, 2].map(|class| Best {
            class,
            logit: logits[class as usize],
        });
        assert_eq!(classes(top(&logits, &[], &picked)), [1, 2, 0, 3]);
    }

    fn probabilities(kind: ScoreKind, temperature: f32, logits: &[f32]) -> Vec<f32> {
        let top = Top::of_scores(kind, temperature, logits, &[]);
        top.map(|p| p.probability).collect()
    }

    #[test]
    fn probabilities_survive_large_logits() {
        let logits = [1e30, -1e30];
        for kind in [ScoreKind::Softmax, ScoreKind::Sigmoid] {
            assert_eq!(probabilities(kind, 1.0, &logits), [1.0, 0.0]);
            assert_eq!(probabilities(kind, 1e-30, &logits), [1.0, 0.0]);
        }
    }

    #[test]
    fn a_temperature_divides_logits_and_leaves_their_order() {
        let logits = [1.0, 3.0, -2.0];
        for temperature in [0.5, 1.0, 4.0] {
            let shares = [3.0, 1.0, -2.0].map(|logit: f64| (logit / f64::from(temperature)).exp());
            let sum: f64 = shares.iter().sum();
            let found = probabilities(ScoreKind::Softmax, temperature, &logits);
            for (found, share) in found.iter().zip(shares) {
                assert!((f64::from(*found) - share / sum).abs() < 1e-6);
            }
            let found = probabilities(ScoreKind::Sigmoid, temperature, &logits);
            for (found, share) in found.iter().zip(shares) {
                assert!((f64::from(*found) - share / (1.0 + share)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_prediction_reads_as_its_label() {
        let labels = ["cat".to_string(), "dog".to_string()];
        let best = |labels| top(&[0.0, 0.0], labels, &[]).next().expect("two classes");
        assert_eq!(best(&labels).to_string(), "cat 50.0 %");
        assert_eq!(best(&[]).to_string(), "class 0 50.0 %");
    }
}
