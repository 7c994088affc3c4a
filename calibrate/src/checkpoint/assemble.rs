//! From named tensors to canonical weights.

use super::error::Defect;
use super::naming::{Kind, Names, Qkv};
use super::tensors::{Inventory, Source, Tensors, finite};
use super::{Block, Weights};
use mergevit_runtime::limits::MAX_LAYERS;

/// Dimensions that the tensors' shapes give. The image size is not among them: only its grid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) patch_size: usize,
    pub(super) mlp_width: usize,
    pub(super) classes: usize,
    pub(super) tokens: usize,
    pub(super) parts: Parts,
}

/// What the tensors' names alone say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) depth: usize,
    pub(super) class_token: bool,
    /// Whether the last layer norm follows the pooling (timm's `fc_norm`).
    pub(super) fc_norm: bool,
}

fn suffixed(name: &str, suffix: &str) -> String {
    format!("{name}.{suffix}")
}

impl Parts {
    /// Reads the parts off the names, and fails with every name that is missing or unknown.
    pub(super) fn of(tensors: &Tensors<'_>, names: &Names) -> Result<Self, Defect> {
        // Up to the highest number, so that a layer missing below it is named as missing; bounded first,
        // because every absent layer costs a list of names.
        let last = tensors.names().filter_map(|n| names.layer_of(n)).max();
        if let Some(last) = last.filter(|last| *last >= MAX_LAYERS) {
            return Err(Defect::Unsupported(format!(
                "its tensors name layer {last}; supported are layers 0 to {}",
                MAX_LAYERS - 1
            )));
        }
        let parts = Self {
            depth: last.map_or(0, |last| last + 1),
            class_token: tensors.has(&names.global(names.class_token)),
            fc_norm: names.kind == Kind::Timm && tensors.has("fc_norm.weight"),
        };
        let nothing = Shape {
            width: 0,
            patch_size: 0,
            mlp_width: 0,
            classes: 0,
            tokens: 0,
            parts,
        };
        let inventory = Inventory::new(tensors);
        weights(&inventory, names, &nothing)?;
        inventory.finish()?;
        Ok(parts)
    }
}

impl Shape {
    /// Reads the dimensions off the tensors that carry them.
    pub(super) fn of(tensors: &Tensors<'_>, names: &Names, parts: Parts) -> Result<Self, Defect> {
        let patch_name = names.global(&suffixed(names.patch, "weight"));
        let patch = tensors.shape(&patch_name)?;
        let position_name = names.global(names.position);
        let position = tensors.shape(&position_name)?;
        let fc1_name = names.in_layer(0, &suffixed(names.fc1, "weight"));
        let fc1 = tensors.shape(&fc1_name)?;
        let head_name = suffixed(names.head, "weight");
        let head = tensors.shape(&head_name)?;
        let width = patch.first().copied().unwrap_or(0);
        let patch_size = patch.last().copied().unwrap_or(0);
        let first = |shape: &[usize]| shape.first().copied().unwrap_or(0);
        let tokens = position.get(1).copied().unwrap_or(0);
        let (mlp_width, classes) = (first(&fc1), first(&head));
        // Whatever the rank, each shape must be the one that its own dimensions lead to.
        for (name, found, expected) in [
            (patch_name, &patch, vec![width, 3, patch_size, patch_size]),
            (position_name, &position, vec![1, tokens, width]),
            (fc1_name, &fc1, vec![mlp_width, width]),
            (head_name, &head, vec![classes, width]),
        ] {
            if *found != expected {
                return Err(Defect::Shape {
                    tensor: name,
                    found: found.clone(),
                    expected,
                });
            }
        }
        Ok(Self {
            width,
            patch_size,
            mlp_width,
            classes,
            tokens,
            parts,
        })
    }
}

/// Takes every tensor, fuses and folds.
pub(super) fn weights(
    tensors: &impl Source,
    names: &Names,
    shape: &Shape,
) -> Result<Weights, Defect> {
    let Shape {
        width,
        patch_size,
        classes,
        tokens,
        ..
    } = *shape;
    let (patch_weight, patch_bias) = {
        let name = names.global(names.patch);
        let weight = tensors.take(
            &suffixed(&name, "weight"),
            &[width, 3, patch_size, patch_size],
        )?;
        (weight, tensors.take(&suffixed(&name, "bias"), &[width])?)
    };
    let position_name = names.global(names.position);
    let mut position = tensors.take(&position_name, &[1, tokens, width])?;
    if shape.parts.class_token {
        let token = tensors.take(&names.global(names.class_token), &[1, 1, width])?;
        position.iter_mut().zip(token).for_each(|(p, t)| *p += t);
    }
    let position = finite(&format!("{position_name} with the class token"), position)?;
    let blocks = (0..shape.parts.depth)
        .map(|index| block(tensors, names, shape, index))
        .collect::<Result<_, _>>()?;
    let norm = if shape.parts.fc_norm {
        "fc_norm".into()
    } else {
        names.global(names.norm)
    };
    let norm_gain = tensors.take(&suffixed(&norm, "weight"), &[width])?;
    let norm_bias = tensors.take(&suffixed(&norm, "bias"), &[width])?;
    let head_weight = tensors.take(&suffixed(names.head, "weight"), &[classes, width])?;
    let head_bias = tensors.take(&suffixed(names.head, "bias"), &[classes])?;
    Ok(Weights {
        patch_weight,
        patch_bias,
        position,
        blocks,
        norm_gain,
        norm_bias,
        head_weight,
        head_bias,
    })
}

