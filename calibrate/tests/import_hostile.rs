//! Checkpoints whose names or sizes mislead: gaps between layers, absurd layer numbers, heads of another width.

use mergevit_calibrate::checkpoint::{Checkpoint, Defect, Stated};
use safetensors::{Dtype, tensor::TensorView};
use std::collections::BTreeMap;

/// Shapes by name; every value is zero.
type Shapes = BTreeMap<String, Vec<usize>>;

fn timm(width: usize, depth: usize) -> Shapes {
    let mut shapes: Shapes = [
        ("cls_token", vec![1, 1, width]),
        ("pos_embed", vec![1, 5, width]),
        ("patch_embed.proj.weight", vec![width, 3, 8, 8]),
        ("patch_embed.proj.bias", vec![width]),
        ("norm.weight", vec![width]),
        ("norm.bias", vec![width]),
        ("head.weight", vec![3, width]),
        ("head.bias", vec![3]),
    ]
    .map(|(name, shape)| (name.into(), shape))
    .into();
    for layer in 0..depth {
        for (name, outputs, inputs) in [
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.fc1", 128, width),
            ("mlp.fc2", width, 128),
        ] {
            shapes.insert(
                format!("blocks.{layer}.{name}.weight"),
                vec![outputs, inputs],
            );
            shapes.insert(format!("blocks.{layer}.{name}.bias"), vec![outputs]);
        }
        for name in ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"] {
            shapes.insert(format!("blocks.{layer}.{name}"), vec![width]);
        }
    }
    shapes
}

fn torchvision(width: usize) -> Shapes {
    let pairs = [
        ("blocks.0.", "encoder.layers.encoder_layer_0."),
        ("attn.qkv.", "self_attention.in_proj_"),
        ("attn.proj", "self_attention.out_proj"),
        ("mlp.fc1", "mlp.0"),
        ("mlp.fc2", "mlp.3"),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
        ("norm.", "encoder.ln."),
        ("head.", "heads.head."),
        ("patch_embed.proj", "conv_proj"),
        ("cls_token", "class_token"),
        ("pos_embed", "encoder.pos_embedding"),
    ];
    let rename = |name: String| {
        pairs
            .iter()
            .fold(name, |name, (from, to)| name.replace(from, to))
    };
    timm(width, 1)
        .into_iter()
        .map(|(name, shape)| (rename(name), shape))
        .collect()
}

fn parse(shapes: &Shapes, config: Option<&str>) -> Result<Checkpoint, Defect> {
    let raw: Vec<(&String, &Vec<usize>, Vec<u8>)> = shapes
        .iter()
        .map(|(name, shape)| (name, shape, vec![0; 4 * shape.iter().product::<usize>()]))
        .collect();
    let views = raw.iter().map(|(name, shape, data)| {
        (
            *name,
            TensorView::new(Dtype::F32, (*shape).clone(), data).unwrap(),
        )
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    Checkpoint::parse_with(&bytes, config.map(str::as_bytes), None, &Stated::IMAGENET)
}

#[test]
fn a_gap_between_layers_is_named_as_missing() {
    for gap in [0, 1, 2] {
        let start = format!("blocks.{gap}.");
        let mut shapes = timm(64, 4);
        shapes.retain(|name, _| !name.starts_with(&start));
        let error = parse(&shapes, None).expect_err("a layer is missing");
        let Defect::Names { missing, unknown } = &error else {
            panic!("{error}");
        };
        assert!(unknown.is_empty(), "{error}");
        // The biases of queries, keys and values may be absent.
        assert_eq!(missing.len(), 11, "{error}");
        assert!(
            missing.iter().all(|name| name.starts_with(&start)),
            "{error}"
        );
    }
}

#[test]
fn absurd_layer_numbers_are_refused_in_a_short_error() {
    for layer in [48, 1 << 40, usize::MAX] {
        let mut shapes = timm(64, 1);
        shapes.insert(format!("blocks.{layer}.x"), vec![1]);
        let error = parse(&shapes, None).expect_err("too many layers");
        assert!(matches!(error, Defect::Unsupported(_)), "{error}");
        assert!(error.to_string().contains(&layer.to_string()), "{error}");
    }
    let mut shapes = timm(64, 1);
    shapes.extend((0..20_000).map(|layer| (format!("blocks.{layer}.x"), vec![0])));
    let error = parse(&shapes, None).expect_err("too many layers");
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn widths_of_published_models_with_other_heads_need_a_stated_number() {
    for width in [1280, 1408] {
        for (shapes, what) in [
            (timm(width, 1), "timm"),
            (torchvision(width), "torchvision"),
        ] {
            let error = parse(&shapes, None).expect_err(what);
            assert!(
                matches!(&error, Defect::Unsupported(text) if text.contains("16 heads")),
                "{error}"
            );
        }
    }
    let stated = parse(&timm(1280, 1), Some(r#"{"model_args": {"num_heads": 20}}"#)).unwrap();
    assert_eq!(stated.model.heads, 20);
    assert_eq!(parse(&torchvision(768), None).unwrap().model.heads, 12);
    assert!(matches!(parse(&timm(96, 1), None), Err(Defect::Model(_))));
}
