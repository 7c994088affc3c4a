//! What calibration keeps of the activations: limits of all values, and some rows.

use super::error::ObserveError;

/// What is kept of one activation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// (C) smallest and largest value of each channel, over all rows seen.
    pub limits: Vec<(f32, f32)>,
    /// (R, C) the rows that were kept.
    pub samples: Vec<f32>,
}

/// Widens `limits` (C) by `values` (R, C). NaN is remembered as a NaN limit.
pub(super) fn widen(limits: &mut Vec<(f32, f32)>, values: &[f32], width: usize) {
    limits.resize(width, (f32::INFINITY, f32::NEG_INFINITY));
    for row in values.chunks_exact(width) {
        for ((min, max), &x) in limits.iter_mut().zip(row) {
            // A NaN stays, because no comparison with it is true.
            if x < *min || x.is_nan() {
                *min = x;
            }
            if x > *max || x.is_nan() {
                *max = x;
            }
        }
    }
}

/// Widens `limits` by those of other rows.
fn widen_by(limits: &mut Vec<(f32, f32)>, others: &[(f32, f32)]) {
    if others.is_empty() {
        return;
    }
    let ends: Vec<f32> = others.iter().map(|other| other.0).collect();
    widen(limits, &ends, others.len());
    let ends: Vec<f32> = others.iter().map(|other| other.1).collect();
    widen(limits, &ends, others.len());
}

impl Rows {
    fn append(&mut self, other: &Self) {
        widen_by(&mut self.limits, &other.limits);
        self.samples.extend_from_slice(&other.samples);
    }

    /// Widens the limits by `values` (R, C), and keeps the rows with the indices `keep`.
    pub(super) fn record(&mut self, values: &[f32], width: usize, keep: &[usize]) {
        widen(&mut self.limits, values, width);
        for &row in keep {
            self.samples
                .extend_from_slice(&values[row * width..][..width]);
        }
    }
}

/// Statistics of one encoder layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerStatistics {
    /// Output of the first norm.
    pub norm1: Rows,
    /// Queries; rows, the same as those of `norm1`, are kept where they were rotated.
    pub query: Rows,
    /// Keys, likewise.
    pub key: Rows,
    /// (A) limits of the values.
    pub value: Vec<(f32, f32)>,
    /// Attention's output before the projection; the same rows as `norm1`.
    pub context: Rows,
    /// Output of the second norm.
    pub norm2: Rows,
    /// (F') limits of the MLP's hidden channels.
    pub hidden: Vec<(f32, f32)>,
    /// Output of the norm inside a gated MLP; the same rows as `norm2`.
    pub inner: Rows,
}

impl LayerStatistics {
    fn append(&mut self, other: &Self) {
        self.norm1.append(&other.norm1);
        self.query.append(&other.query);
        self.key.append(&other.key);
        widen_by(&mut self.value, &other.value);
        self.context.append(&other.context);
        self.norm2.append(&other.norm2);
        widen_by(&mut self.hidden, &other.hidden);
        self.inner.append(&other.inner);
    }

    fn check(&self, index: usize) -> Result<(), ObserveError> {
        let name = |name: &'static str| move || format!("layer {index}, {name}");
        check(&self.norm1.limits, name("first norm"))?;
        check(&self.query.limits, name("query"))?;
        check(&self.key.limits, name("key"))?;
        check(&self.value, name("value"))?;
        check(&self.context.limits, name("attention context"))?;
        check(&self.norm2.limits, name("second norm"))?;
        check(&self.hidden, name("hidden channels"))?;
        check(&self.inner.limits, name("inner norm"))
    }
}

/// Statistics of the pooling that attends; empty in other models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolingStatistics {
    /// All tokens, normalized.
    pub tokens: Rows,
    /// (2A) limits of keys and values.
    pub key_value: Vec<(f32, f32)>,
    /// Attention's output before the projection, a row an image.
    pub context: Rows,
    /// The norm's output, a row an image.
    pub norm: Rows,
    /// (F') limits of the MLP's hidden channels.
    pub hidden: Vec<(f32, f32)>,
}

