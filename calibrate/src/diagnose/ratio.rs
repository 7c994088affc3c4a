//! Signal to noise, and how sure its changes are.

/// Sums of squares of one image's outputs: of the signal, and of the difference from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Squares {
    pub(super) signal: f64,
    pub(super) noise: f64,
}

impl Squares {
    /// Those of `found` against `truth`.
    pub(super) fn of(truth: &[f32], found: &[f32]) -> Self {
        let mut squares = Self::default();
        for (&truth, &found) in truth.iter().zip(found) {
            squares.signal += f64::from(truth).powi(2);
            squares.noise += (f64::from(found) - f64::from(truth)).powi(2);
        }
        squares
    }
}

/// A ratio in decibels.
pub(super) fn decibels(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

/// Signal to noise over all images, in dB; none if there is no noise or no signal.
pub(super) fn signal_to_noise(images: &[Squares]) -> Option<f64> {
    let (signal, noise) = images.iter().fold((0.0, 0.0), |sums, own| {
        (sums.0 + own.signal, sums.1 + own.noise)
    });
    (signal > 0.0 && noise > 0.0).then(|| decibels(signal / noise))
}

/// By how much `after` has less noise than `before` over the same images, in dB, and the standard error of that by the
/// jackknife (Tukey 1958), which leaves out an image at a time; none of a single image. The pairs share their images, so the gain is surer than
/// either ratio.
pub(super) fn gain(before: &[Squares], after: &[Squares]) -> (f64, Option<f64>) {
    let sum = |images: &[Squares]| images.iter().map(|own| own.noise).sum::<f64>();
    let (all_before, all_after) = (sum(before), sum(after));
    if all_before == all_after {
        // Also where neither has any noise.
        return (0.0, (before.len() > 1).then_some(0.0));
    }
    let gain = decibels(all_before / all_after);
    if before.len() < 2 {
        return (gain, None);
    }
    let count = before.len() as f64;
    let without = before
        .iter()
        .zip(after)
        .map(|(before, after)| decibels((all_before - before.noise) / (all_after - after.noise)));
    let without: Vec<f64> = without.collect();
    let mean = without.iter().sum::<f64>() / count;
    let spread: f64 = without.iter().map(|gain| (gain - mean).powi(2)).sum();
    (gain, Some((spread * (count - 1.0) / count).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(values: &[f64]) -> Vec<Squares> {
        let squares = |&noise| Squares {
            signal: 100.0,
            noise,
        };
        values.iter().map(squares).collect()
    }

    #[test]
    fn ratios_are_in_decibels() {
        let squares = Squares::of(&[3.0, 4.0], &[3.0, 4.5]);
        assert_eq!((squares.signal, squares.noise), (25.0, 0.25));
        assert_eq!(signal_to_noise(&[squares]), Some(20.0));
        assert_eq!(signal_to_noise(&noise(&[0.0])), None);
    }

    #[test]
    fn a_gain_is_as_sure_as_its_images_agree() {
        let (gained, error) = gain(&noise(&[10.0, 30.0, 20.0]), &noise(&[1.0, 3.0, 2.0]));
        assert!((gained - 10.0).abs() < 1e-12 && error.unwrap() < 1e-12);
        let (_, error) = gain(&noise(&[10.0, 30.0, 20.0]), &noise(&[1.0, 30.0, 2.0]));
        assert!(error.unwrap() > 1.0);
        assert_eq!(gain(&noise(&[10.0]), &noise(&[1.0])), (10.0, None));
    }
}
