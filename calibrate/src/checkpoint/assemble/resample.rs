//! A position table for another grid, as PyTorch's `interpolate` resamples it.

use crate::checkpoint::anatomy::Resampling;

/// Source rows and their weights for each target row along one axis.
type Taps = Vec<Vec<(usize, f32)>>;

/// Keys' cubic kernel at distance `x`.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

/// Taps of the antialiased cubic: a kernel as wide as the scale, cut and normalized at the edges.
fn antialiased(from: usize, to: usize) -> Taps {
    let scale = from as f64 / to as f64;
    let width = scale.max(1.0);
    let row = |i: usize| {
        let centre = scale * (i as f64 + 0.5);
        let low = (centre - 2.0 * width + 0.5).max(0.0) as usize;
        let high = ((centre + 2.0 * width + 0.5) as usize).min(from);
        let weight = |j: usize| cubic((j as f64 - centre + 0.5) / width, -0.5);
        let total: f64 = (low..high).map(weight).sum();
        (low..high).map(|j| (j, (weight(j) / total) as f32)).collect()
    };
    (0..to).map(row).collect()
}

/// Taps of a kernel of fixed width around `at(i)`, repeating the edges.
fn sampled(from: usize, to: usize, at: impl Fn(f64) -> f64, reach: usize, kernel: impl Fn(f64) -> f64) -> Taps {
    let row = |i: usize| {
        let centre = at(i as f64);
        let first = centre.floor() - (reach as f64 - 1.0);
        let tap = |k: usize| {
            let j = first + k as f64;
            let edge = j.clamp(0.0, (from - 1) as f64) as usize;
            (edge, kernel(j - centre) as f32)
        };
        (0..2 * reach).map(tap).collect()
    };
    (0..to).map(row).collect()
}

fn taps(from: usize, to: usize, resampling: Resampling) -> Taps {
    let scale = from as f64 / to as f64;
    let centred = move |i: f64| (i + 0.5) * scale - 0.5;
    let triangle = |x: f64| (1.0 - x.abs()).max(0.0);
    match resampling {
        Resampling::Bicubic => antialiased(from, to),
        Resampling::BicubicAliased => sampled(from, to, centred, 2, |x| cubic(x, -0.75)),
        // PyTorch does not look before the first sample here.
        Resampling::Bilinear => sampled(from, to, move |i| centred(i).max(0.0), 1, triangle),
        Resampling::BilinearCorners => {
            let step = if to > 1 { (from - 1) as f64 / (to - 1) as f64 } else { 0.0 };
            sampled(from, to, move |i| i * step, 1, triangle)
        }
    }
}

/// Resamples a table of (from, from, width) values to (to, to, width): along rows, then along columns.
pub(super) fn resample(
    table: &[f32],
    width: usize,
    [from, to]: [usize; 2],
    resampling: Resampling,
) -> Vec<f32> {
    let taps = taps(from, to, resampling);
    let sum = |rows: &dyn Fn(usize) -> usize, source: &[f32], target: &mut [f32], row: &[(usize, f32)]| {
        for &(j, weight) in row {
            let values = &source[rows(j)..][..width];
            target.iter_mut().zip(values).for_each(|(t, v)| *t += weight * v);
        }
    };
    let mut across = vec![0.0; from * to * width];
    for (cell, target) in across.chunks_exact_mut(width).enumerate() {
        let (y, x) = (cell / to, cell % to);
        sum(&|j| (y * from + j) * width, table, target, &taps[x]);
    }
    let mut down = vec![0.0; to * to * width];
    for (cell, target) in down.chunks_exact_mut(width).enumerate() {
        let (y, x) = (cell / to, cell % to);
        sum(&|j| (j * to + x) * width, &across, target, &taps[y]);
    }
    down
}
