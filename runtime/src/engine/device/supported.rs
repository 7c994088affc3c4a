//! Which models the CUDA kernels run.

use crate::config::{Mlp, ModelConfig, Normalization, OutputKind, Pooling, RotaryKind};
use mergevit_kernels::cuda::{Device, DeviceError, DeviceErrorKind};
use mergevit_kernels::ops::HEAD_WIDTH;

/// Why lowering never meets what [`check`] refuses.
pub(super) const REFUSED: &str = "the device refused the model at load";

/// Refuses a model by the feature that no kernel has.
pub(super) fn check(model: &ModelConfig, device: &dyn Device) -> Result<(), DeviceError> {
    let features = [
        (
            model.head_width != HEAD_WIDTH,
            "heads of other than 64 channels",
        ),
        (
            model.attention_width() != model.width,
            "attention of another width than the tokens'",
        ),
        (model.mlp != Mlp::Plain, "a gated MLP"),
        (model.prefix > 1, "more than one token before the patches"),
        (model.norm != Normalization::Layer, "RMS normalization"),
        (model.pre_norm, "a norm before the layers"),
        (model.rotary != RotaryKind::None, "rotary positions"),
        (model.token_norm, "a norm of all tokens before pooling"),
        (
            !matches!(model.pooling, Pooling::ClassToken | Pooling::Mean),
            "its pooling",
        ),
        (
            model.final_norm != Normalization::Layer,
            "no layer norm after pooling",
        ),
        (model.output != OutputKind::Logits, "embeddings"),
    ];
    match features.iter().find(|(present, _)| *present) {
        None => Ok(()),
        Some((_, feature)) => Err(DeviceError::new(
            DeviceErrorKind::Unsupported,
            device.name(),
            format!("run {}", model.architecture),
            format!("its kernels do not have {feature} yet"),
        )),
    }
}
