//! Checkpoints whose names or sizes mislead: gaps between layers, absurd layer numbers, widths of another architecture.

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

/// One head of 64 channels.
const CONFIG: &str =
    r#"{"architecture": "vit_tiny_patch16_224", "model_args": {"embed_dim": 64, "num_heads": 1}}"#;

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
        let error = parse(&shapes, Some(CONFIG)).expect_err("a layer is missing");
        let Defect::Names { missing, unknown } = &error else {
            panic!("{error}");
        };
        assert!(unknown.is_empty(), "{error}");
        // Biases are expected where the first layer has them.
        assert_eq!(missing.len(), 12, "{error}");
        assert!(
            missing.iter().all(|name| name.starts_with(&start)),
            "{error}"
        );
    }
}

#[test]
fn absurd_layer_numbers_are_refused_in_a_short_error() {
    for layer in [64, 1 << 40, usize::MAX] {
        let mut shapes = timm(64, 1);
        shapes.insert(format!("blocks.{layer}.x"), vec![1]);
        let error = parse(&shapes, Some(CONFIG)).expect_err("too many layers");
        assert!(matches!(error, Defect::Unsupported(_)), "{error}");
        assert!(error.to_string().contains(&layer.to_string()), "{error}");
    }
    let mut shapes = timm(64, 1);
    shapes.extend((0..20_000).map(|layer| (format!("blocks.{layer}.x"), vec![0])));
    let error = parse(&shapes, Some(CONFIG)).expect_err("too many layers");
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn heads_are_told_by_a_name_or_asked_for() {
    for shapes in [timm(768, 1), torchvision(768)] {
        let error = parse(&shapes, None).expect_err("no architecture");
        assert!(matches!(error, Defect::Unstated { .. }), "{error}");
        assert!(error.hint().unwrap().contains("--architecture"));
    }
    let named = |name: &str| format!(r#"{{"architecture": "{name}"}}"#);
    let heads = |shapes: &Shapes, name: &str| {
        parse(shapes, Some(&named(name))).map(|found| (found.model.heads, found.model.head_width))
    };
    assert_eq!(heads(&torchvision(768), "vit_b_16").unwrap(), (12, 64));
    // Heads of 80 channels are stored in 96.
    assert_eq!(heads(&torchvision(1280), "vit_h_14").unwrap(), (16, 96));
    assert_eq!(
        heads(&timm(1280, 1), "vit_huge_patch14_224").unwrap(),
        (16, 96)
    );
    // The name of a model of another width says nothing of the heads.
    for (shapes, name) in [
        (torchvision(1024), "vit_b_16"),
        (timm(1024, 1), "vit_base_patch16_224"),
    ] {
        let error = heads(&shapes, name).expect_err("another width").to_string();
        assert!(
            error.contains("1024 channels") && error.contains("num_heads"),
            "{error}"
        );
    }
    let stated = r#"{"architecture": "vit_base_patch16_224", "model_args": {"embed_dim": 1280, "num_heads": 20}}"#;
    assert_eq!(parse(&timm(1280, 1), Some(stated)).unwrap().model.heads, 20);
    let odd = r#"{"architecture": "vit_tiny_patch16_224", "model_args": {"embed_dim": 96}}"#;
    assert!(matches!(
        parse(&timm(96, 1), Some(odd)),
        Err(Defect::Model(_))
    ));
}
