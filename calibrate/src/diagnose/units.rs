//! From a pack's tensors back to what their integers mean.
//!
//! A pack folds the steps of its integers into the tensors around them. The checkpoint's real tensors beside them tell what
//! the steps were.

use crate::checkpoint::Affine;
use mergevit_runtime::pack::{Linear, Norm};
use mergevit_runtime::{Pack, TensorKind};

/// Real values of a layer's input: `x = step q + shift` for the integer q.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// (K)
    pub(super) step: Vec<f64>,
    /// (K)
    pub(super) shift: Vec<f64>,
}

impl Steps {
    /// Those of hidden channels, of which the pack has (2, F) one over the steps, then the zero points.
    pub(super) fn of_hidden(packed: &[f32]) -> Self {
        let (inverse, zero_point) = packed.split_at(packed.len() / 2);
        let step = inverse.iter().map(|&inverse| 1.0 / f64::from(inverse));
        let step: Vec<f64> = step.collect();
        let shift = step.iter().zip(zero_point);
        Self {
            shift: shift.map(|(step, &zero)| -step * f64::from(zero)).collect(),
            step,
        }
    }

    /// Those of a norm's output, from the real norm and the one in the pack.
    pub(super) fn of_norm(real: &Affine, packed: &Affine) -> Self {
        let channels = || real.gain.iter().zip(&packed.gain);
        let step = channels().map(|(&real, &packed)| match packed == 0.0 {
            // The channel is constant: any step does.
            true => 1.0,
            false => f64::from(real) / f64::from(packed),
        });
        let step: Vec<f64> = step.collect();
        let biases = real.bias.iter().zip(&packed.bias).zip(&step);
        let shift =
            biases.map(|((&real, &packed), step)| f64::from(real) - step * f64::from(packed));
        Self {
            shift: shift.collect(),
            step,
        }
    }
}

/// Weights (N, K) and bias (N) of a linear layer from a pack's integers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layer {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Layer {
    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// A layer of the pack over its integer inputs, in the units of its output; none if the pack has none.
    pub(super) fn packed(pack: &Pack, which: Linear, layer: Option<usize>) -> Option<Self> {
        let tensors = which.tensors();
        let data = pack.tensor_i8(tensors.weight, layer)?;
        let scale = pack.tensor_f32(tensors.scale, layer)?;
        let rows = data.chunks_exact(data.len() / scale.len());
        let row = |(row, &scale): (&[i8], &f32)| -> Vec<f32> {
            row.iter().map(|&q| scale * f32::from(q)).collect()
        };
        Some(Self {
            weight: rows.zip(scale).flat_map(row).collect(),
            bias: pack.tensor_f32(tensors.bias, layer)?.to_vec(),
        })
    }

    /// The checkpoint's layer over the same integer inputs, in real units.
    pub(super) fn exact(weight: &[f32], bias: &[f32], input: &Steps) -> Self {
        let rows = || weight.chunks_exact(input.step.len());
        let scaled = |row: &[f32]| -> Vec<f32> {
            let row = row.iter().zip(&input.step);
            row.map(|(&w, step)| (f64::from(w) * step) as f32).collect()
        };
        let moved = |(row, &bias): (&[f32], &f32)| {
            let row = row.iter().zip(&input.shift);
            let moved: f64 = row.map(|(&w, shift)| f64::from(w) * shift).sum();
            (f64::from(bias) + moved) as f32
        };
        Self {
            weight: rows().flat_map(scaled).collect(),
            bias: rows().zip(bias).map(moved).collect(),
        }
    }

    /// (N) the real value of one unit of each of `packed`'s outputs, if `self` is the same layer in real units: the
    /// factor between the two that leaves the least squares. Rows of one group share theirs, as `groups` says, their
    /// lengths one after the other. Where a group is all zero, it is 1.
    pub(super) fn units(&self, packed: &Self, groups: &[usize]) -> Vec<f64> {
        let mut units = Vec::with_capacity(self.bias.len());
        let inputs = self.inputs();
        for &rows in groups {
            let part = units.len() * inputs..(units.len() + rows) * inputs;
            let (mut product, mut square) = (0.0, 0.0);
            for (&real, &packed) in self.weight[part.clone()].iter().zip(&packed.weight[part]) {
                product += f64::from(real) * f64::from(packed);
                square += f64::from(packed) * f64::from(packed);
            }
            let unit = if square > 0.0 { product / square } else { 1.0 };
            units.extend(std::iter::repeat_n(unit, rows));
        }
        units
    }

    /// The layer with its outputs in `units`.
    pub(super) fn in_units(mut self, units: &[f64]) -> Self {
        let inputs = self.inputs();
        let rows = self.weight.chunks_exact_mut(inputs).zip(&mut self.bias);
        for ((row, bias), unit) in rows.zip(units) {
            let inverse = (1.0 / unit) as f32;
            row.iter_mut().for_each(|w| *w *= inverse);
            *bias *= inverse;
        }
        self
    }

    /// (N) what the bias must be for outputs to have the mean of `packed`'s, given that of the inputs (K).
    ///
    /// A pack folds the shift of the values and the correction of their mean error into one number, which nothing
    /// takes apart; that both layers have the same mean does.
    pub(super) fn mean_bias(&self, packed: &Self, mean: &[f64]) -> Vec<f32> {
        let inputs = self.inputs();
        let rows = self
            .weight
            .chunks_exact(inputs)
            .zip(packed.weight.chunks_exact(inputs));
        let bias = |((real, packed), bias): ((&[f32], &[f32]), &f32)| {
            let pairs = real.iter().zip(packed).zip(mean);
            let moved: f64 = pairs
                .map(|((&real, &packed), mean)| (f64::from(packed) - f64::from(real)) * mean)
                .sum();
            (f64::from(*bias) + moved) as f32
        };
        rows.zip(&packed.bias).map(bias).collect()
    }
}

