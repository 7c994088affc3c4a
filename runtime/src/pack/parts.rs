//! Which tensors belong together: the one map from layers of a model to tensors of a pack.

use super::layout::TensorKind;

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
            Self::Head => (Kind::HeadWeight, Kind::HeadScale, Kind::HeadBias),
        };
        LinearTensors {
            weight,
            scale,
            bias,
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
            Self::Head => "head",
        }
    }
}

/// A layer norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// Before the attention of an encoder layer.
    First,
    /// Before the MLP of an encoder layer.
    Second,
    /// Before the classifier.
    Final,
}

/// The tensors of a layer norm of C channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormTensors {
    /// (1, C) f32
    pub gain: TensorKind,
    /// (1, C) f32
    pub bias: TensorKind,
}

impl Norm {
    /// Its tensors.
    pub const fn tensors(self) -> NormTensors {
        use TensorKind as Kind;
        let (gain, bias) = match self {
            Self::First => (Kind::Norm1Gain, Kind::Norm1Bias),
            Self::Second => (Kind::Norm2Gain, Kind::Norm2Bias),
            Self::Final => (Kind::FinalNormGain, Kind::FinalNormBias),
        };
        NormTensors { gain, bias }
    }

    /// Short name for profiles and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "norm1",
            Self::Second => "norm2",
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
        let mut config = testing::model(16, 8, 2, 3, 10);
        config.mlp_width = 192;
        let all = Linear::ENCODER
            .into_iter()
            .chain([Linear::Patch, Linear::Head]);
        for linear in all {
            let LinearTensors {
                weight,
                scale,
                bias,
            } = linear.tensors();
            let (outputs, _) = weight.shape(&config);
            assert_eq!(scale.shape(&config), (1, outputs), "{linear:?}");
            assert_eq!(bias.shape(&config), (1, outputs), "{linear:?}");
            assert_eq!(weight.is_layer(), Linear::ENCODER.contains(&linear));
        }
        for norm in [Norm::First, Norm::Second, Norm::Final] {
            let NormTensors { gain, bias } = norm.tensors();
            assert_eq!(gain.shape(&config), (1, config.width));
            assert_eq!(bias.shape(&config), (1, config.width));
        }
    }
}
