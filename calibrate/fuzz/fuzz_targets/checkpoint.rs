//! Any bytes give a valid checkpoint or an error.
//!
//! An input is `config.json`, `preprocessor_config.json` and the header of `model.safetensors`, each with a
//! zero byte after it; then four little-endian bytes with the number of bytes of values; then the first
//! values, which are repeated to that length, so that a seed of 3 kB can be a model of 100 kB. An empty
//! configuration counts as absent. What it does not say of the preprocessing is stated, as a user would.

#![no_main]

use mergevit_calibrate::checkpoint::{Checkpoint, Defect, Stated};
use mergevit_runtime::{Mlp, Normalization, RotaryKind};

const MAX_VALUES: u32 = 1 << 18;

/// A safetensors file with this header and a correct length prefix.
fn safetensors(header: &[u8], values: &[u8]) -> Vec<u8> {
    let (length, pattern) = values.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let length = u32::from_le_bytes(*length).min(MAX_VALUES) as usize;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    if pattern.is_empty() {
        file.resize(file.len() + length, 0);
    } else {
        let end = file.len() + length;
        file.extend(pattern.repeat(length.div_ceil(pattern.len())));
        file.truncate(end);
    }
    file
}

/// Checks that every tensor has the size that the model's dimensions give, and is finite.
fn check(checkpoint: &Checkpoint) {
    let model = &checkpoint.model;
    model.validate().expect("an imported model is valid");
    let weights = &checkpoint.weights;
    let (width, attention, mlp) = (model.width, model.attention_width(), model.mlp_row());
    let pairs = model.head_width / 2;
    let classes = if model.head { model.classes } else { 0 };
    let mut tensors = vec![
        (&weights.patch_weight, width * 3 * model.patch_size.pow(2)),
        (&weights.patch_bias, width),
        (&weights.position, model.tokens() * width),
        (&weights.head_weight, classes * model.pooled_width()),
        (&weights.head_bias, classes),
    ];
    let mut norms = vec![
        (weights.pre_norm.as_ref(), model.pre_norm, width),
        (weights.token_norm.as_ref(), model.token_norm, width),
        (
            weights.final_norm.as_ref(),
            model.final_norm != Normalization::None,
            width,
        ),
    ];
    let shared = model.rotary == RotaryKind::Shared;
    assert_eq!(weights.rotary.len(), if shared { 3 * pairs } else { 0 });
    assert_eq!(weights.blocks.len(), model.depth);
    for block in &weights.blocks {
        tensors.extend([
            (&block.qkv_weight, 3 * attention * width),
            (&block.qkv_bias, 3 * attention),
            (&block.proj_weight, width * attention),
            (&block.proj_bias, width),
            (&block.fc1_weight, model.fc1_outputs() * width),
            (&block.fc1_bias, model.fc1_outputs()),
            (&block.fc2_weight, width * mlp),
            (&block.fc2_bias, width),
        ]);
        norms.extend([
            (Some(&block.norm1), true, width),
            (Some(&block.norm2), true, width),
            (block.inner_norm.as_ref(), model.mlp == Mlp::GatedNorm, mlp),
        ]);
        let own = model.rotary == RotaryKind::PerLayer;
        assert_eq!(
            block.rotary.len(),
            if own { 3 * model.heads * pairs } else { 0 }
        );
    }
    assert_eq!(weights.pooling.is_some(), model.attention_pooling.is_some());
    if let (Some(pooling), Some(shape)) = (&weights.pooling, &model.attention_pooling) {
        let (attention, mlp) = (shape.width(), shape.mlp_row());
        tensors.extend([
            (&pooling.query, attention),
            (&pooling.key_value_weight, 2 * attention * width),
            (&pooling.key_value_bias, 2 * attention),
            (&pooling.proj_weight, width * attention),
            (&pooling.proj_bias, width),
            (&pooling.fc1_weight, mlp * width),
            (&pooling.fc1_bias, mlp),
            (&pooling.fc2_weight, width * mlp),
            (&pooling.fc2_bias, width),
        ]);
        norms.push((Some(&pooling.norm), true, width));
    }
    for (norm, present, len) in norms {
        assert_eq!(norm.is_some(), present);
        tensors.extend(
            norm.into_iter()
                .flat_map(|norm| [(&norm.gain, len), (&norm.bias, len)]),
        );
    }
    for (tensor, len) in tensors {
        assert_eq!(tensor.len(), len);
        assert!(tensor.iter().all(|x| x.is_finite()));
    }
    assert!(checkpoint.mean.iter().all(|x| x.is_finite()));
    assert!(checkpoint.std.iter().all(|x| x.is_finite() && *x > 0.0));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |&byte| byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (config, preprocessor, header, values) = (next(), next(), next(), next());
    let given = |text| Some(text).filter(|text: &&[u8]| !text.is_empty());
    let file = safetensors(header, values);
    let (config, preprocessor) = (given(config), given(preprocessor));
    let parse = |stated: &Stated| Checkpoint::parse_with(&file, config, preprocessor, stated);
    let mut checkpoint = parse(&Stated::default());
    if let Err(Defect::Preprocessing { missing }) = &checkpoint {
        assert!(!missing.is_empty());
        checkpoint = parse(&Stated::IMAGENET);
        let still = matches!(checkpoint, Err(Defect::Preprocessing { .. }));
        assert!(!still, "all of it is stated");
    }
    if let Ok(checkpoint) = checkpoint {
        check(&checkpoint);
    }
});
