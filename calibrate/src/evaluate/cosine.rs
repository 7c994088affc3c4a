//! How near embeddings are to those of full precision.

/// The cosine of the angle between two vectors; 0 if one has no direction.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

/// The cosines of many pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cosines {
    pairs: u64,
    sum: f64,
    least: Option<f64>,
}

impl Cosines {
    /// Adds one.
    pub fn add(&mut self, cosine: f64) {
        self.pairs += 1;
        self.sum += cosine;
        self.least = Some(self.least.map_or(cosine, |least| least.min(cosine)));
    }

    /// Their mean; none of none.
    pub fn mean(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.sum / self.pairs as f64)
    }

    /// The smallest; none of none.
    pub fn least(&self) -> Option<f64> {
        self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_of_directions() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 5.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
        let mut all = Cosines::default();
        assert_eq!((all.mean(), all.least()), (None, None));
        [0.5, 1.0].into_iter().for_each(|cosine| all.add(cosine));
        assert_eq!((all.mean(), all.least()), (Some(0.75), Some(0.5)));
    }
}
