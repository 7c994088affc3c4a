//! One encoder layer.

use super::sizes::Sizes;
use super::{affine, linear, rotary, scale_rows};
use crate::checkpoint::anatomy::{Anatomy, Linear, Mlp, Qkv, Rotary};
use crate::checkpoint::error::Defect;
use crate::checkpoint::tensors::Tensors;
use crate::checkpoint::weights::Block;
use mergevit_runtime::Mlp as MlpKind;

/// What a configuration calls the MLP.
pub(super) fn mlp_kind(mlp: &Mlp) -> MlpKind {
    match mlp {
        Mlp::Plain { .. } => MlpKind::Plain,
        Mlp::Packed { norm: None, .. } | Mlp::Split { norm: None, .. } => MlpKind::Gated,
        Mlp::Packed { .. } | Mlp::Split { .. } => MlpKind::GatedNorm,
    }
}

/// Reads layer `layer`.
pub(super) fn block(
    tensors: &Tensors<'_>,
    anatomy: &Anatomy,
    sizes: &Sizes,
    layer: usize,
) -> Result<Block, Defect> {
    let Anatomy { facts, names } = anatomy;
    let start = names.layer.replace("{}", &layer.to_string());
    let (width, heads) = (sizes.width, sizes.heads);
    let norm = |name: &str| affine(tensors, &format!("{start}{name}"), width, width);
    let halves = facts.rotary.as_ref().is_some_and(Rotary::halves);
    let (qkv_weight, qkv_bias) = qkv(tensors, &start, &names.block.qkv, sizes, halves)?;
    let proj_shape = [width, heads.channels()];
    let (proj, mut proj_bias) = linear(tensors, &start, &names.block.proj, proj_shape)?;
    let mut proj_weight = heads.columns(&proj);
    if let Some(scale) = &names.block.scale1 {
        let name = format!("{start}{scale}");
        scale_rows(tensors, &name, &mut proj_weight, &mut proj_bias)?;
    }
    let mut mlp = mlp(tensors, &start, &names.block.mlp, sizes)?;
    if let Some(scale) = &names.block.scale2 {
        let name = format!("{start}{scale}");
        scale_rows(tensors, &name, &mut mlp.fc2_weight, &mut mlp.fc2_bias)?;
    }
    let rotary = match &facts.rotary {
        Some(Rotary::Mixed { tensor, x_first }) => {
            let shape = [2, sizes.depth, heads.count, heads.width / 2];
            rotary::mixed(&tensors.values(tensor, &shape)?, layer, heads, *x_first)
        }
        _ => Vec::new(),
    };
    Ok(Block {
        norm1: norm(&names.block.norm1)?,
        qkv_weight,
        qkv_bias,
        rotary,
        proj_weight,
        proj_bias,
        norm2: norm(&names.block.norm2)?,
        ..mlp
    })
}

/// Queries, keys and values, (3A, C) and (3A).
fn qkv(
    tensors: &Tensors<'_>,
    start: &str,
    names: &Qkv,
    sizes: &Sizes,
    halves: bool,
) -> Result<(Vec<f32>, Vec<f32>), Defect> {
    let (width, heads) = (sizes.width, sizes.heads);
    let channels = heads.channels();
    let fused = [3 * channels, width];
    let (weight, bias) = match names {
        Qkv::Fused(names) => linear(tensors, start, names, fused)?,
        Qkv::FusedOddBias {
            weight,
            query,
            value,
        } => {
            let part = |name: &str| tensors.values(&format!("{start}{name}"), &[channels]);
            let keys = vec![0.0; channels];
            let bias = [part(query)?, keys, part(value)?].concat();
            (tensors.values(&format!("{start}{weight}"), &fused)?, bias)
        }
        Qkv::Split(parts) => {
            let mut all = (Vec::new(), Vec::new());
            for names in parts {
                let (weight, bias) = linear(tensors, start, names, [channels, width])?;
                all.0.extend(weight);
                all.1.extend(bias);
            }
            all
        }
    };
    // Rotating turns queries and keys alone.
    let store = |values: &[f32], row: usize| {
        let (turned, straight) = values.split_at(2 * channels * row);
        let mut stored = heads.rows(turned, row, halves);
        stored.extend(heads.rows(straight, row, false));
        stored
    };
    Ok((store(&weight, width), store(&bias, 1)))
}

/// A block with the MLP's tensors alone.
fn mlp(tensors: &Tensors<'_>, start: &str, names: &Mlp, sizes: &Sizes) -> Result<Block, Defect> {
    let (width, inner, row) = (sizes.width, sizes.mlp_width, sizes.mlp_row());
    let read = |names: &Linear, outputs| linear(tensors, start, names, [outputs, width]);
    let ((fc1_weight, fc1_bias), norm, fc2) = match names {
        Mlp::Plain { fc1, fc2 } => {
            let (mut weight, mut bias) = read(fc1, inner)?;
            weight.resize(row * width, 0.0);
            bias.resize(row, 0.0);
            ((weight, bias), &None, fc2)
        }
        Mlp::Packed { fc1, norm, fc2 } => {
            let (weight, bias) = read(fc1, 2 * inner)?;
            let weight = interleave(weight.split_at(inner * width), width, row);
            (
                (weight, interleave(bias.split_at(inner), 1, row)),
                norm,
                fc2,
            )
        }
        Mlp::Split {
            gate,
            value,
            norm,
            fc2,
        } => {
            let (gate, value) = (read(gate, inner)?, read(value, inner)?);
            let weight = interleave((&gate.0, &value.0), width, row);
            ((weight, interleave((&gate.1, &value.1), 1, row)), norm, fc2)
        }
    };
    let inner_norm = norm
        .as_ref()
        .map(|name| affine(tensors, &format!("{start}{name}"), inner, row))
        .transpose()?;
    let (fc2_weight, fc2_bias) = linear(tensors, start, fc2, [width, inner])?;
    Ok(Block {
        fc1_weight,
        fc1_bias,
        inner_norm,
        fc2_weight: pad_columns(&fc2_weight, inner, row),
        fc2_bias,
        ..Block::default()
    })
}

/// Rows of `gate` at even places and those of `value` at odd ones, then zeros up to 2 `rows` rows.
fn interleave((gate, value): (&[f32], &[f32]), width: usize, rows: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(2 * rows * width);
    for (gate, value) in gate.chunks_exact(width).zip(value.chunks_exact(width)) {
        all.extend_from_slice(gate);
        all.extend_from_slice(value);
    }
    all.resize(2 * rows * width, 0.0);
    all
}

/// Rows of `columns` values, each followed by zeros up to `stored`.
pub(super) fn pad_columns(matrix: &[f32], columns: usize, stored: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(matrix.len() / columns.max(1) * stored);
    for row in matrix.chunks_exact(columns.max(1)) {
        all.extend_from_slice(row);
        all.resize(all.len() + stored - columns, 0.0);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_and_values_alternate_and_are_padded() {
        let found = interleave((&[1., 2., 3., 4.], &[5., 6., 7., 8.]), 2, 3);
        assert_eq!(found, [1., 2., 5., 6., 3., 4., 7., 8., 0., 0., 0., 0.]);
        let padded = pad_columns(&[1., 2., 3., 4.], 2, 3);
        assert_eq!(padded, [1., 2., 0., 3., 4., 0.]);
    }
}
