//! One direction a class: the mean of its images' unit vectors (nearest class mean; Snell et al., arXiv 1703.05175).

use super::features::Features;

/// The sum of the unit vectors of each class.
pub(super) struct Means {
    columns: usize,
    /// (classes, columns)
    sums: Vec<f64>,
    /// (classes) squared lengths of the sums.
    squares: Vec<f64>,
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

/// `x` over the root of `square`, 0 where that is nothing.
fn over_root(x: f64, square: f64) -> f64 {
    if square > 0.0 { x / square.sqrt() } else { 0.0 }
}

impl Means {
    /// Of embeddings of length 1.
    pub(super) fn of(unit: &Features) -> Self {
        let columns = unit.columns();
        let mut sums = vec![0.0; unit.classes() * columns];
        for (row, &class) in unit.rows().chunks_exact(columns).zip(unit.labels()) {
            let sum = &mut sums[class * columns..][..columns];
            sum.iter_mut()
                .zip(row)
                .for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let square = |sum: &[f64]| sum.iter().map(|x| x * x).sum();
        Self {
            squares: sums.chunks_exact(columns).map(square).collect(),
            columns,
            sums,
        }
    }

    /// (classes, columns) of length 1, or zeros for a class without images.
    pub(super) fn directions(&self) -> Vec<f32> {
        let rows = self.sums.chunks_exact(self.columns).zip(&self.squares);
        rows.flat_map(|(sum, &square)| sum.iter().map(move |&x| over_root(x, square) as f32))
            .collect()
    }

    /// The cosine of `unit` with the mean of `class`. If the image is one of those that the mean is of, `is_in`, with the
    /// mean of the others.
    pub(super) fn cosine(&self, unit: &[f32], class: usize, is_in: bool) -> f64 {
        let sum = &self.sums[class * self.columns..][..self.columns];
        let product = dot(sum, unit);
        let square = self.squares[class];
        if !is_in {
            return over_root(product, square);
        }
        let own: f64 = unit.iter().map(|&x| f64::from(x).powi(2)).sum();
        // Of one image, rounding leaves a trace of itself.
        let others = square - 2.0 * product + own;
        over_root(product - own, if others > 1e-9 { others } else { 0.0 })
    }

    /// (N, classes) the cosines of the images that the means are of, each without itself.
    pub(super) fn cosines_without_self(&self, unit: &Features) -> Vec<f32> {
        let rows = unit.rows().chunks_exact(self.columns).zip(unit.labels());
        let cosines = rows.flat_map(|(row, &label)| {
            (0..unit.classes()).map(move |class| self.cosine(row, class, class == label) as f32)
        });
        cosines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::testing::Random;

    #[test]
    fn a_mean_without_an_image_is_the_mean_of_the_others() {
        let mut random = Random(3);
        let mut features = Features::new(5, 2);
        (0..9).for_each(|i| features.push(&random.f32s(5, 1.0), i % 2));
        let unit = features.unit();
        let cosines = Means::of(&unit).cosines_without_self(&unit);
        for image in 0..9 {
            let others = Means::of(&unit.filtered(|i| i != image));
            for class in 0..2 {
                let direct = others.cosine(unit.row(image), class, false);
                let found = f64::from(cosines[image * 2 + class]);
                assert!((found - direct).abs() < 1e-6, "{image}, {class}");
            }
        }
        let alone = unit.filtered(|i| i == 0);
        let means = Means::of(&alone);
        assert_eq!(means.cosine(alone.row(0), 0, true), 0.0, "nothing is left");
        assert_eq!(means.directions()[5..], [0.0; 5], "a class without images");
    }
}
