//! `model_args` of timm's config.json: arguments that the model was built with, over those of its architecture.

use crate::checkpoint::architectures::{Architecture, Class, Pool, PositionRows};
use crate::checkpoint::error::Defect;
use crate::checkpoint::json::Object;
use mergevit_runtime::ActivationName;
use serde_json::Value;

/// Arguments that matter in training alone, or whose effect the tensors show.
const IGNORED: [&str; 31] = [
    "attn_drop_rate",
    "checkpoint_path",
    "depth",
    "drop_path_rate",
    "drop_rate",
    "dynamic_img_pad",
    "dynamic_img_size",
    "embed_dim",
    "fix_init",
    "head_init_scale",
    "img_size",
    "in_chans",
    "init_values",
    "mlp_ratio",
    "num_classes",
    "patch_drop_rate",
    "patch_size",
    "pos_drop_rate",
    "pretrained",
    "pretrained_strict",
    "proj_bias",
    "proj_drop_rate",
    "qkv_bias",
    "qkv_fused",
    "rope_jitter_coords",
    "rope_rescale_coords",
    "rope_shift_coords",
    "strict_img_size",
    "swiglu_align_to",
    "weight_init",
    "out_indices",
];

/// Arguments that choose among norms; the tensors show the choice.
const NORMS: [&str; 6] = [
    "fc_norm",
    "final_norm",
    "pre_norm",
    "use_fc_norm",
    "use_post_transformer_norm",
    "use_pre_transformer_norm",
];

/// Changes `architecture` as `arguments` say.
///
/// # Errors
/// [`Defect::Unsupported`] with the name of an argument that is unknown or changes what cannot be changed;
/// [`Defect::Config`] for one of a wrong type.
pub(super) fn apply(architecture: &mut Architecture, arguments: Object<'_>) -> Result<(), Defect> {
    let given = arguments.value().as_object().into_iter().flatten();
    for (name, value) in given.filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            name if IGNORED.contains(&name) => {}
            name if NORMS.contains(&name) => architecture.norms_by_arguments = true,
            "global_pool" => {
                let pool = pool(arguments.text(name)?.unwrap_or_default())?;
                set_pool(architecture, pool);
            }
            "num_heads" => architecture.heads = count(arguments, name)?,
            "attn_pool_num_heads" => architecture.pool_heads = Some(count(arguments, name)?),
            "class_token" => architecture.class_token = flag(arguments, name)?,
            "reg_tokens" | "num_reg_tokens" => {
                architecture.registers = arguments.size(name)?.unwrap_or_default();
            }
            "no_embed_class" if architecture.table != PositionRows::None => {
                architecture.table = if flag(arguments, name)? {
                    PositionRows::Patches
                } else {
                    PositionRows::All
                };
            }
            "no_embed_class" => {}
            "pos_embed" => match arguments.text(name)? {
                Some("" | "none") => architecture.table = PositionRows::None,
                Some("learn") if architecture.table != PositionRows::None => {}
                _ => return Err(refused(name, value)),
            },
            "pool_include_prefix" if architecture.class == Class::Vit => {
                architecture.pool_prefix = flag(arguments, name)?;
            }
            "act_layer" => {
                architecture.activation = activation(arguments.text(name)?.unwrap_or_default())?;
            }
            _ if is_off(name, value) => {}
            _ => return Err(refused(name, value)),
        }
    }
    if let Some(width) = arguments.size("embed_dim")? {
        architecture.width = width;
    }
    Ok(())
}

fn refused(name: &str, value: &Value) -> Defect {
    Defect::Unsupported(format!(
        "it was built with {name}={value} (model_args in config.json)"
    ))
}

/// Whether an argument switches off what is off in every architecture of the table.
fn is_off(name: &str, value: &Value) -> bool {
    let switches = [
        "gated_attn",
        "qk_norm",
        "scale_attn_inner",
        "scale_attn_norm",
        "scale_mlp_norm",
        "use_naflex",
        "use_post_norm",
    ];
    switches.contains(&name) && value == &Value::Bool(false)
}

/// Pools in another way than the architecture; the place of the last norm follows.
pub(super) fn set_pool(architecture: &mut Architecture, pool: Pool) {
    if architecture.pool != pool {
        architecture.pool = pool;
        architecture.norms_by_arguments = true;
        architecture.pool_prefix = pool == Pool::Map && architecture.class == Class::Eva;
    }
}

/// A value of `global_pool`.
pub(super) fn pool(name: &str) -> Result<Pool, Defect> {
    match name {
        "token" => Ok(Pool::Token),
        "avg" => Ok(Pool::Avg),
        "map" => Ok(Pool::Map),
        other => Err(Defect::Unsupported(format!(
            "global_pool {other:?}; supported are \"token\", \"avg\" and \"map\""
        ))),
    }
}

fn activation(name: &str) -> Result<ActivationName, Defect> {
    match name {
        "gelu" => Ok(ActivationName::Gelu),
        "gelu_tanh" => Ok(ActivationName::GeluTanh),
        "quick_gelu" | "quickgelu" => Ok(ActivationName::QuickGelu),
        "silu" | "swish" => Ok(ActivationName::Silu),
        other => Err(Defect::Unsupported(format!(
            "activation {other} (model_args.act_layer in config.json); supported are gelu, gelu_tanh, \
             quick_gelu and silu"
        ))),
    }
}

fn flag(arguments: Object<'_>, name: &str) -> Result<bool, Defect> {
    Ok(arguments.flag(name)?.unwrap_or_default())
}

fn count(arguments: Object<'_>, name: &str) -> Result<usize, Defect> {
    Ok(arguments.size(name)?.unwrap_or_default())
}
