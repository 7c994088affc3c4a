//! Elementwise functions of the full-precision pass: loops that the compiler vectorizes on any target, for the widest
//! vectors that the machine has.
//!
//! They multiply and add separately: without FMA in the build's target, a fused multiply-add is a library
//! call. So their bits are the same on every machine.

use crate::checkpoint::Affine;
use mergevit_runtime::{ActivationName, Normalization};
use pulp::{Arch, Simd, WithSimd};

/// A loop that is compiled for each set of instructions.
struct Loop<I, F> {
    items: I,
    body: F,
}

impl<I: Iterator, F: FnMut(I::Item)> WithSimd for Loop<I, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        for item in self.items {
            (self.body)(item);
        }
    }
}

/// `body` of each of the items, for the widest vectors that the machine has. It is to be inlined, as all that it calls:
/// loops over iterators, not [`Iterator::for_each`].
fn each<I: IntoIterator>(items: I, body: impl FnMut(I::Item)) {
    let items = items.into_iter();
    Arch::new().dispatch(Loop { items, body });
}

/// Sums that a reduction keeps beside each other, so that it does not wait for one addition after the other.
const LANES: usize = 16;

/// `combine` over all values, in [`LANES`] parts that begin as `start` and are combined in the end.
#[inline(always)]
fn reduce<T: Copy>(
    values: &[f32],
    start: T,
    term: impl Fn(f32) -> T,
    combine: impl Fn(T, T) -> T,
) -> T {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut parts = [start; LANES];
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part = combine(*part, term(x));
        }
    }
    for (part, &x) in parts.iter_mut().zip(rest) {
        *part = combine(*part, term(x));
    }
    parts.into_iter().fold(start, combine)
}

/// Beyond this magnitude GELU is 0 or the identity to within 8.7e-7.
const GELU_LIMIT: f32 = 5.1;

/// `2 / GELU_LIMIT^2`: maps a^2 onto [-1, 1].
const GELU_MAP: f32 = 2.0 / (5.1 * 5.1);

/// `(Phi(a) - 1/2) / a` as a polynomial in `a^2 GELU_MAP - 1`, lowest power first.
const GELU_POLY: [f32; 13] = [
    0.138_605_28,
    -0.069_003_26,
    0.050_782_956,
    -0.040_218_674,
    0.031_716_023,
    -0.024_016_36,
    0.017_465_442,
    -0.012_024_595,
    0.006_860_141,
    -0.003_229_168_5,
    0.002_404_080_7,
    -0.001_957_047_7,
    0.000_654_374_66,
];

/// GELU with the error function, to 2e-6 absolute.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let a = x.abs().min(GELU_LIMIT);
    let t = a * a * GELU_MAP - 1.0;
    let p = GELU_POLY.iter().rev().fold(0.0, |p, &c| p * t + c);
    x.max(0.0) - a * (0.5 - a * p)
}

/// `1 / (1 + e^-x)`, relative error 5e-7.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// `0.5 (1 + tanh(y)) = sigmoid(2 y)`, with y = sqrt(2 / pi) (x + 0.044715 x^3).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SLOPE: f32 = 1.595_769;
    x * sigmoid(SLOPE * (x + 0.044_715 * x * x * x))
}

/// The activation of every value, in place.
pub(crate) fn activate(name: ActivationName, values: &mut [f32]) {
    use ActivationName::{Gelu, GeluTanh, QuickGelu, Silu};
    match name {
        Gelu => change(values, gelu),
        GeluTanh => change(values, gelu_tanh),
        QuickGelu => change(values, |x| x * sigmoid(1.702 * x)),
        Silu => change(values, |x| x * sigmoid(x)),
    }
}

/// `f` of every value, in place.
fn change(values: &mut [f32], f: impl Fn(f32) -> f32) {
    each(
        [values],
        #[inline(always)]
        |row| {
            for x in row {
                *x = f(*x);
            }
        },
    );
}

/// Gates at even places, activated, times values at odd ones: half as many.
pub(crate) fn gate(name: ActivationName, values: &[f32]) -> Vec<f32> {
    let mut gates: Vec<f32> = values.iter().step_by(2).copied().collect();
    activate(name, &mut gates);
    for (gate, value) in gates.iter_mut().zip(values.iter().skip(1).step_by(2)) {
        *gate *= value;
    }
    gates
}

/// Taylor coefficients of 2^f, highest first: `ln(2)^k / k!`. Error 5e-9 for |f| <= 1/2.
const EXP2: [f32; 8] = [
    1.525_273_4e-5,
    1.540_353e-4,
    1.333_355_8e-3,
    9.618_129e-3,
    5.550_411e-2,
    0.240_226_5,
    std::f32::consts::LN_2,
    1.0,
];

