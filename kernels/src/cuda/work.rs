//! What launches cost: the basis of estimates. Tests hold it against what the emulator counts.

use super::address::Address;
use super::gemm::epilogue::EpilogueKind;
use super::gemm::tile::STEP;
use super::gemm::tiling::{Shape, Tiling};
use super::norm::NormParams;
use super::pool_norm::PoolNormParams;

/// What a launch makes an SM do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiply-accumulates that Tensor Cores execute, those on padding included.
    pub tensor_macs: u64,
    /// Instructions that warps issue, to a few per cent.
    pub instructions: u64,
    /// Bytes that threads move into and out of shared memory, where that is much.
    pub shared_bytes: u64,
}

impl Work {
    const fn instructions(instructions: u64) -> Self {
        Self {
            tensor_macs: 0,
            instructions,
            shared_bytes: 0,
        }
    }
}

/// A linear layer, fitted to the emulator's counts: a part for each warp and step, and a part for each fragment of 16 x 32
/// sums; those of rows that are all beyond the last are skipped. Each warp starts what its block computes at a time, and
/// fills the block's ring of copies once.
pub(super) fn gemm(shape: &Shape, tiling: &Tiling, epilogue: EpilogueKind) -> Work {
    const FRAGMENT_STEP: u64 = 12;
    const FRAGMENT_REDUCE: u64 = 33;
    const FRAGMENT_FINISH: [u64; EpilogueKind::COUNT] = [135, 208, 415, 238, 133, 164];
    const START: u64 = 347;
    const FILL: u64 = 42;
    let tile = tiling.tile;
    let block_warps = u64::from(tile.threads() / 32);
    let items = u64::from(tiling.items(shape));
    let blocks = items.min(tiling.blocks.into());
    let splits = u64::from(tiling.splits);
    let steps = u64::from(shape.inputs / STEP);
    let tiles = tiling.tiles(shape);
    let fragments = u64::from(shape.rows.div_ceil(16) * (shape.outputs / 32));
    // Parts are added up for whole tiles.
    let summed = match splits {
        1 => 0,
        _ => splits * u64::from(tiles) * u64::from(tile.rows() * tile.columns() / 512),
    };
    let fragment = steps * FRAGMENT_STEP + FRAGMENT_FINISH[epilogue as usize];
    Work {
        tensor_macs: fragments * 16 * 32 * u64::from(shape.inputs),
        instructions: block_warps
            * (u64::from(tiles) * steps * tile.warp_step() + items * START + blocks * FILL)
            + fragments * fragment
            + summed * FRAGMENT_REDUCE,
        shared_bytes: steps * gemm_step_bytes(shape, tiling),
    }
}

/// Bytes that all tiles move into and out of shared memory in a step; the last ones only those of rows that there are.
fn gemm_step_bytes(shape: &Shape, tiling: &Tiling) -> u64 {
    let tile = tiling.tile;
    let whole = shape.rows.div_ceil(tile.rows()) - 1;
    let last = shape.rows.next_multiple_of(16) - whole * tile.rows();
    let of = |rows| u64::from(tile.shared_step_bytes(rows));
    let columns = u64::from(shape.outputs / tile.columns());
    columns * (u64::from(whole) * of(tile.rows()) + of(last))
}

/// Instructions that quantize 256 columns of a normalized row to bytes, beyond what it takes to round them to f16.
const QUANTIZE: u64 = 37;

/// Likewise to two bytes.
const WIDE: u64 = 80;

/// Norms of `rows` rows, to i8 or f16.
pub(super) fn layer_norm(rows: u32, norm: &NormParams, quantized: bool) -> Work {
    let store = if quantized { QUANTIZE } else { 0 };
    Work {
        shared_bytes: affine_bytes(norm, rows),
        ..Work::instructions(u64::from(rows) * norm_row(norm, store))
    }
}

/// Gain and bias of so many rows: copied for four of them, read by each, if rows stay in registers.
fn affine_bytes(norm: &NormParams, rows: u32) -> u64 {
    match norm.fits_registers() {
        true => 8 * u64::from(norm.width) * u64::from(rows + rows.div_ceil(4)),
        false => 0,
    }
}

