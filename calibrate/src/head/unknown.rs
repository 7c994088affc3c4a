//! When an image is of none of the classes: how far from the center of a class its own images are.

use super::features::Features;
use super::prototypes::Means;
use mergevit_runtime::Unknown;

/// Centers and thresholds of `unit`, embeddings of length 1, so that a `share` of images like these would be called
/// unknown. `predicted` is each image's best class, by a classifier that has not seen the image.
///
/// A class of a few images cannot say by itself what its farthest hundredth is. So classes differ by the mean distance of
/// their images, 1 less the cosine with the center, and share what multiple of it is too far: the smallest that all but a
/// `share` of the images stay below, each judged by the center of the class that it was taken for.
pub(super) fn fit(unit: &Features, predicted: &[usize], share: f64) -> Unknown {
    let means = Means::of(unit);
    let (sums, counts) = distances(unit, &means);
    let all = sums.iter().sum::<f64>() / unit.len() as f64;
    let mean: Vec<f64> = sums
        .iter()
        .zip(&counts)
        .map(|(sum, &count)| if count > 1 { sum / count as f64 } else { all })
        // Images that are all the same are at no distance; rounding is.
        .map(|mean| mean.max(f64::from(f32::EPSILON)))
        .collect();
    let images = unit.labels().iter().zip(predicted).enumerate();
    let mut multiples: Vec<f64> = images
        .map(|(image, (&label, &class))| {
            let cosine = means.cosine(unit.row(image), class, label == class);
            (1.0 - cosine) / mean[class]
        })
        .collect();
    multiples.sort_by(f64::total_cmp);
    let multiple = multiples[rank(multiples.len(), share)];
    Unknown {
        centers: means.directions(),
        thresholds: mean
            .iter()
            .map(|mean| (1.0 - multiple * mean).clamp(-1.0, 1.0) as f32)
            .collect(),
    }
}

/// Sum of the distances of each class's images, and how many they are.
fn distances(unit: &Features, means: &Means) -> (Vec<f64>, Vec<usize>) {
    let mut sums = vec![0.0; unit.classes()];
    for (image, &class) in unit.labels().iter().enumerate() {
        sums[class] += 1.0 - means.cosine(unit.row(image), class, true);
    }
    (sums, unit.counts())
}

/// The place, among `count` values in ascending order, of the one that a further value exceeds with a probability of at
/// most `share`; of the largest, if they are too few to tell.
fn rank(count: usize, share: f64) -> usize {
    let place = ((count + 1) as f64 * (1.0 - share)).ceil() as usize;
    place.clamp(1, count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::testing::Random;

    #[test]
    fn the_rank_leaves_a_share_above() {
        assert_eq!(rank(99, 0.01), 98);
        assert_eq!(rank(199, 0.01), 197);
        assert_eq!(rank(20, 0.01), 19, "too few: the largest");
        assert_eq!(rank(1, 0.5), 0);
        assert_eq!(rank(9, 1.0), 0);
    }

    /// Images around a direction of their class, the second class's twice as far.
    fn images(random: &mut Random, count: usize) -> Features {
        let mut features = Features::new(16, 2);
        for i in 0..count {
            let class = i % 2;
            let mut row = random.f32s(16, 0.1 * (1 + class) as f32);
            row[class] += 1.0;
            features.push(&row, class);
        }
        features.unit()
    }

    #[test]
    fn as_many_known_images_are_called_unknown_as_asked_for() {
        let mut random = Random(11);
        let known = images(&mut random, 600);
        let unknown = fit(&known, known.labels(), 0.1);
        assert!(
            unknown.thresholds[0] > unknown.thresholds[1],
            "it is spread more"
        );
        let others = images(&mut random, 2000);
        let is_unknown = |image: usize| {
            let class = others.labels()[image];
            let center = &unknown.centers[class * 16..][..16];
            let products = center.iter().zip(others.row(image));
            products.map(|(a, b)| a * b).sum::<f32>() < unknown.thresholds[class]
        };
        let share = (0..2000).filter(|&image| is_unknown(image)).count() as f64 / 2000.0;
        assert!((share - 0.1).abs() < 0.04, "{share}");
    }

    #[test]
    fn images_that_are_all_alike_are_known() {
        let mut same = Features::new(2, 1);
        (0..3).for_each(|_| same.push(&[0.6, 0.8], 0));
        let unknown = fit(&same, &[0; 3], 0.01);
        let cosine = 0.6 * unknown.centers[0] + 0.8 * unknown.centers[1];
        assert!(cosine >= unknown.thresholds[0], "{cosine} {unknown:?}");
    }
}
