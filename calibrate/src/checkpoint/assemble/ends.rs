//! What follows the layers: norms, attention pooling, head.

use super::block::pad_columns;
use super::sizes::{PoolSizes, Sizes};
use super::{affine, linear};
use crate::checkpoint::anatomy::{Anatomy, Head, Linear, PoolingNames, PoolingQkv};
use crate::checkpoint::error::Defect;
use crate::checkpoint::files::check_finite;
use crate::checkpoint::tensors::Tensors;
use crate::checkpoint::weights::PoolingWeights;
use mergevit_kernels::ops::ROW_ALIGN;
use mergevit_runtime::Pooling;

/// Names of the norms before and after the pooling.
pub(super) struct Norms {
    pub(super) token: Option<String>,
    pub(super) pooled: Option<String>,
}

impl Norms {
    /// A norm of all tokens is one of the pooled ones where these are single tokens.
    pub(super) fn of(anatomy: &Anatomy) -> Self {
        let names = &anatomy.names;
        let picks = matches!(
            anatomy.facts.pooling,
            Pooling::ClassToken | Pooling::ClassAndDistillation
        );
        match (&names.token_norm, &names.final_norm) {
            (Some(norm), None) if picks => Self {
                token: None,
                pooled: Some(norm.clone()),
            },
            (token, pooled) => Self {
                token: token.clone(),
                pooled: pooled.clone(),
            },
        }
    }
}

/// Weight (classes, pooled width) and bias of the head; empty without one.
pub(super) fn head(
    tensors: &Tensors<'_>,
    head: &Head,
    sizes: &Sizes,
) -> Result<(Vec<f32>, Vec<f32>), Defect> {
    let (classes, pooled) = (sizes.classes, sizes.pooled_width);
    match head {
        Head::None => Ok((Vec::new(), Vec::new())),
        Head::Linear(names) => linear(tensors, "", names, [classes, pooled]),
        // Half of each, side by side, on both tokens side by side.
        Head::Averaged(linears) => {
            let half = pooled / 2;
            let [first, second] = linears
                .each_ref()
                .map(|names| linear(tensors, "", names, [classes, half]));
            let (first, second) = (first?, second?);
            let rows = first.0.chunks_exact(half).zip(second.0.chunks_exact(half));
            let weight = rows.flat_map(|(a, b)| a.iter().chain(b)).map(|w| w / 2.0);
            let bias = first
                .1
                .iter()
                .zip(&second.1)
                .map(|(a, b)| a / 2.0 + b / 2.0);
            Ok((weight.collect(), bias.collect()))
        }
        Head::Transposed(name) => {
            let columns = tensors.values(name, &[pooled, classes])?;
            let row = |class: usize| columns.iter().skip(class).step_by(classes).copied();
            Ok(((0..classes).flat_map(row).collect(), vec![0.0; classes]))
        }
    }
}

/// Reads an attention pooling; the learned token goes through its projection here.
pub(super) fn pooling(
    tensors: &Tensors<'_>,
    names: &PoolingNames,
    width: usize,
    sizes: PoolSizes,
) -> Result<PoolingWeights, Defect> {
    let (heads, inner) = (sizes.heads, sizes.mlp_width);
    let channels = heads.channels();
    let latent = tensors.rows(&names.latent, width)?;
    if latent.len() != width {
        return Err(Defect::Unsupported(format!(
            "its attention pooling has {} learned tokens (tensor {}); supported is 1",
            latent.len() / width,
            names.latent
        )));
    }
    let read = |names: &Linear, shape| linear(tensors, "", names, shape);
    let (query_weight, query_bias, key_value) = match &names.attention {
        PoolingQkv::Fused(linear) => {
            let (mut weight, mut bias) = read(linear, [3 * channels, width])?;
            let key_value = (weight.split_off(channels * width), bias.split_off(channels));
            (weight, bias, key_value)
        }
        PoolingQkv::Query { query, key_value } => {
            let (weight, bias) = read(query, [channels, width])?;
            (weight, bias, read(key_value, [2 * channels, width])?)
        }
    };
    let row = inner.next_multiple_of(ROW_ALIGN);
    let query = project(&query_weight, &query_bias, &latent);
    check_finite(&format!("{} through its projection", names.latent), &query)?;
    let (proj, proj_bias) = read(&names.proj, [width, channels])?;
    let (mut fc1_weight, mut fc1_bias) = read(&names.fc1, [inner, width])?;
    fc1_weight.resize(row * width, 0.0);
    fc1_bias.resize(row, 0.0);
    let (fc2, fc2_bias) = read(&names.fc2, [width, inner])?;
    Ok(PoolingWeights {
        query: heads.rows(&query, 1, false),
        key_value_weight: heads.rows(&key_value.0, width, false),
        key_value_bias: heads.rows(&key_value.1, 1, false),
        proj_weight: heads.columns(&proj),
        proj_bias,
        norm: affine(tensors, &names.norm, width, width)?,
        fc1_weight,
        fc1_bias,
        fc2_weight: pad_columns(&fc2, inner, row),
        fc2_bias,
    })
}

/// `weight x + bias`, summed in f64.
fn project(weight: &[f32], bias: &[f32], x: &[f32]) -> Vec<f32> {
    let row = |(row, bias): (&[f32], &f32)| {
        let products = row
            .iter()
            .zip(x)
            .map(|(w, x)| f64::from(*w) * f64::from(*x));
        (products.sum::<f64>() + f64::from(*bias)) as f32
    };
    weight
        .chunks_exact(x.len().max(1))
        .zip(bias)
        .map(row)
        .collect()
}
