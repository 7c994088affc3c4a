use crate::math::sat8;
use crate::ops::{Embed, Epilogue, LinearWeights, Rotation};
use half::f16;

/// `sum over k of input[k] * weights[k]`, exact.
fn dot(input: &[i8], weights: &[i8]) -> i32 {
    input
        .iter()
        .zip(weights)
        .map(|(&a, &w)| i32::from(a) * i32::from(w))
        .sum()
}

/// `input` (M, K) times the transpose of the weights (N, K); then the epilogue on the sums, two neighbouring
/// columns at a time. N is even.
pub fn linear(rows: usize, input: &[i8], weights: &LinearWeights<'_>, mut epilogue: Epilogue<'_>) {
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    assert_eq!(input.len(), rows * inputs);
    assert_eq!(weights.data.len(), outputs * inputs);
    assert!(outputs.is_multiple_of(2));
    for m in 0..rows {
        let row = &input[m * inputs..][..inputs];
        let y = |n: usize| {
            let acc = dot(row, &weights.data[n * inputs..][..inputs]);
            (acc as f32).mul_add(weights.scale[n], weights.bias[n])
        };
        for n in (0..outputs).step_by(2) {
            finish(&mut epilogue, (m, n), outputs, [y(n), y(n + 1)]);
        }
    }
    if let Epilogue::Embed(embed) = &mut epilogue {
        prefix(embed, outputs);
    }
}

/// What the epilogue does with `y`, columns n and n + 1 of row m.
fn finish(epilogue: &mut Epilogue<'_>, (m, n): (usize, usize), outputs: usize, y: [f32; 2]) {
    let at = m * outputs + n;
    match epilogue {
        Epilogue::Requantize { output } => output[at..][..2].copy_from_slice(&y.map(sat8)),
        Epilogue::Rotate { rotation, output } => {
            output[at..][..2].copy_from_slice(&rotate(rotation, (m, n), y).map(sat8));
        }
        Epilogue::Activate {
            activation,
            steps,
            output,
        } => {
            for (i, y) in y.into_iter().enumerate() {
                let (inverse, zero) = (steps.inverse[n + i], steps.zero_point[n + i]);
                output[at + i] = sat8(activation.apply(y).mul_add(inverse, zero));
            }
        }
        Epilogue::Gate { activation, output } => {
            output[at / 2] = sat8(activation.apply(y[0]) * y[1]);
        }
        Epilogue::GateHalf { activation, output } => {
            output[at / 2] = f16::from_f32(activation.apply(y[0]) * y[1]);
        }
        Epilogue::Half { output } => output[at..][..2].copy_from_slice(&y.map(f16::from_f32)),
        Epilogue::ResidualAdd { residual } => {
            for (x, y) in residual[at..][..2].iter_mut().zip(y) {
                *x = f16::from_f32(x.to_f32() + y);
            }
        }
        Epilogue::Embed(embed) => {
            let tokens = embed.position.len() / outputs;
            let patches = tokens - embed.prefix;
            assert!(m < embed.batch * patches);
            let (image, token) = (m / patches, m % patches + embed.prefix);
            let to = &mut embed.residual[(image * tokens + token) * outputs + n..][..2];
            let position = &embed.position[token * outputs + n..][..2];
            for ((x, y), &p) in to.iter_mut().zip(y).zip(position) {
                *x = f16::from_f32(y + p);
            }
        }
    }
}

/// The pair at columns n and n + 1 of row m, turned if it is of a query or a key.
fn rotate(rotation: &Rotation<'_>, (m, n): (usize, usize), [a, b]: [f32; 2]) -> [f32; 2] {
    let (heads, width) = (rotation.heads, rotation.head_width);
    if n >= 2 * heads * width {
        return [a, b];
    }
    let (tables, table) = match rotation.shared {
        true => (1, 0),
        false => (heads, n / width % heads),
    };
    let at = (m * tables + table) * width + n % width;
    let (cos, sin) = (rotation.table[at], rotation.table[at + 1]);
    [a.mul_add(cos, -(b * sin)), b.mul_add(cos, a * sin)]
}

/// The rows before the patches.
fn prefix(embed: &mut Embed<'_>, width: usize) {
    let prefix = embed.prefix * width;
    for image in embed.residual.chunks_exact_mut(embed.position.len()) {
        for (x, &p) in image[..prefix].iter_mut().zip(embed.position) {
            *x = f16::from_f32(p);
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