impl PoolingStatistics {
    fn append(&mut self, other: &Self) {
        self.tokens.append(&other.tokens);
        widen_by(&mut self.key_value, &other.key_value);
        self.context.append(&other.context);
        self.norm.append(&other.norm);
        widen_by(&mut self.hidden, &other.hidden);
    }

    fn check(&self) -> Result<(), ObserveError> {
        let name = |name: &'static str| move || format!("pooling, {name}");
        check(&self.tokens.limits, name("token norm"))?;
        check(&self.key_value, name("keys and values"))?;
        check(&self.context.limits, name("attention context"))?;
        check(&self.norm.limits, name("norm"))?;
        check(&self.hidden, name("hidden channels"))
    }
}

/// Statistics of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Images seen.
    pub images: u64,
    /// (R, 3 p^2) pixels of some patches, less 128, in (y, x, colour) order.
    pub patches: Vec<f32>,
    /// One per layer.
    pub layers: Vec<LayerStatistics>,
    /// Of the pooling that attends.
    pub pooling: PoolingStatistics,
    /// The pooled vector after the last norm, as the classifier sees it.
    pub final_norm: Rows,
}

fn check(limits: &[(f32, f32)], name: impl Fn() -> String) -> Result<(), ObserveError> {
    match limits
        .iter()
        .position(|(min, max)| !(min.is_finite() && max.is_finite()))
    {
        Some(channel) => Err(ObserveError::NonFinite {
            activation: name(),
            channel,
        }),
        None => Ok(()),
    }
}

impl Statistics {
    /// Adds the statistics of further images.
    pub(super) fn append(&mut self, other: Self) {
        self.images += other.images;
        self.patches.extend(other.patches);
        for (layer, other) in self.layers.iter_mut().zip(&other.layers) {
            layer.append(other);
        }
        self.pooling.append(&other.pooling);
        self.final_norm.append(&other.final_norm);
    }

    /// Checks that every activation was seen and is finite.
    ///
    /// # Errors
    /// [`ObserveError`], naming the layer and the activation.
    pub(super) fn check(&self) -> Result<(), ObserveError> {
        if self.images == 0 {
            return Err(ObserveError::NoImages);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            layer.check(index)?;
        }
        self.pooling.check()?;
        check(&self.final_norm.limits, || "last norm".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_widen_and_remember_nan() {
        let mut rows = Rows::default();
        rows.record(&[1.0, -2.0, 3.0, 0.0], 2, &[1]);
        assert_eq!(rows.limits, [(1.0, 3.0), (-2.0, 0.0)]);
        assert_eq!(rows.samples, [3.0, 0.0]);
        let mut other = Rows::default();
        other.record(&[f32::NAN, 5.0], 2, &[]);
        other.record(&[9.0, 9.0], 2, &[]);
        rows.append(&other);
        assert!(rows.limits[0].0.is_nan() && rows.limits[0].1.is_nan());
        assert_eq!(rows.limits[1], (-2.0, 9.0));
    }

    #[test]
    fn what_is_not_finite_is_named() {
        let layer = LayerStatistics {
            norm1: Rows {
                limits: vec![(0.0, 1.0)],
                samples: vec![],
            },
            query: Rows {
                limits: vec![(0.0, 1.0), (0.0, f32::INFINITY)],
                samples: vec![],
            },
            ..LayerStatistics::default()
        };
        let statistics = Statistics {
            images: 1,
            layers: vec![layer],
            ..Statistics::default()
        };
        let error = statistics.check().unwrap_err();
        assert_eq!(
            error,
            ObserveError::NonFinite {
                activation: "layer 0, query".into(),
                channel: 1
            }
        );
        assert_eq!(Statistics::default().check(), Err(ObserveError::NoImages));
    }
}
