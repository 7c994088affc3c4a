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

/// Taps of an antialiased kernel that reaches `reach` samples to both sides: as wide as the scale, cut and normalized
/// at the edges.
fn antialiased(from: usize, to: usize, reach: f64, kernel: impl Fn(f64) -> f64) -> Taps {
    let scale = from as f64 / to as f64;
    let width = scale.max(1.0);
    let row = |i: usize| {
        let centre = scale * (i as f64 + 0.5);
        let low = (centre - reach * width + 0.5).max(0.0) as usize;
        let high = ((centre + reach * width + 0.5) as usize).min(from);
        let weight = |j: usize| kernel((j as f64 - centre + 0.5) / width);
        let total: f64 = (low..high).map(weight).sum();
        (low..high)
            .map(|j| (j, (weight(j) / total) as f32))
            .collect()
    };
    (0..to).map(row).collect()
}

/// Taps of a kernel of fixed width around `at(i)`, repeating the edges.
fn sampled(
    from: usize,
    to: usize,
    at: impl Fn(f64) -> f64,
    reach: usize,
    kernel: impl Fn(f64) -> f64,
) -> Taps {
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
        Resampling::Bicubic => antialiased(from, to, 2.0, |x| cubic(x, -0.5)),
        Resampling::BilinearAntialiased => antialiased(from, to, 1.0, triangle),
        Resampling::BicubicAliased => sampled(from, to, centred, 2, |x| cubic(x, -0.75)),
        // PyTorch does not look before the first sample here.
        Resampling::Bilinear => sampled(from, to, move |i| centred(i).max(0.0), 1, triangle),
        Resampling::BilinearCorners => {
            let step = if to > 1 {
                (from - 1) as f64 / (to - 1) as f64
            } else {
                0.0
            };
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
    let sum = |rows: &dyn Fn(usize) -> usize,
               source: &[f32],
               target: &mut [f32],
               row: &[(usize, f32)]| {
        for &(j, weight) in row {
            let values = &source[rows(j)..][..width];
            target
                .iter_mut()
                .zip(values)
                .for_each(|(t, v)| *t += weight * v);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that no filter keeps.
    fn table(side: usize) -> Vec<f32> {
        let value = |i: usize| {
            let (y, x) = (i / side, i % side);
            ((3 * y * y + 5 * x + y * x * 7) % 11) as f32 / 4.0
        };
        (0..side * side).map(value).collect()
    }

    /// From `torch.nn.functional.interpolate`, 5 to 3 and 3 to 5 patches a side.
    const TORCH: [(Resampling, [f32; 9], [f32; 25]); 4] = [
        (
            Resampling::Bicubic,
            [
                0.630_177_6,
                1.649_642,
                1.685_207,
                1.221_288,
                1.396_052,
                0.970_751_5,
                1.312_13,
                1.026_029,
                1.453_254,
            ],
            [
                -0.156_639_3,
                0.348_951,
                1.268_868,
                2.188_785,
                2.694_375,
                0.223_493_4,
                0.531_103_8,
                1.106_343,
                1.756_015,
                2.121_621,
                0.731_132_1,
                0.826_492_5,
                1.0,
                1.173_507,
                1.268_868,
                0.357_716_1,
                0.949_334_4,
                1.800_373,
                1.572_149,
                1.322_832,
                0.051_352_88,
                0.997_043_1,
                2.344_34,
                1.903_865,
                1.456_568,
            ],
        ),
        (
            Resampling::BicubicAliased,
            [
                0.472_651_5,
                2.092_593,
                1.828_274,
                0.921_296_6,
                1.5,
                0.194_444_2,
                1.249_571,
                0.787_036_5,
                1.504_287,
            ],
            [
                -0.201_215_9,
                0.353_336_7,
                1.274,
                2.194_664,
                2.749_217,
                0.256_344_1,
                0.545_320_5,
                1.063,
                1.687_6,
                2.086_664,
                0.726_000_1,
                0.829_000_1,
                1.0,
                1.171,
                1.274,
                0.378_095_9,
                1.013_86,
                1.747,
                1.571_32,
                1.271_337,
                -0.006_127_84,
                1.104_097,
                2.37,
                2.008_344,
                1.442_785,
            ],
        ),
        (
            Resampling::Bilinear,
            [
                0.555_555_5,
                2.083_333,
                1.777_778,
                0.916_666_6,
                1.5,
                0.250_000_1,
                1.194_445,
                0.833_333_3,
                1.388_889,
            ],
            [
                0.0, 0.5, 1.25, 2.0, 2.5, 0.3, 0.64, 1.15, 1.66, 2.0, 0.75, 0.85, 1.0, 1.15, 1.25,
                0.45, 0.97, 1.75, 1.54, 1.4, 0.25, 1.05, 2.25, 1.8, 1.5,
            ],
        ),
        (
            Resampling::BilinearCorners,
            [0.0, 2.5, 2.25, 0.25, 1.5, 0.0, 1.0, 1.0, 1.0],
            [
                0.0, 0.625, 1.25, 1.875, 2.5, 0.375, 0.75, 1.125, 1.5, 1.875, 0.75, 0.875, 1.0,
                1.125, 1.25, 0.5, 1.062_5, 1.625, 1.5, 1.375, 0.25, 1.25, 2.25, 1.875, 1.5,
            ],
        ),
    ];

    #[test]
    fn tables_are_resampled_as_pytorch_does() {
        let check = |found: Vec<f32>, expected: &[f32], resampling| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let off = (found - expected).abs();
                assert!(off < 2e-6, "{resampling:?}: {found}, not {expected}");
            }
        };
        for (resampling, smaller, larger) in TORCH {
            check(
                resample(&table(5), 1, [5, 3], resampling),
                &smaller,
                resampling,
            );
            check(
                resample(&table(3), 1, [3, 5], resampling),
                &larger,
                resampling,
            );
        }
    }

    #[test]
    fn channels_are_resampled_each_by_itself() {
        let one = table(3);
        let two: Vec<f32> = one.iter().flat_map(|x| [*x, 2.0 * x]).collect();
        let found = resample(&two, 2, [3, 4], Resampling::Bicubic);
        let single = resample(&one, 1, [3, 4], Resampling::Bicubic);
        let expected: Vec<f32> = single.iter().flat_map(|x| [*x, 2.0 * x]).collect();
        assert_eq!(found, expected);
    }
}
