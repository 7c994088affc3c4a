//! What a checkpoint describes beside its weights, and how families read it.

use super::error::Defect;
use super::file::TensorFile;
use super::json::Object;
use super::preprocessing::Found;
use super::tensor::Dimensions;
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_runtime::{Interpolation, ModelConfig, Pooling, Preprocessing, ResizeMode};

/// Smallest standard deviation of a colour: pixels are in 0 to 1, in steps of 1/255.
const MIN_STD: f32 = 1e-3;

/// What a family reads the description from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a TensorFile<'a>,
    pub(super) dimensions: Dimensions,
    /// `config.json`, without fields if there is none.
    pub(super) config: Object<'a>,
    /// `preprocessor_config.json`, without fields if there is none.
    pub(super) preprocessor: Object<'a>,
}

/// The model's configuration but for its preprocessing, and what the files say of that.
pub(super) struct Described {
    pub(super) model: ModelConfig,
    pub(super) preprocessing: Found,
}

/// Checks the standard deviation of the colours.
///
/// # Errors
/// [`Defect::Config`] if one is 0 or next to it.
pub(super) fn check_std(std: &[f32; 3], config: Object<'_>) -> Result<(), Defect> {
    match std.iter().find(|std| **std < MIN_STD) {
        Some(std) => Err(config.wrong("std", std, format!("{MIN_STD} or more"))),
        None => Ok(()),
    }
}

/// What all families share; each fills in the rest, and the preprocessing is completed later.
pub(super) fn model(dimensions: &Dimensions, architecture: &str, image_size: usize) -> ModelConfig {
    ModelConfig {
        architecture: architecture.into(),
        image_size,
        patch_size: dimensions.patch_size,
        width: dimensions.width,
        depth: dimensions.depth,
        heads: dimensions.width / HEAD_WIDTH,
        mlp_width: dimensions.mlp_width,
        classes: dimensions.classes,
        class_token: dimensions.class_token,
        pooling: if dimensions.class_token {
            Pooling::ClassToken
        } else {
            Pooling::Mean
        },
        epsilon: 1e-6,
        labels: Vec::new(),
        preprocessing: Preprocessing {
            resize: ResizeMode::ShortestSide(image_size),
            interpolation: Interpolation::Bilinear,
        },
    }
}

/// Side in pixels of the square image that gives the position table's grid; `stated` must agree with it.
///
/// # Errors
/// [`Defect::Unsupported`] for a grid that is not square, [`Defect::Config`] if `stated` contradicts it.
pub(super) fn image_size(
    dimensions: &Dimensions,
    of: Object<'_>,
    stated: Option<usize>,
) -> Result<usize, Defect> {
    let patches = dimensions
        .tokens
        .saturating_sub(usize::from(dimensions.class_token));
    let side = patches.isqrt();
    let size = side.saturating_mul(dimensions.patch_size);
    if side * side != patches || side == 0 {
        return Err(Defect::Unsupported(format!(
            "its position table has {} rows, expected a square number of patches{}",
            dimensions.tokens,
            if dimensions.class_token {
                " and the class token"
            } else {
                ""
            }
        )));
    }
    match stated {
        Some(stated) if stated != size => Err(of.wrong(
            "image size",
            &stated,
            format!(
                "{size}: the position table is for {side} x {side} patches of {}",
                dimensions.patch_size
            ),
        )),
        _ => Ok(size),
    }
}

/// Multiples of 64 at which the published models have 16 heads of another width: SO400M, ViT-H, ViT-g, ViT-G
/// (timm, torchvision). No tensor's shape tells the heads.
const AMBIGUOUS_WIDTHS: [usize; 4] = [1152, 1280, 1408, 1664];

/// Checks that the model's heads have the width that the kernels need. `field` of `of` may state their number.
///
/// # Errors
/// [`Defect::Unsupported`] for heads of another width.
pub(super) fn heads(dimensions: &Dimensions, of: Object<'_>, field: &str) -> Result<(), Defect> {
    let stated = of.size(field)?;
    let heads = stated.unwrap_or(if AMBIGUOUS_WIDTHS.contains(&dimensions.width) {
        16
    } else {
        dimensions.width / HEAD_WIDTH
    });
    // A width that is no multiple of 64 at all is the model's own defect, reported when it is validated.
    if heads * HEAD_WIDTH == dimensions.width
        || stated.is_none() && !dimensions.width.is_multiple_of(HEAD_WIDTH)
    {
        return Ok(());
    }
    Err(Defect::Unsupported(format!(
        "{} channels in {heads} heads{}; the kernels need heads of {HEAD_WIDTH} channels",
        dimensions.width,
        if stated.is_some() {
            String::new()
        } else {
            format!(
                ", as published models of this width have ({}{field} states no other number)",
                of.path()
            )
        }
    )))
}
