//! What timm calls the tensors of a model.

use crate::checkpoint::anatomy::{
    Head, LayerNames, Linear, Mlp, Names, PoolingNames, PoolingQkv, Position, PrefixRows, Qkv,
};
use crate::checkpoint::architectures::{Architecture, Class, MlpKind, Pool, PositionRows};
use crate::checkpoint::error::Defect;
use crate::checkpoint::families::sole_linear;
use crate::checkpoint::tensors::Tensors;

/// What the names of a model's own tensors start with.
const OWN: [&str; 11] = [
    "cls_token",
    "reg_token",
    "dist_token",
    "pos_embed",
    "patch_embed.",
    "norm_pre.",
    "norm.",
    "fc_norm.",
    "rope.freqs",
    "head_dist.",
    "blocks.",
];

/// Names of the tensors, each after `start`, of a model that is built as `architecture` says.
///
/// # Errors
/// [`Defect::Names`] if a token, a norm or the position table is there that the architecture lacks, or the reverse;
/// [`Defect::Unsupported`] for a head of several layers.
pub(super) fn names(
    tensors: &Tensors<'_>,
    start: &str,
    architecture: &Architecture,
) -> Result<Names, Defect> {
    let name = |name: &str| format!("{start}{name}");
    let naflex = architecture.class == Class::Naflex;
    let embedding = if naflex {
        name("embeds.")
    } else {
        start.into()
    };
    let embedded = |name: &str| format!("{embedding}{name}");
    expect(tensors, start, &embedding, architecture)?;
    let norm = |base: &str| {
        let has = tensors.has(&format!("{start}{base}.weight"));
        has.then(|| format!("{start}{base}"))
    };
    let tokens = ["cls_token", "dist_token", "reg_token"].map(embedded);
    let head = match sole_linear(tensors, &name("head."))? {
        None => Head::None,
        Some(head) if architecture.distilled => {
            let second = name("head_dist");
            Head::Averaged([head, Linear::find(tensors, "", &second)])
        }
        Some(head) => Head::Linear(head),
    };
    let mut own = OWN.map(name).to_vec();
    if naflex {
        own.push(embedding.clone());
    }
    if architecture.pool == Pool::Map {
        own.push(name("attn_pool."));
    }
    Ok(Names {
        patch: Linear::find(
            tensors,
            "",
            &embedded(if naflex { "proj" } else { "patch_embed.proj" }),
        ),
        patch_side: architecture.patch_size,
        prefix: tokens
            .into_iter()
            .filter(|name| tensors.has(name))
            .collect(),
        position: match architecture.table {
            PositionRows::None => None,
            rows => Some(Position {
                name: embedded("pos_embed"),
                rows: if rows == PositionRows::All {
                    PrefixRows::All
                } else {
                    PrefixRows::None
                },
            }),
        },
        pre_norm: norm("norm_pre"),
        layer: name("blocks.{}."),
        block: block(
            tensors,
            &tensors.first_layer(&name("blocks.{}.")),
            architecture.mlp,
        ),
        token_norm: norm("norm"),
        pooling: match architecture.pool {
            Pool::Map => Some(pooling(tensors, start, architecture)),
            Pool::Token | Pool::Avg => None,
        },
        final_norm: norm("fc_norm"),
        head,
        own,
    })
}

/// Checks that the tokens and norms are those of the architecture.
fn expect(
    tensors: &Tensors<'_>,
    start: &str,
    embedding: &str,
    architecture: &Architecture,
) -> Result<(), Defect> {
    let norm = |base: &str| {
        if architecture.norms_by_arguments {
            tensors.has(&format!("{start}{base}.weight"))
        } else {
            architecture.norms.iter().any(|norm| norm == base)
        }
    };
    let parts = [
        (embedding, "cls_token", architecture.class_token),
        (embedding, "reg_token", architecture.registers > 0),
        (embedding, "dist_token", architecture.distilled),
        (
            embedding,
            "pos_embed",
            architecture.table != PositionRows::None,
        ),
        (start, "norm_pre.weight", norm("norm_pre")),
        (start, "norm.weight", norm("norm")),
        (start, "fc_norm.weight", norm("fc_norm")),
    ];
    let mut missing = Vec::new();
    let mut unknown = Vec::new();
    for (start, base, expected) in parts {
        let name = format!("{start}{base}");
        match (tensors.has(&name), expected) {
            (true, false) => unknown.push(name),
            (false, true) => missing.push(name),
            _ => {}
        }
    }
    if missing.is_empty() && unknown.is_empty() {
        Ok(())
    } else {
        Err(Defect::Names { missing, unknown })
    }
}

/// Names inside a layer, by those of the first one, which start with `first`.
fn block(tensors: &Tensors<'_>, first: &str, mlp: MlpKind) -> LayerNames {
    let has = |name: &str| tensors.has(&format!("{first}{name}"));
    let linear = |base: &str| Linear::find(tensors, first, base);
    let either = |names: [&str; 2]| names.into_iter().find(|name| has(name)).map(str::to_owned);
    let qkv = if has("attn.q_proj.weight") {
        Qkv::Split(["attn.q_proj", "attn.k_proj", "attn.v_proj"].map(linear))
    } else if has("attn.q_bias") {
        Qkv::FusedOddBias {
            weight: "attn.qkv.weight".into(),
            query: "attn.q_bias".into(),
            value: "attn.v_bias".into(),
        }
    } else {
        Qkv::Fused(linear("attn.qkv"))
    };
    let norm = has("mlp.norm.weight").then(|| "mlp.norm".to_owned());
    let (fc1, fc2) = (linear("mlp.fc1"), linear("mlp.fc2"));
    LayerNames {
        norm1: "norm1".into(),
        qkv,
        proj: linear("attn.proj"),
        scale1: either(["ls1.gamma", "gamma_1"]),
        norm2: "norm2".into(),
        mlp: match mlp {
            MlpKind::Plain => Mlp::Plain { fc1, fc2 },
            MlpKind::Packed => Mlp::Packed { fc1, norm, fc2 },
            MlpKind::Split => Mlp::Split {
                gate: linear("mlp.fc1_g"),
                value: linear("mlp.fc1_x"),
                norm,
                fc2,
            },
        },
        scale2: either(["ls2.gamma", "gamma_2"]),
    }
}

/// `timm.layers.AttentionPoolLatent`.
fn pooling(tensors: &Tensors<'_>, start: &str, architecture: &Architecture) -> PoolingNames {
    let name = |base: &str| format!("{start}attn_pool.{base}");
    let linear = |base: &str| Linear::find(tensors, "", &name(base));
    PoolingNames {
        heads: architecture.pool_heads.unwrap_or(architecture.heads),
        latent: name("latent"),
        attention: PoolingQkv::Query {
            query: linear("q"),
            key_value: linear("kv"),
        },
        proj: linear("proj"),
        norm: name("norm"),
        fc1: linear("mlp.fc1"),
        fc2: linear("mlp.fc2"),
    }
}
