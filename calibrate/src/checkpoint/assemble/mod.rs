//! From the tensors of a file to the canonical model: shapes are read first and checked against the limits, so
//! that nothing is allocated for a model that is refused.

mod block;
mod ends;
mod heads;
mod position;
mod resample;
mod rotary;
mod sizes;

use super::anatomy::{Anatomy, Head, Linear, Names, Rotary};
use super::described::Described;
use super::error::Defect;
use super::files::check_finite;
use super::inventory;
use super::tensors::Tensors;
use super::weights::{Affine, Weights};
use heads::Heads;
use mergevit_runtime::{ModelConfig, Normalization, OutputKind, RotaryKind};
use sizes::Sizes;

/// A model in the canonical layout.
pub(super) struct Assembled {
    pub(super) model: ModelConfig,
    pub(super) weights: Weights,
    /// Names of the file's tensors that are not part of the model.
    pub(super) unused: Vec<String>,
    /// One over the root of a head's channels, before padding.
    pub(super) score_factor: f32,
    /// The same of the pooling's heads; that of the layers' without such a pooling.
    pub(super) pool_score_factor: f32,
}

/// Builds the model that `described` describes from the tensors of its file.
///
/// # Errors
/// [`Defect::Unsupported`] and [`Defect::Model`] for what the kernels do not run; [`Defect::Names`],
/// [`Defect::Shape`], [`Defect::Type`], [`Defect::NonFinite`] with the tensor's name; [`Defect::Names`] too for a
/// tensor of the model's own that has no meaning.
pub(super) fn assemble(tensors: &Tensors<'_>, described: &Described) -> Result<Assembled, Defect> {
    let anatomy = &described.anatomy;
    let unused = inventory::check(tensors, anatomy, tensors.depth(&anatomy.names.layer)?)?;
    let sizes = Sizes::read(tensors, anatomy, described.size)?;
    let mut model = model(anatomy, &sizes);
    model.labels.clone_from(&described.labels);
    if !described.labels.is_empty() && model.output != OutputKind::Logits {
        model.labels.clear();
    }
    model.validate()?;
    let weights = weights(tensors, anatomy, &sizes)?;
    let factor = |heads: Heads| (heads.width as f64).sqrt().recip() as f32;
    Ok(Assembled {
        model,
        weights,
        unused,
        score_factor: factor(sizes.heads),
        pool_score_factor: factor(sizes.pool.map_or(sizes.heads, |pool| pool.heads)),
    })
}

/// The configuration, but for labels and preprocessing.
fn model(anatomy: &Anatomy, sizes: &Sizes) -> ModelConfig {
    let Anatomy { facts, names } = anatomy;
    let norm_if = |present: bool| {
        if present {
            facts.norm
        } else {
            Normalization::None
        }
    };
    let ends = ends::Norms::of(anatomy);
    let head = !matches!(names.head, Head::None);
    ModelConfig {
        architecture: facts.architecture.clone(),
        image_size: sizes.image_size,
        patch_size: sizes.patch_size,
        width: sizes.width,
        depth: sizes.depth,
        heads: sizes.heads.count,
        head_width: sizes.heads.stored,
        mlp_width: sizes.mlp_width,
        mlp: block::mlp_kind(&names.block.mlp),
        activation: facts.activation,
        prefix: sizes.prefix,
        norm: facts.norm,
        pre_norm: names.pre_norm.is_some(),
        rotary: match facts.rotary {
            None => RotaryKind::None,
            Some(Rotary::Index { .. } | Rotary::Centred { .. }) => RotaryKind::Shared,
            Some(Rotary::Mixed { .. }) => RotaryKind::PerLayer,
        },
        pooling: facts.pooling,
        token_norm: ends.token.is_some(),
        final_norm: norm_if(ends.pooled.is_some()),
        attention_pooling: sizes.pool.map(|pool| pool.configuration()),
        head,
        output: if head {
            facts.output
        } else {
            OutputKind::Embedding
        },
        classes: sizes.classes,
        epsilon: facts.epsilon,
        score_kind: facts.score_kind,
        labels: Vec::new(),
        classifier: None,
        unknown: false,
        preprocessing: super::described::no_preprocessing(sizes.image_size),
    }
}

