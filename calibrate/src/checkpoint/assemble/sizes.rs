//! The sizes of a model, from the shapes of the tensors that carry them.

use super::heads::Heads;
use crate::checkpoint::anatomy::{
    Anatomy, Head, Linear, Mlp, PoolingNames, Position, PrefixRows, Qkv,
};
use crate::checkpoint::described::Size;
use crate::checkpoint::error::Defect;
use crate::checkpoint::tensors::Tensors;
use mergevit_kernels::ops::{MAX_HEAD_WIDTH, ROW_ALIGN};
use mergevit_runtime::{AttentionPooling, Pooling};

/// Sizes of a model.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct Sizes {
    pub(super) width: usize,
    pub(super) patch_size: usize,
    pub(super) depth: usize,
    pub(super) heads: Heads,
    /// Channels inside the MLP, in the file.
    pub(super) mlp_width: usize,
    /// Tokens before the patches.
    pub(super) prefix: usize,
    /// Patches a side in the file's position table; that of the model without a table.
    pub(super) table_side: usize,
    /// Patches a side.
    pub(super) side: usize,
    /// Side of an image in pixels.
    pub(super) image_size: usize,
    /// Outputs of the head, or channels of the pooled vector.
    pub(super) classes: usize,
    /// Channels of the pooled vector.
    pub(super) pooled_width: usize,
    pub(super) pool: Option<PoolSizes>,
}

/// Sizes of an attention pooling.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct PoolSizes {
    pub(super) heads: Heads,
    pub(super) mlp_width: usize,
}

impl PoolSizes {
    /// As a model's configuration has them.
    pub(super) fn configuration(self) -> AttentionPooling {
        AttentionPooling {
            heads: self.heads.count,
            head_width: self.heads.stored,
            mlp_width: self.mlp_width,
        }
    }
}

impl Sizes {
    /// Reads the sizes of a model whose images are `size`.
    ///
    /// # Errors
    /// [`Defect::Names`], [`Defect::Shape`], [`Defect::Unsupported`].
    pub(super) fn read(
        tensors: &Tensors<'_>,
        anatomy: &Anatomy,
        size: Size,
    ) -> Result<Self, Defect> {
        let Anatomy { facts, names } = anatomy;
        let [width, patch_size] = match names.patch_side {
            None => patch(tensors, &names.patch.weight)?,
            Some(side) => [outputs(tensors, &names.patch.weight)?, side],
        };
        let depth = tensors.depth(&names.layer)?;
        let first = names.layer.replace("{}", "0");
        let in_layer = |name: &str| outputs(tensors, &format!("{first}{name}"));
        let channels = match &names.block.qkv {
            Qkv::Fused(Linear { weight, .. }) | Qkv::FusedOddBias { weight, .. } => {
                in_layer(weight)? / 3
            }
            Qkv::Split([query, ..]) => in_layer(&query.weight)?,
        };
        let mlp_width = match &names.block.mlp {
            Mlp::Plain { fc1, .. } => in_layer(&fc1.weight)?,
            Mlp::Packed { fc1, .. } => in_layer(&fc1.weight)? / 2,
            Mlp::Split { gate, .. } => in_layer(&gate.weight)?,
        };
        let mut prefix = 0;
        for name in &names.prefix {
            prefix += tensors.shape(name)?.iter().product::<usize>() / width.max(1);
        }
        let table_side = match &names.position {
            Some(position) => Some(table_side(tensors, position, prefix)?),
            None => None,
        };
        let image_size = size.pixels(patch_size, table_side)?;
        let side = image_size / patch_size;
        let pooled_width = match facts.pooling {
            Pooling::ClassAndMean | Pooling::ClassAndDistillation => 2 * width,
            Pooling::ClassToken | Pooling::Mean | Pooling::MeanAll | Pooling::Attention => width,
        };
        Ok(Self {
            width,
            patch_size,
            depth,
            heads: heads(facts.heads, channels)?,
            mlp_width,
            prefix,
            table_side: table_side.unwrap_or(side),
            side,
            image_size,
            classes: classes(tensors, &names.head, pooled_width)?,
            pooled_width,
            pool: match &names.pooling {
                Some(names) => Some(pool(tensors, names, width)?),
                None => None,
            },
        })
    }

    /// Channels inside the MLP as stored.
    pub(super) fn mlp_row(&self) -> usize {
        self.mlp_width.next_multiple_of(ROW_ALIGN)
    }
}

/// Width and patch size.
fn patch(tensors: &Tensors<'_>, name: &str) -> Result<[usize; 2], Defect> {
    let found = tensors.shape(name)?;
    match found[..] {
        [width, 3, height, side] if height == side && side > 0 && width > 0 => Ok([width, side]),
        [_, colours, height, side] if height == side => Err(Defect::Unsupported(format!(
            "its images have {colours} colours (tensor {name}); supported are 3"
        ))),
        _ => {
            let [width, side] = [found.first(), found.last()].map(|n| n.copied().unwrap_or(0));
            Err(Defect::Shape {
                tensor: name.into(),
                found,
                expected: vec![width, 3, side, side],
            })
        }
    }
}

/// The first dimension of a tensor.
fn outputs(tensors: &Tensors<'_>, name: &str) -> Result<usize, Defect> {
    Ok(tensors.shape(name)?.first().copied().unwrap_or(0))
}

/// `count` heads of all together `channels`.
fn heads(count: usize, channels: usize) -> Result<Heads, Defect> {
    if count == 0 || channels == 0 || !channels.is_multiple_of(count) {
        return Err(Defect::Unsupported(format!(
            "{count} heads do not divide its {channels} channels"
        )));
    }
    let width = channels / count;
    Heads::new(count, width).ok_or_else(|| {
        Defect::Unsupported(format!(
            "{count} heads of {width} channels; supported are heads of up to {MAX_HEAD_WIDTH}"
        ))
    })
}

/// Patches a side of a position table.
fn table_side(tensors: &Tensors<'_>, position: &Position, prefix: usize) -> Result<usize, Defect> {
    let shape = tensors.shape(&position.name)?;
    let rows = match shape[..] {
        [rows, _] | [1, rows, _] => rows,
        [1, height, width, _] if height == width => height * width,
        _ => {
            return Err(Defect::Unsupported(format!(
                "its position table {} has the shape {shape:?}; supported are (tokens, channels)",
                position.name
            )));
        }
    };
    let before = match position.rows {
        PrefixRows::All => prefix,
        PrefixRows::First => prefix.min(1),
        PrefixRows::None => 0,
    };
    let patches = rows.saturating_sub(before);
    let side = patches.isqrt();
    if side == 0 || side * side != patches {
        return Err(Defect::Unsupported(format!(
            "its position table has {rows} rows, expected {before} and a square number of patches"
        )));
    }
    Ok(side)
}

/// Outputs of the head, or the pooled vector's channels without one.
fn classes(tensors: &Tensors<'_>, head: &Head, pooled_width: usize) -> Result<usize, Defect> {
    match head {
        Head::None => Ok(pooled_width),
        Head::Linear(linear) | Head::Averaged([linear, _]) => outputs(tensors, &linear.weight),
        Head::Transposed(name) => Ok(tensors.shape(name)?.last().copied().unwrap_or(0)),
    }
}

fn pool(tensors: &Tensors<'_>, names: &PoolingNames, width: usize) -> Result<PoolSizes, Defect> {
    Ok(PoolSizes {
        heads: heads(names.heads, width)?,
        mlp_width: outputs(tensors, &names.fc1.weight)?,
    })
}
