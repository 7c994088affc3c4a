//! From named tensors to canonical weights.

use super::error::Defect;
use super::naming::{Kind, Names, Qkv};
use super::tensors::Tensors;
use super::{Block, Weights};

/// Dimensions that the tensors' shapes give. The image size is not among them: only its grid is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) patch_size: usize,
    pub(super) depth: usize,
    pub(super) mlp_width: usize,
    pub(super) classes: usize,
    pub(super) tokens: usize,
    pub(super) class_token: bool,
    /// Whether the last layer norm follows the pooling (timm's `fc_norm`).
    pub(super) fc_norm: bool,
}

fn suffixed(name: &str, suffix: &str) -> String {
    format!("{name}.{suffix}")
}

impl Shape {
    /// Reads the dimensions off the tensors that carry them.
    pub(super) fn of(tensors: &Tensors<'_>, names: &Names) -> Result<Self, Defect> {
        let patch_name = names.global(&suffixed(names.patch, "weight"));
        let patch = tensors.shape(&patch_name);
        let position_name = names.global(names.position);
        let position = tensors.shape(&position_name);
        let fc1 = tensors.shape(&names.in_layer(0, &suffixed(names.fc1, "weight")));
        let head = tensors.shape(&suffixed(names.head, "weight"));
        if [&patch, &position, &fc1, &head]
            .iter()
            .any(|shape| shape.is_empty())
        {
            // Names all that is missing, and not only the first.
            tensors.finish()?;
        }
        let &[width, 3, patch_size, square] = &patch[..] else {
            return Err(shape_error(patch_name, &patch, &[0, 3, 0, 0]));
        };
        let &[1, tokens, _] = &position[..] else {
            return Err(shape_error(position_name, &position, &[1, 0, width]));
        };
        if square != patch_size {
            return Err(shape_error(
                patch_name,
                &patch,
                &[width, 3, patch_size, patch_size],
            ));
        }
        let layer = |index: usize| {
            let start = names.in_layer(index, "");
            tensors.names().any(|name| name.starts_with(&start))
        };
        Ok(Self {
            width,
            patch_size,
            depth: (0..).take_while(|&index| layer(index)).count(),
            mlp_width: fc1[0],
            classes: head[0],
            tokens,
            class_token: tensors.has(&names.global(names.class_token)),
            fc_norm: names.kind == Kind::Timm && tensors.has("fc_norm.weight"),
        })
    }
}

fn shape_error(tensor: String, found: &[usize], expected: &[usize]) -> Defect {
    Defect::Shape {
        tensor,
        found: found.to_vec(),
        expected: expected.to_vec(),
    }
}

/// Takes every tensor, fuses and folds, and checks that none is missing or left over.
pub(super) fn weights(
    tensors: &Tensors<'_>,
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
    let mut position = tensors.take(&names.global(names.position), &[1, tokens, width])?;
    if shape.class_token {
        let token = tensors.take(&names.global(names.class_token), &[1, 1, width])?;
        position.iter_mut().zip(token).for_each(|(p, t)| *p += t);
    }
    let blocks = (0..shape.depth)
        .map(|index| block(tensors, names, shape, index))
        .collect::<Result<_, _>>()?;
    let norm = if shape.fc_norm {
        "fc_norm".into()
    } else {
        names.global(names.norm)
    };
    let norm_gain = tensors.take(&suffixed(&norm, "weight"), &[width])?;
    let norm_bias = tensors.take(&suffixed(&norm, "bias"), &[width])?;
    let head_weight = tensors.take(&suffixed(names.head, "weight"), &[classes, width])?;
    let head_bias = tensors.take(&suffixed(names.head, "bias"), &[classes])?;
    tensors.finish()?;
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
    tensors: &Tensors<'_>,
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
        let gamma = |name: &str| {
            let name = names.in_layer(index, name);
            tensors
                .has(&name)
                .then(|| tensors.take(&name, &[width]))
                .transpose()
        };
        if let Some(gamma) = gamma(first)? {
            fold(&mut block.proj_weight, &mut block.proj_bias, &gamma);
        }
        if let Some(gamma) = gamma(second)? {
            fold(&mut block.fc2_weight, &mut block.fc2_bias, &gamma);
        }
    }
    Ok(block)
}

/// Queries, keys and values as one (3C, C) matrix; a model without their biases has zeros.
fn qkv(
    tensors: &Tensors<'_>,
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
fn fold(weight: &mut [f32], bias: &mut [f32], gamma: &[f32]) {
    if bias.is_empty() {
        return; // missing; `finish` will say so
    }
    let inputs = weight.len() / bias.len();
    for ((row, bias), &gamma) in weight.chunks_exact_mut(inputs).zip(bias).zip(gamma) {
        row.iter_mut().for_each(|w| *w *= gamma);
        *bias *= gamma;
    }
}