/// A norm of the pack; none if the pack has none.
pub(super) fn packed_norm(pack: &Pack, which: Norm, layer: Option<usize>) -> Option<Affine> {
    let tensors = which.tensors();
    Some(Affine {
        gain: vector(pack, tensors.gain, layer)?,
        bias: vector(pack, tensors.bias, layer)?,
    })
}

/// A vector of the pack.
pub(super) fn vector(pack: &Pack, kind: TensorKind, layer: Option<usize>) -> Option<Vec<f32>> {
    pack.tensor_f32(kind, layer).map(<[f32]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norms_steps_are_what_its_affine_was_divided_by() {
        let real = Affine {
            gain: vec![3.0, 0.0],
            bias: vec![1.0, 7.0],
        };
        let packed = Affine {
            gain: vec![6.0, 0.0],
            bias: vec![-8.0, 2.0],
        };
        let steps = Steps::of_norm(&real, &packed);
        assert_eq!(steps.step, [0.5, 1.0]);
        // q = -8 is 1, and q = 2 is 7.
        assert_eq!(steps.shift, [5.0, 5.0]);
    }

    #[test]
    fn units_and_means_are_found_again() {
        let real = Layer {
            weight: vec![1.0, 2.0, -3.0, 4.0, 0.0, 0.0],
            bias: vec![0.0; 3],
        };
        // The first two rows in steps of 0.5, with small errors of rounding.
        let packed = Layer {
            weight: vec![2.01, 3.99, -6.0, 8.0, 0.0, 0.0],
            bias: vec![1.0, 2.0, 3.0],
        };
        let units = real.units(&packed, &[2, 1]);
        assert!((units[0] - 0.5).abs() < 1e-3 && units[0] == units[1] && units[2] == 1.0);
        let exact = real.in_units(&[0.5, 0.5, 1.0]);
        assert_eq!(exact.weight[..4], [2.0, 4.0, -6.0, 8.0]);
        let bias = exact.mean_bias(&packed, &[10.0, 10.0]);
        assert!(
            (bias[0] - 1.0).abs() < 1e-5 && bias[1..] == [2.0, 3.0],
            "{bias:?}"
        );
    }
}
