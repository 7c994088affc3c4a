//! Which operations are measured, at the shapes of which models.

use super::Random;
use super::linear::{Head, Linear};
use super::operation::{AnyOperation, Operation};
use super::suite::Case;
use super::tokens::{Attention, Merging, Norm, Patchify, PoolAttention, Pooled, Rotary};
use mergevit_kernels::ops::{Capacity, HEAD_WIDTH, Merge, Pooling};

const IMAGE_SIZE: usize = 224;
const PATCH_SIZE: usize = 16;
const PATCHES: usize = (IMAGE_SIZE / PATCH_SIZE) * (IMAGE_SIZE / PATCH_SIZE);

/// Patches and the class token.
const TOKENS: usize = PATCHES + 1;

/// Tokens that disappear in a layer that merges.
const MERGED: usize = 13;

/// Classes of ImageNet.
const CLASSES: usize = 1000;

/// Channels of ViT-B, and layers.
const BASE_WIDTH: usize = 768;
const BASE_LAYERS: usize = 12;

/// Channels of ViT-Ti, the smallest model in common use.
const TINY_WIDTH: usize = 192;

/// What a backend must reserve for all cases.
pub(crate) const CAPACITY: Capacity = Capacity {
    batch: 1,
    tokens: TOKENS,
    width: BASE_WIDTH,
    head_width: HEAD_WIDTH,
    inner: 4 * BASE_WIDTH,
};

type OperationCase = Case<AnyOperation>;

/// Every case, at batch 1: ViT-B/16 without merging, its last layer where every layer merges, what other families of
/// its size do differently, and ViT-Ti/16.
pub(crate) fn all() -> Vec<OperationCase> {
    let patchify = case("patchify", "224/16".into(), |random| {
        Patchify::new(random, IMAGE_SIZE, PATCH_SIZE)
    });
    let last = TOKENS - MERGED * (BASE_LAYERS - 1);
    let kept = last - MERGED;
    let mut cases = vec![patchify];
    cases.extend(whole(BASE_WIDTH));
    cases.extend(layer(BASE_WIDTH, last, kept));
    cases.push(merging("merge", BASE_WIDTH, last));
    cases.push(pooling(
        "pool_mean",
        BASE_WIDTH,
        kept,
        Pooling::Mean { first: 1 },
    ));
    cases.extend(families());
    cases.extend(tiny());
    cases
}

/// Rotary positions, gated MLPs of two thirds of the usual width, their inner norm, attention pooling.
fn families() -> Vec<OperationCase> {
    let (width, heads) = (BASE_WIDTH, BASE_WIDTH / HEAD_WIDTH);
    let gated = 8 * width / 3;
    vec![
        case("rotary", format!("{TOKENS}x{HEAD_WIDTH}"), |random| {
            Rotary::new(random, TOKENS, HEAD_WIDTH)
        }),
        product("qkv_rotate", [TOKENS, 3 * width, width], Linear::rotate),
        product("fc1_gate", [TOKENS, 2 * gated, width], Linear::gate),
        product(
            "fc1_gate_half",
            [TOKENS, 2 * gated, width],
            Linear::gate_half,
        ),
        norm("rms_norm", [TOKENS, gated], Norm::rms),
        case(
            "pool_attention",
            format!("{TOKENS}x{heads}x{HEAD_WIDTH}"),
            move |random| PoolAttention::new(random, TOKENS, heads),
        ),
    ]
}

/// ViT-Ti/16 alone, without `patchify`, which does not depend on the width.
pub(crate) fn tiny() -> Vec<OperationCase> {
    whole(TINY_WIDTH)
}

/// A model, one layer standing for all as long as nothing merges, and merging in its first layer.
fn whole(width: usize) -> Vec<OperationCase> {
    let row = 3 * PATCH_SIZE * PATCH_SIZE;
    let mut cases = vec![product("embed", [PATCHES, width, row], Linear::embed)];
    cases.extend(layer(width, TOKENS, TOKENS));
    cases.push(merging("merge", width, TOKENS));
    cases.push(merging("merge_by_class", width, TOKENS));
    cases.extend(head(width));
    cases
}

/// A case whose random operands are the same in every run.
fn case<O: Operation + 'static>(
    operation: &'static str,
    shape: String,
    make: impl Fn(&mut Random) -> O + 'static,
) -> OperationCase {
    Case {
        operation,
        shape,
        make: Box::new(move || Box::new(make(&mut Random(1)))),
    }
}

fn product<O: Operation + 'static>(
    operation: &'static str,
    shape: [usize; 3],
    make: fn(&mut Random, [usize; 3]) -> O,
) -> OperationCase {
    let [m, n, k] = shape;
    case(operation, format!("{m}x{n}x{k}"), move |random| {
        make(random, shape)
    })
}

fn norm(
    operation: &'static str,
    shape: [usize; 2],
    make: fn(&mut Random, [usize; 2]) -> Norm,
) -> OperationCase {
    let [rows, width] = shape;
    case(operation, format!("{rows}x{width}"), move |random| {
        make(random, shape)
    })
}

fn pooling(
    operation: &'static str,
    width: usize,
    tokens: usize,
    pooling: Pooling,
) -> OperationCase {
    case(operation, format!("{tokens}x{width}"), move |random| {
        Pooled::new(random, [tokens, width], pooling)
    })
}

/// `merge`, or `merge_by_class`, where the class token's attention ranks.
fn merging(operation: &'static str, width: usize, tokens: usize) -> OperationCase {
    let shape = Merge {
        batch: 1,
        tokens,
        width,
        heads: width / HEAD_WIDTH,
        head_width: HEAD_WIDTH,
        merged: MERGED,
        prefix: 1,
    };
    let kept = tokens - MERGED;
    case(
        operation,
        format!("{tokens}to{kept}x{width}"),
        move |random| Merging::new(random, shape, operation == "merge_by_class"),
    )
}

/// From the last layer's tokens to logits.
fn head(width: usize) -> Vec<OperationCase> {
    vec![
        pooling("pool_class", width, TOKENS, Pooling::First(1)),
        pooling("pool_mean", width, TOKENS, Pooling::Mean { first: 1 }),
        norm("layer_norm_wide", [1, width], Norm::wide),
        case("head", format!("1x{CLASSES}x{width}"), move |random| {
            Head::new(random, CLASSES, width)
        }),
    ]
}

/// A layer with `tokens` tokens up to its attention, and `kept` after it. All tokens stand for one patch in the
/// first layer alone, or where nothing merges.
fn layer(width: usize, tokens: usize, kept: usize) -> Vec<OperationCase> {
    let (heads, inner) = (width / HEAD_WIDTH, 4 * width);
    let merged = kept < tokens;
    let attention = if merged {
        "attention_sized"
    } else {
        "attention"
    };
    vec![
        norm("layer_norm", [kept, width], Norm::new),
        product("qkv", [tokens, 3 * width, width], Linear::requantize),
        case(
            attention,
            format!("{tokens}x{heads}x{HEAD_WIDTH}"),
            move |random| Attention::new(random, tokens, heads, merged),
        ),
        product("projection", [tokens, width, width], Linear::residual),
        product("fc1_gelu", [kept, inner, width], Linear::gelu),
        product("fc2", [kept, width, inner], Linear::residual),
    ]
}