/// A warp normalizes a row and stores it at `store` instructions for 256 columns beyond those for f16.
fn norm_row(norm: &NormParams, store: u64) -> u64 {
    let steps = u64::from(norm.width.div_ceil(256));
    // The sum, the sum of squares, the result: once, and for each 256 columns.
    let passes = match norm.fits_registers() {
        true => [(121, 8), (159, 30), (80, 88)],
        false => [(91, 69), (100, 77), (37, 65)],
    };
    let pass = |(once, step): &(u64, u64)| once + step * steps;
    // Each kind after the first needs one pass fewer.
    passes[norm.kind as usize..].iter().map(pass).sum::<u64>() + store * steps
}

/// Angles of so many pairs of channels for each of `tokens` tokens.
pub(super) fn rotary(tokens: u32, pairs: u32) -> Work {
    Work::instructions(u64::from(tokens * pairs).div_ceil(32) * 80)
}

/// What attention does.
pub(super) struct AttentionWork {
    pub(super) blocks: u32,
    /// Warps that have queries: 16 of one head.
    pub(super) warps: u32,
    /// Warps of a block, with queries or not.
    pub(super) block_warps: u32,
    /// Tokens, with padding.
    pub(super) keys: u32,
    /// Of them, how many lie in shared memory at once.
    pub(super) tile: u32,
    /// D
    pub(super) channels: u32,
    /// Whether tokens have sizes: then every score is made to find the largest, not only those of the largest sums.
    pub(super) sizes: bool,
}

/// Attention, fitted to the emulator's counts: each warp has a part, and another for 32 keys at a time, each with a part
/// for every 32 channels; each block loads keys and values, keys twice if they do not fit.
pub(super) fn attention(of: &AttentionWork) -> Work {
    let (warps, keys) = (u64::from(of.warps), u64::from(of.keys));
    let (blocks, channels) = (u64::from(of.blocks), u64::from(of.channels));
    let (tiles, steps) = (u64::from(of.keys.div_ceil(of.tile)), channels / 32);
    let biased = if of.sizes { 41 } else { 0 };
    // 16 bytes a lane.
    let copies = if tiles == 1 { 2 } else { 3 } * keys * channels / (16 * 32);
    Work {
        // Scores twice, values once.
        tensor_macs: warps * 16 * keys * 3 * channels,
        instructions: warps * (170 + 104 * steps + (417 + 31 * steps + biased) * keys / 32)
            + blocks * (u64::from(of.block_warps) * (344 * tiles - 85) + 12 * copies),
        // Keys twice and values once; a lane's biases; what is copied.
        shared_bytes: warps * keys * (3 * channels + if of.sizes { 64 } else { 32 })
            + blocks * 512 * copies,
    }
}

/// What matching does.
pub(super) struct MergeMatchWork {
    pub(super) blocks: u32,
    /// Of 16 sources that a block takes.
    pub(super) groups: u32,
    /// Of an image.
    pub(super) sources: u32,
    /// Of an image.
    pub(super) targets: u32,
    /// H
    pub(super) heads: u32,
    /// D
    pub(super) channels: u32,
    /// Tokens of an image that the class token's attention is computed for.
    pub(super) attended: u32,
}

/// Matching of `batch` images: each block makes the metric of its sources and of all targets, and compares them; the
/// last block of an image ranks its sources. The class token's attention comes on top, for 32 tokens at a time.
pub(super) fn merge_match(batch: u32, of: &MergeMatchWork) -> Work {
    let (blocks, channels) = (u64::from(of.blocks), u64::from(of.channels));
    let (groups, sources) = (u64::from(of.groups), u64::from(of.sources));
    let eights = u64::from(of.targets.div_ceil(8));
    let rows = 16 * groups + u64::from(of.targets.next_multiple_of(32));
    let heads = u64::from(of.heads);
    let row = (channels / 32) * (9 + 8 * heads / 5);
    let attention = u64::from(of.attended.div_ceil(32)) * (100 + heads * (128 + 9 * channels / 8));
    Work {
        // Products of high and low bytes with each other.
        tensor_macs: blocks * 16 * groups * 8 * eights * 4 * channels,
        instructions: blocks * (1870 + rows * row + groups * eights * 169)
            + u64::from(batch) * (9 * sources * sources / 128 + attention),
        shared_bytes: 0,
    }
}

