//! Which tensors belong together: the one map from layers of a model to tensors of a pack.

use super::kind::TensorKind;
use crate::config::{ModelConfig, Normalization};

/// A linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linear {
    /// Patch embedding.
    Patch,
    /// Query, key and value of an encoder layer.
    Qkv,
    /// Projection after attention.
    Projection,
    /// First layer of the MLP.
    Fc1,
    /// Second layer of the MLP.
    Fc2,
    /// Key and value of the attention pooling.
    PoolKeyValue,
    /// Projection after the attention pooling.
    PoolProjection,
    /// First layer of the attention pooling's MLP.
    PoolFc1,
    /// Second layer of the attention pooling's MLP.
    PoolFc2,
    /// Classifier.
    Head,
}

/// The tensors of a linear layer of N outputs and K inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearTensors {
    /// (N, K) i8
    pub weight: TensorKind,
    /// (1, N) f32
    pub scale: TensorKind,
    /// (1, N) f32
    pub bias: TensorKind,
}

impl Linear {
    /// All of them, in file order.
    pub const ALL: [Self; 10] = [
        Self::Patch,
        Self::Qkv,
        Self::Projection,
        Self::Fc1,
        Self::Fc2,
        Self::PoolKeyValue,
        Self::PoolProjection,
        Self::PoolFc1,
        Self::PoolFc2,
        Self::Head,
    ];

    /// Those of an encoder layer, in file order.
    pub const ENCODER: [Self; 4] = [Self::Qkv, Self::Projection, Self::Fc1, Self::Fc2];

    /// Its tensors.
    pub const fn tensors(self) -> LinearTensors {
        use TensorKind as Kind;
        let (weight, scale, bias) = match self {
            Self::Patch => (Kind::PatchWeight, Kind::PatchScale, Kind::PatchBias),
            Self::Qkv => (Kind::QkvWeight, Kind::QkvScale, Kind::QkvBias),
            Self::Projection => (Kind::ProjWeight, Kind::ProjScale, Kind::ProjBias),
            Self::Fc1 => (Kind::Fc1Weight, Kind::Fc1Scale, Kind::Fc1Bias),
            Self::Fc2 => (Kind::Fc2Weight, Kind::Fc2Scale, Kind::Fc2Bias),
            Self::PoolKeyValue => (
                Kind::PoolKeyValueWeight,
                Kind::PoolKeyValueScale,
                Kind::PoolKeyValueBias,
            ),
            Self::PoolProjection => (
                Kind::PoolProjWeight,
                Kind::PoolProjScale,
                Kind::PoolProjBias,
            ),
            Self::PoolFc1 => (Kind::PoolFc1Weight, Kind::PoolFc1Scale, Kind::PoolFc1Bias),
            Self::PoolFc2 => (Kind::PoolFc2Weight, Kind::PoolFc2Scale, Kind::PoolFc2Bias),
            Self::Head => (Kind::HeadWeight, Kind::HeadScale, Kind::HeadBias),
        };
        LinearTensors {
            weight,
            scale,
            bias,
        }
    }

    /// Where the steps and the zero points of its activation's output are, if it has an activation that is quantized
    /// by itself.
    pub const fn hidden_quantization(self) -> Option<TensorKind> {
        match self {
            Self::Fc1 => Some(TensorKind::HiddenQuantization),
            Self::PoolFc1 => Some(TensorKind::PoolHiddenQuantization),
            _ => None,
        }
    }

    /// Short name for profiles and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patch => "embed",
            Self::Qkv => "qkv",
            Self::Projection => "projection",
            Self::Fc1 => "fc1",
            Self::Fc2 => "fc2",
            Self::PoolKeyValue => "pool_key_value",
            Self::PoolProjection => "pool_projection",
            Self::PoolFc1 => "pool_fc1",
            Self::PoolFc2 => "pool_fc2",
            Self::Head => "head",
        }
    }
}

/// A norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// Before the first layer.
    Pre,
    /// Before the attention of an encoder layer.
    First,
    /// Before the MLP of an encoder layer.
    Second,
    /// Inside a gated MLP.
    Inner,
    /// Of all tokens, before they are pooled.
    Token,
    /// Before the MLP of the attention pooling.
    Pool,
    /// After pooling.
    Final,
}

/// The tensors of a norm of L channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormTensors {
    /// (1, L) f32
    pub gain: TensorKind,
    /// (1, L) f32
    pub bias: TensorKind,
}

impl Norm {
    /// All of them, in file order.
    pub const ALL: [Self; 7] = [
        Self::Pre,
        Self::First,
        Self::Second,
        Self::Inner,
        Self::Token,
        Self::Pool,
        Self::Final,
    ];

    /// Its tensors.
    pub const fn tensors(self) -> NormTensors {
        use TensorKind as Kind;
        let (gain, bias) = match self {
            Self::Pre => (Kind::PreNormGain, Kind::PreNormBias),
            Self::First => (Kind::Norm1Gain, Kind::Norm1Bias),
            Self::Second => (Kind::Norm2Gain, Kind::Norm2Bias),
            Self::Inner => (Kind::InnerNormGain, Kind::InnerNormBias),
            Self::Token => (Kind::TokenNormGain, Kind::TokenNormBias),
            Self::Pool => (Kind::PoolNormGain, Kind::PoolNormBias),
            Self::Final => (Kind::FinalNormGain, Kind::FinalNormBias),
        };
        NormTensors { gain, bias }
    }

    /// What it normalizes by in a model of this configuration.
    pub const fn kind(self, config: &ModelConfig) -> Normalization {
        match self {
            Self::Final => config.final_norm,
            _ => config.norm,
        }
    }

    /// (stored channels of a row, those of them that count) in a model of this configuration.
    pub const fn widths(self, config: &ModelConfig) -> (usize, usize) {
        match self {
            Self::Inner => (config.mlp_row(), config.mlp_width),
            Self::Final => (config.final_norm_width(), config.final_norm_width()),
            _ => (config.width, config.width),
        }
    }

    /// Short name for profiles and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pre => "pre_norm",
            Self::First => "norm1",
            Self::Second => "norm2",
            Self::Inner => "inner_norm",
            Self::Token => "token_norm",
            Self::Pool => "pool_norm",
            Self::Final => "final_norm",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn scale_and_bias_have_an_element_for_each_output() {
        for (name, config) in testing::family() {
            for linear in Linear::ALL {
                let LinearTensors {
                    weight,
                    scale,
                    bias,
                } = linear.tensors();
                let (outputs, _) = weight.shape(&config);
                let vector = (usize::from(outputs > 0), outputs);
                assert_eq!(scale.shape(&config), vector, "{name}: {linear:?}");
                assert_eq!(bias.shape(&config), vector, "{name}: {linear:?}");
                assert_eq!(weight.is_layer(), Linear::ENCODER.contains(&linear));
            }
            for norm in Norm::ALL {
                let NormTensors { gain, bias } = norm.tensors();
                if gain.is_in(&config) {
                    let (width, count) = norm.widths(&config);
                    assert_eq!(gain.shape(&config), (1, width), "{name}: {norm:?}");
                    assert_eq!(bias.shape(&config), (1, width), "{name}: {norm:?}");
                    assert!((1..=width).contains(&count) && width - count < 64);
                }
            }
        }
    }
}