/// Reads every tensor that the names name.
fn weights(tensors: &Tensors<'_>, anatomy: &Anatomy, sizes: &Sizes) -> Result<Weights, Defect> {
    let Anatomy { facts, names } = anatomy;
    let width = sizes.width;
    let norm = |name: &Option<String>| {
        let read = |name: &String| affine(tensors, name, width, width);
        name.as_ref().map(read).transpose()
    };
    let ends = ends::Norms::of(anatomy);
    let blocks = (0..sizes.depth)
        .map(|layer| block::block(tensors, anatomy, sizes, layer))
        .collect::<Result<_, _>>()?;
    let (head_weight, head_bias) = ends::head(tensors, &names.head, sizes)?;
    let shared = |rotary| rotary::frequencies(rotary, sizes.heads, sizes.side);
    Ok(Weights {
        patch_weight: patch_weight(tensors, names, sizes)?,
        patch_bias: match &names.patch.bias {
            Some(bias) => tensors.values(bias, &[width])?,
            None => vec![0.0; width],
        },
        position: position::table(tensors, anatomy, sizes)?,
        pre_norm: norm(&names.pre_norm)?,
        rotary: facts.rotary.as_ref().and_then(shared).unwrap_or_default(),
        blocks,
        token_norm: norm(&ends.token)?,
        pooling: match (&names.pooling, sizes.pool) {
            (Some(names), Some(pool)) => Some(ends::pooling(tensors, names, width, pool)?),
            _ => None,
        },
        final_norm: norm(&ends.pooled)?,
        head_weight,
        head_bias,
    })
}

/// (C, 3, p, p)
fn patch_weight(tensors: &Tensors<'_>, names: &Names, sizes: &Sizes) -> Result<Vec<f32>, Defect> {
    let (width, side) = (sizes.width, sizes.patch_size);
    let name = &names.patch.weight;
    if names.patch_side.is_none() {
        return tensors.values(name, &[width, 3, side, side]);
    }
    // A matrix on pixels, the colours of one after the other.
    let pixels = side * side;
    let matrix = tensors.values(name, &[width, 3 * pixels])?;
    let channel = |row: &[f32]| {
        let value = |i: usize| row[i % pixels * 3 + i / pixels];
        (0..3 * pixels).map(value).collect::<Vec<f32>>()
    };
    Ok(matrix.chunks_exact(3 * pixels).flat_map(channel).collect())
}

/// A matrix (outputs, inputs) and its bias, zeros if it has none. `start` is before both names.
fn linear(
    tensors: &Tensors<'_>,
    start: &str,
    names: &Linear,
    [outputs, inputs]: [usize; 2],
) -> Result<(Vec<f32>, Vec<f32>), Defect> {
    let weight = tensors.values(&format!("{start}{}", names.weight), &[outputs, inputs])?;
    let bias = match &names.bias {
        Some(bias) => tensors.values(&format!("{start}{bias}"), &[outputs])?,
        None => vec![0.0; outputs],
    };
    Ok((weight, bias))
}

/// A norm of `width` channels, padded with zeros to `stored`.
fn affine(
    tensors: &Tensors<'_>,
    name: &str,
    width: usize,
    stored: usize,
) -> Result<Affine, Defect> {
    let mut gain = tensors.values(&format!("{name}.weight"), &[width])?;
    let bias = format!("{name}.bias");
    let mut bias = if tensors.has(&bias) {
        tensors.values(&bias, &[width])?
    } else {
        vec![0.0; width]
    };
    gain.resize(stored, 0.0);
    bias.resize(stored, 0.0);
    Ok(Affine { gain, bias })
}

/// Multiplies the rows of `weight` and `bias` by what the tensor `name` holds, one factor a row.
fn scale_rows(
    tensors: &Tensors<'_>,
    name: &str,
    weight: &mut [f32],
    bias: &mut [f32],
) -> Result<(), Defect> {
    let factors = tensors.values(name, &[bias.len()])?;
    let inputs = weight.len() / bias.len().max(1);
    for (row, factor) in weight.chunks_exact_mut(inputs.max(1)).zip(&factors) {
        row.iter_mut().for_each(|w| *w *= factor);
    }
    bias.iter_mut().zip(&factors).for_each(|(b, f)| *b *= f);
    let name = format!("weight or bias times {name}");
    check_finite(&name, weight)?;
    check_finite(&name, bias)
}