/// `e^x` for x <= 0, relative error 2e-7; below -87 the result is next to zero.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let y = x.max(-87.0) * std::f32::consts::LOG2_E;
    let rounded = y + ROUND;
    let f = y - (rounded - ROUND);
    let p = EXP2.iter().fold(0.0, |p, &c| p * f + c);
    // The integer is in the low bits, and all that is above it falls out.
    f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// Softmax of `scale * row + bias` for every row; `bias` is as long as a row.
pub(super) fn softmax_rows(scores: &mut [f32], scale: f32, bias: &[f32]) {
    let rows = scores.chunks_exact_mut(bias.len());
    each(
        rows,
        #[inline(always)]
        |row| softmax(row, scale, bias),
    );
}

#[inline(always)]
fn softmax(row: &mut [f32], scale: f32, bias: &[f32]) {
    for (s, b) in row.iter_mut().zip(bias) {
        *s = *s * scale + b;
    }
    // Not `f32::max`, which costs more: whatever is no number makes all of its row so below.
    let larger = |max, s| if s > max { s } else { max };
    let max = reduce(row, f32::NEG_INFINITY, |s| s, larger);
    for s in &mut *row {
        *s = exp(*s - max);
    }
    let sum = reduce(row, 0.0, |s| s, |sum, s| sum + s);
    for s in row {
        *s /= sum;
    }
}

/// Every row of `input` (M, L) normalized; only the first `count` channels of a row count.
pub(super) fn norm(
    kind: Normalization,
    input: &[f32],
    affine: &Affine,
    count: usize,
    epsilon: f32,
) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    norm_into(&mut output, kind, input, affine, count, epsilon);
    output
}

/// [`norm`] in place of what `output` holds.
pub(super) fn norm_into(
    output: &mut [f32],
    kind: Normalization,
    input: &[f32],
    affine: &Affine,
    count: usize,
    epsilon: f32,
) {
    let width = affine.gain.len();
    let rows = input
        .chunks_exact(width)
        .zip(output.chunks_exact_mut(width));
    each(
        rows,
        #[inline(always)]
        |(row, output)| normalize(kind, row, affine, count, epsilon, output),
    );
}

#[inline(always)]
fn normalize(
    kind: Normalization,
    row: &[f32],
    affine: &Affine,
    count: usize,
    epsilon: f32,
    output: &mut [f32],
) {
    let counted = &row[..count.min(row.len())];
    let count = counted.len() as f64;
    let add = |sum: f64, x: f64| sum + x;
    let mean = match kind {
        Normalization::Layer => (reduce(counted, 0.0, f64::from, add) / count) as f32,
        Normalization::Rms | Normalization::None => 0.0,
    };
    let square = |x: f32| f64::from((x - mean) * (x - mean));
    let rstd = match kind {
        Normalization::Layer | Normalization::Rms => {
            let variance = (reduce(counted, 0.0, square, add) / count) as f32;
            1.0 / (variance + epsilon).sqrt()
        }
        Normalization::None => 1.0,
    };
    let affine = affine.gain.iter().zip(&affine.bias);
    for ((y, x), (g, b)) in output.iter_mut().zip(row).zip(affine) {
        *y = (x - mean) * rstd * g + b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_library() {
        for i in 0..=870_000 {
            let x = -(i as f32) * 1e-4;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) - truth).abs() <= 1e-5 * truth, "x = {x}");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn activations_agree_with_the_kernels() {
        use ActivationName::{Gelu, GeluTanh, QuickGelu, Silu};
        for (name, tolerance) in [
            (Gelu, 2e-5),
            (GeluTanh, 2e-5),
            (QuickGelu, 3e-4),
            (Silu, 5e-4),
        ] {
            for i in -10_000..=10_000 {
                let x = i as f32 * 1e-3;
                let mut y = [x];
                activate(name, &mut y);
                let kernel = name.activation().apply(x);
                assert!((y[0] - kernel).abs() < tolerance, "{name:?} of {x}");
                assert_eq!(gate(name, &[x, -2.0]), [-2.0 * y[0]]);
            }
        }
    }

    #[test]
    fn norms_leave_padding_out() {
        let affine = Affine {
            gain: vec![2.0, 2.0, 0.0],
            bias: vec![1.0, 1.0, 0.0],
        };
        let rows = [3.0, 5.0, 100.0];
        let layer = norm(Normalization::Layer, &rows, &affine, 2, 0.0);
        assert_eq!(layer, [-1.0, 3.0, 0.0]);
        let rms = norm(Normalization::Rms, &rows, &affine, 2, 0.0);
        assert!((rms[0] - (6.0 / 17f32.sqrt() + 1.0)).abs() < 1e-6);
        assert_eq!(
            norm(Normalization::None, &rows, &affine, 3, 0.0),
            [7.0, 11.0, 0.0]
        );
    }
}
