//! Norms of every kind, to every output.

use super::{Candidates, bits, bits32, capacity, compare};
use half::f16;
use mergevit_kernels::ops::{LayerNorm, NormKind};
use mergevit_kernels::testing::Random;

/// Rows of `width` channels, of which `count` are no padding.
pub fn check_norm<S: Candidates>(
    seed: u64,
    kind: NormKind,
    (rows, width, count): (usize, usize, usize),
    magnitude: f32,
) {
    let mut random = Random(seed);
    let mut input = random.f16s(rows * width, magnitude);
    input[..width].fill(f16::from_f32(magnitude)); // a row without variance
    let (gain, bias) = (random.f32s(width, 40.0), random.f32s(width, 20.0));
    let wide: Vec<f32> = gain.iter().map(|g| g * 200.0).collect();
    let norm = LayerNorm {
        kind,
        count,
        gain: &gain,
        bias: &bias,
        epsilon: 1e-6,
    };
    let room = capacity(1, rows, width, width);
    let what = format!("{kind:?} {rows}x{width}, {count} of them, up to {magnitude}");
    let len = rows * width;
    compare::<S, _>(&room, &what, |kernels| {
        let mut output = vec![0; len];
        kernels.layer_norm(&norm, &input, &mut output);
        output
    });
    compare::<S, _>(&room, &what, |kernels| {
        let (mut high, mut low) = (vec![0; len], vec![0; len]);
        let norm = LayerNorm {
            gain: &wide,
            ..norm
        };
        kernels.layer_norm_wide(&norm, &input, &mut high, &mut low);
        (high, low)
    });
    compare::<S, _>(&room, &what, |kernels| {
        let mut output = vec![f16::ZERO; len];
        kernels.layer_norm_half(&norm, &input, &mut output);
        bits(&output)
    });
    compare::<S, _>(&room, &what, |kernels| {
        let mut output = vec![0.0; len];
        kernels.layer_norm_real(&norm, &input, &mut output);
        bits32(&output)
    });
}