/// Merging of images of `sources` sources each, of which `kept` tokens are left in all images together. Rows that are
/// not normalized from registers merge a piece at a time.
pub(super) fn merge_norm(kept: u32, sources: u32, norm: &NormParams) -> Work {
    let words = u64::from(sources.div_ceil(32) * norm.width.div_ceil(2048));
    let step = if norm.fits_registers() { 18 } else { 60 };
    let steps = step * u64::from(norm.width.div_ceil(256));
    let row = norm_row(norm, QUANTIZE) + 230 + 16 * words + steps;
    let affine = affine_bytes(norm, kept);
    // Beside them who joins a target, for 32 sources at a time.
    let joins = if affine > 0 { 120 * words } else { 0 };
    Work {
        shared_bytes: affine + u64::from(kept) * joins,
        ..Work::instructions(u64::from(kept) * row)
    }
}

/// Pooling of `batch` images: elements are copied, tokens are added up to a mean, and parts are normalized.
pub(super) fn pool_norm(batch: u32, pool: &PoolNormParams) -> Work {
    let rounds = |columns: u32| u64::from(columns.div_ceil(32));
    let chain = u64::from(pool.tokens - pool.first) * 16;
    let mean = rounds(pool.pooled_width - pool.copied) * chain;
    let store = match pool.real {
        Address::NULL => WIDE,
        _ => 0,
    };
    let parts = u64::from(pool.pooled_width / pool.norm.width.max(1));
    let (norms, affine) = match (pool.normalizes(), pool.norm.fits_registers()) {
        // Eight warps copy gain and bias.
        (true, true) => (parts * norm_row(&pool.norm, store) + 250, 1 + parts),
        (true, false) => (parts * norm_row(&pool.norm, store), 0),
        (false, _) => (0, 0),
    };
    let copied = rounds(pool.pooled_width) * 33 / 2;
    Work {
        shared_bytes: u64::from(batch) * affine * 8 * u64::from(pool.norm.width),
        ..Work::instructions(u64::from(batch) * (copied + 270 + mean + norms))
    }
}

/// The classifier: each block computes `products` sums of `inputs` products.
pub(super) fn head(blocks: u32, products: u32, inputs: u32) -> Work {
    let blocks = u64::from(blocks);
    Work {
        tensor_macs: blocks * u64::from(products) * u64::from(inputs),
        instructions: blocks * (248 + 18 * u64::from(inputs / 64)),
        shared_bytes: 0,
    }
}

/// The `count` best classes of each image, copies of its logits and sizes.
pub(super) fn top_classes(batch: u32, classes: u32, tokens: u32, count: u32) -> Work {
    let per_warp = |elements: u32| u64::from(elements.div_ceil(32));
    let scan = 18 * per_warp(classes) + 8 * 75;
    let copies = 9 * (per_warp(classes) + per_warp(tokens)) + 8 * 40;
    Work::instructions(u64::from(batch) * (u64::from(count) * scan + copies))
}

/// Pixels to `patches` patches of `row` bytes.
pub(super) fn patchify(patches: u32, row: u32) -> Work {
    let rounds = u64::from(row / 4).div_ceil(128);
    Work::instructions(u64::from(patches) * (140 + 104 * rounds))
}

/// The first pass over a frame, fitted to the emulator's counts. Each of `blocks` blocks unpacks `pixels` pixels of
/// a pair of rows, at so many instructions (`unpack`) for a warp's fours of pixels, then sums up `groups` fours of
/// taps for each of `columns` columns.
pub(super) fn resample_columns(
    blocks: u32,
    pixels: u32,
    unpack: u64,
    columns: u32,
    groups: u32,
) -> Work {
    let warps = |threads: u32| u64::from(threads.div_ceil(32));
    let column = 120 + 42 * u64::from(groups);
    let block = 8 * 40 + warps(pixels / 4) * unpack + warps(columns) * column;
    Work::instructions(u64::from(blocks) * block)
}

/// The second pass, fitted to the emulator's counts: `lines` output rows of `width` pixels, sums over `taps` rows.
/// `scattered`: the bytes of a four may belong to two patches.
pub(super) fn resample_rows(lines: u32, width: u32, taps: u32, scattered: bool) -> Work {
    let four = 110 + if scattered { 60 } else { 0 } + 14 * u64::from(taps);
    let row = 6 * 40 + u64::from((3 * width).div_ceil(4 * 32)) * four;
    Work::instructions(u64::from(lines) * row)
}
