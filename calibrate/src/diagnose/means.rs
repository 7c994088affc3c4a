//! Means of activations.

/// The means of what values are made of: the first norm of each layer, and the norm before the pooling that attends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Means {
    /// A row of sums, later of means, with the number of rows it was added from: one a layer, then the pooling's.
    rows: Vec<(Vec<f64>, u64)>,
}

impl Means {
    /// Of nothing yet.
    pub(super) fn new(depth: usize, width: usize) -> Self {
        Self {
            rows: vec![(vec![0.0; width], 0); depth + 1],
        }
    }

    /// Adds rows of a layer, or of the pooling.
    pub(super) fn see(&mut self, layer: Option<usize>, values: &[f32], width: usize) {
        let pooling = self.rows.len() - 1;
        let (sums, count) = &mut self.rows[layer.unwrap_or(pooling)];
        for row in values.chunks_exact(width) {
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, &x)| *sum += f64::from(x));
            *count += 1;
        }
    }

    /// Adds what another has seen.
    pub(super) fn add(mut self, other: Self) -> Self {
        for ((sums, count), (others, more)) in self.rows.iter_mut().zip(other.rows) {
            sums.iter_mut()
                .zip(others)
                .for_each(|(sum, other)| *sum += other);
            *count += more;
        }
        self
    }

    /// From sums to means.
    pub(super) fn divided(mut self) -> Self {
        for (sums, count) in &mut self.rows {
            let rows = (*count).max(1) as f64;
            sums.iter_mut().for_each(|sum| *sum /= rows);
            *count = 1;
        }
        self
    }

    /// (C) the mean of a layer's first norm.
    pub(super) fn of_layer(&self, layer: usize) -> &[f64] {
        &self.rows[layer].0
    }

    /// (C) the mean before the pooling.
    pub(super) fn of_pooling(&self) -> &[f64] {
        &self.rows[self.rows.len() - 1].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_all_rows() {
        let mut one = Means::new(2, 2);
        one.see(Some(1), &[1.0, 2.0, 3.0, 4.0], 2);
        let mut other = Means::new(2, 2);
        other.see(Some(1), &[8.0, 0.0], 2);
        other.see(None, &[5.0, 6.0], 2);
        let means = one.add(other).divided();
        assert_eq!(means.of_layer(1), [4.0, 2.0]);
        assert_eq!(means.of_pooling(), [5.0, 6.0]);
        assert_eq!(means.of_layer(0), [0.0, 0.0]);
    }
}