fn block(
    tensors: &impl Source,
    names: &Names,
    shape: &Shape,
    index: usize,
) -> Result<Block, Defect> {
    let (width, mlp) = (shape.width, shape.mlp_width);
    let take = |name: &str, suffix: &str, shape: &[usize]| {
        tensors.take(&names.in_layer(index, &suffixed(name, suffix)), shape)
    };
    let (qkv_weight, qkv_bias) = qkv(tensors, names, width, index)?;
    let mut block = Block {
        norm1_gain: take(names.norm1, "weight", &[width])?,
        norm1_bias: take(names.norm1, "bias", &[width])?,
        qkv_weight,
        qkv_bias,
        proj_weight: take(names.proj, "weight", &[width, width])?,
        proj_bias: take(names.proj, "bias", &[width])?,
        norm2_gain: take(names.norm2, "weight", &[width])?,
        norm2_bias: take(names.norm2, "bias", &[width])?,
        fc1_weight: take(names.fc1, "weight", &[mlp, width])?,
        fc1_bias: take(names.fc1, "bias", &[mlp])?,
        fc2_weight: take(names.fc2, "weight", &[width, mlp])?,
        fc2_bias: take(names.fc2, "bias", &[width])?,
    };
    if let Some([first, second]) = names.layer_scale {
        let scale = |name: &str, weight: &mut Vec<f32>, bias: &mut Vec<f32>| {
            let name = names.in_layer(index, name);
            if !tensors.has(&name) {
                return Ok(());
            }
            let gamma = tensors.take(&name, &[width])?;
            fold(
                &format!("weight or bias times {name}"),
                &gamma,
                weight,
                bias,
            )
        };
        scale(first, &mut block.proj_weight, &mut block.proj_bias)?;
        scale(second, &mut block.fc2_weight, &mut block.fc2_bias)?;
    }
    Ok(block)
}

/// Queries, keys and values as one (3C, C) matrix; a model without their biases has zeros.
fn qkv(
    tensors: &impl Source,
    names: &Names,
    width: usize,
    index: usize,
) -> Result<(Vec<f32>, Vec<f32>), Defect> {
    let bias = |name: String, len: usize| {
        if tensors.has(&name) {
            tensors.take(&name, &[len])
        } else {
            Ok(vec![0.0; len])
        }
    };
    match names.qkv {
        Qkv::Fused([weight_name, bias_name]) => {
            let weight = tensors.take(&names.in_layer(index, weight_name), &[3 * width, width])?;
            Ok((weight, bias(names.in_layer(index, bias_name), 3 * width)?))
        }
        Qkv::Split(parts) => {
            let (mut weights, mut biases) = (Vec::new(), Vec::new());
            for part in parts {
                let name = names.in_layer(index, part);
                weights.extend(tensors.take(&suffixed(&name, "weight"), &[width, width])?);
                biases.extend(bias(suffixed(&name, "bias"), width)?);
            }
            Ok((weights, biases))
        }
    }
}

/// Scales the outputs of a linear layer: LayerScale (Touvron et al., arXiv 2103.17239).
fn fold(
    name: &str,
    gamma: &[f32],
    weight: &mut Vec<f32>,
    bias: &mut Vec<f32>,
) -> Result<(), Defect> {
    // An inventory hands out nothing.
    let inputs = (weight.len() / gamma.len().max(1)).max(1);
    for (row, gamma) in weight.chunks_exact_mut(inputs).zip(gamma) {
        row.iter_mut().for_each(|w| *w *= gamma);
    }
    bias.iter_mut()
        .zip(gamma)
        .for_each(|(b, gamma)| *b *= gamma);
    *weight = finite(name, std::mem::take(weight))?;
    *bias = finite(name, std::mem::take(bias))?;
    Ok(())
}
