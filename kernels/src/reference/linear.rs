use crate::math::{gelu, sat8};
use crate::ops::{Embed, Epilogue, LinearWeights};
use half::f16;

/// `sum over k of input[k] * weights[k]`, exact.
fn dot(input: &[i8], weights: &[i8]) -> i32 {
    input
        .iter()
        .zip(weights)
        .map(|(&a, &w)| i32::from(a) * i32::from(w))
        .sum()
}

/// `input` (M, K) times the transpose of the weights (N, K); then the epilogue on each (M, N) sum.
pub fn linear(rows: usize, input: &[i8], weights: &LinearWeights<'_>, mut epilogue: Epilogue<'_>) {
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    assert_eq!(input.len(), rows * inputs);
    assert_eq!(weights.data.len(), outputs * inputs);
    for m in 0..rows {
        let row = &input[m * inputs..][..inputs];
        for n in 0..outputs {
            let acc = dot(row, &weights.data[n * inputs..][..inputs]);
            let y = (acc as f32).mul_add(weights.scale[n], weights.bias[n]);
            finish(&mut epilogue, m, n, outputs, y);
        }
    }
    if let Epilogue::Embed(embed) = &mut epilogue {
        class_tokens(embed, outputs);
    }
}

fn finish(epilogue: &mut Epilogue<'_>, m: usize, n: usize, outputs: usize, y: f32) {
    match epilogue {
        Epilogue::Requantize { output } => output[m * outputs + n] = sat8(y),
        Epilogue::GeluRequantize {
            inverse_scale,
            zero_point,
            output,
        } => {
            output[m * outputs + n] = sat8(gelu(y).mul_add(*inverse_scale, *zero_point));
        }
        Epilogue::ResidualAdd { residual } => {
            let x = &mut residual[m * outputs + n];
            *x = f16::from_f32(x.to_f32() + y);
        }
        Epilogue::Embed(Embed {
            batch,
            class_token,
            position,
            residual,
        }) => {
            let tokens = position.len() / outputs;
            let patches = tokens - usize::from(*class_token);
            assert!(m < *batch * patches);
            let (image, token) = (m / patches, m % patches + usize::from(*class_token));
            residual[(image * tokens + token) * outputs + n] =
                f16::from_f32(y + position[token * outputs + n]);
        }
    }
}

fn class_tokens(embed: &mut Embed<'_>, width: usize) {
    if embed.class_token {
        for image in embed.residual.chunks_exact_mut(embed.position.len()) {
            for (x, &p) in image[..width].iter_mut().zip(embed.position) {
                *x = f16::from_f32(p);
            }
        }
    }
}

/// The classifier: activations `256 * high + low` (B, K), `logits` (B, N).
///
/// Two i8 products make one exact 16-bit product; each sum stays an i32 and is rounded to f32 by itself.
pub fn head(high: &[i8], low: &[i8], weights: &LinearWeights<'_>, logits: &mut [f32]) {
    let inputs = weights.inputs;
    assert_eq!(high.len(), low.len());
    assert_eq!(high.len() / inputs * weights.outputs, logits.len());
    for (m, logits) in logits.chunks_exact_mut(weights.outputs).enumerate() {
        let (high, low) = (&high[m * inputs..][..inputs], &low[m * inputs..][..inputs]);
        for (n, logit) in logits.iter_mut().enumerate() {
            let w = &weights.data[n * inputs..][..inputs];
            let scale = weights.scale[n];
            let fine = (dot(low, w) as f32).mul_add(scale, weights.bias[n]);
            *logit = (dot(high, w) as f32).mul_add(256.0 * scale, fine);
        }
    }
}
