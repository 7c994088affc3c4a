//! Which kernels there are.

use super::gemm::epilogue::EpilogueKind;
use super::gemm::tile::Tile;
use super::head_width::HeadWidth;
use super::modules::Module;
use super::norm::RowWidth;
use std::fmt;

/// A kernel of a compiled module.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// `gemm_ROWSxCOLUMNS_EPILOGUE`: a linear layer.
    Gemm {
        /// Which part of the output a block computes.
        tile: Tile,
        /// What happens to the sums.
        epilogue: EpilogueKind,
    },
    /// `layer_norm_WIDTH`: to i8.
    LayerNorm {
        /// Which rows it takes.
        rows: RowWidth,
    },
    /// `layer_norm_half_WIDTH`: to f16.
    LayerNormHalf {
        /// Which rows it takes.
        rows: RowWidth,
    },
    /// `rotary`: what positions rotate by.
    Rotary,
    /// `attention_D`: over tokens, or of one query.
    Attention {
        /// D
        head_width: HeadWidth,
    },
    /// `merge_match_D`: which tokens merge.
    MergeMatch {
        /// D
        head_width: HeadWidth,
    },
    /// `merge_norm_WIDTH`: merging with the layer norm that follows.
    MergeNorm {
        /// Which rows it takes.
        rows: RowWidth,
    },
    /// `pool_norm`: pooling with the last layer norm.
    PoolNorm,
    /// `head`: the classifier.
    Head,
    /// `top_classes`: the best classes.
    TopClasses,
    /// `patchify`: pixels to patches.
    Patchify,
    /// `resample_columns`: the first pass over a camera frame.
    ResampleColumns,
    /// `resample_rows`: the second pass.
    ResampleRows,
}

impl Kernel {
    /// All kernels.
    pub fn all() -> impl Iterator<Item = Self> {
        let gemms = EpilogueKind::ALL.into_iter().flat_map(|epilogue| {
            Tile::ALL
                .into_iter()
                .map(move |tile| Self::Gemm { tile, epilogue })
        });
        let attentions = HeadWidth::ALL.map(|head_width| Self::Attention { head_width });
        let matches = HeadWidth::ALL.map(|head_width| Self::MergeMatch { head_width });
        let norms = RowWidth::ALL.into_iter().flat_map(|rows| {
            [
                Self::LayerNorm { rows },
                Self::LayerNormHalf { rows },
                Self::MergeNorm { rows },
            ]
        });
        let of_many = gemms.chain(attentions).chain(matches).chain(norms);
        of_many.chain([
            Self::Rotary,
            Self::PoolNorm,
            Self::Head,
            Self::TopClasses,
            Self::Patchify,
            Self::ResampleColumns,
            Self::ResampleRows,
        ])
    }

    /// The module that holds it.
    pub const fn module(self) -> Module {
        match self {
            Self::Gemm { epilogue, .. } => match epilogue {
                EpilogueKind::Requantize => Module::GemmRequantize,
                EpilogueKind::Rotate => Module::GemmRotate,
                EpilogueKind::Activate => Module::GemmActivate,
                EpilogueKind::Gate => Module::GemmGate,
                EpilogueKind::Residual => Module::GemmResidual,
                EpilogueKind::Embed => Module::GemmEmbed,
            },
            Self::LayerNorm { .. } | Self::LayerNormHalf { .. } => Module::LayerNorm,
            Self::Rotary => Module::Rotary,
            Self::Attention { .. } => Module::Attention,
            Self::MergeMatch { .. } => Module::MergeMatch,
            Self::MergeNorm { .. } => Module::MergeNorm,
            Self::PoolNorm => Module::PoolNorm,
            Self::Head => Module::Head,
            Self::TopClasses => Module::TopClasses,
            Self::Patchify => Module::Patchify,
            Self::ResampleColumns | Self::ResampleRows => Module::Preprocess,
        }
    }

    /// Whether launches size its shared memory, so that it decides how many blocks share a multiprocessor.
    pub const fn sizes_shared_memory(self) -> bool {
        matches!(
            self,
            Self::Gemm { .. }
                | Self::Attention { .. }
                | Self::MergeMatch { .. }
                | Self::ResampleColumns
        )
    }

    /// Its name in the module.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gemm { tile, epilogue } => tile.kernel_name(epilogue),
            Self::LayerNorm { rows } => match rows {
                RowWidth::Narrow => "layer_norm_narrow",
                RowWidth::Wide => "layer_norm_wide",
            },
            Self::LayerNormHalf { rows } => match rows {
                RowWidth::Narrow => "layer_norm_half_narrow",
                RowWidth::Wide => "layer_norm_half_wide",
            },
            Self::Rotary => "rotary",
            Self::Attention { head_width } => match head_width {
                HeadWidth::W32 => "attention_32",
                HeadWidth::W64 => "attention_64",
                HeadWidth::W96 => "attention_96",
                HeadWidth::W128 => "attention_128",
            },
            Self::MergeMatch { head_width } => match head_width {
                HeadWidth::W32 => "merge_match_32",
                HeadWidth::W64 => "merge_match_64",
                HeadWidth::W96 => "merge_match_96",
                HeadWidth::W128 => "merge_match_128",
            },
            Self::MergeNorm { rows } => match rows {
                RowWidth::Narrow => "merge_norm_narrow",
                RowWidth::Wide => "merge_norm_wide",
            },
            Self::PoolNorm => "pool_norm",
            Self::Head => "head",
            Self::TopClasses => "top_classes",
            Self::Patchify => "patchify",
            Self::ResampleColumns => "resample_columns",
            Self::ResampleRows => "resample_rows",
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::MODULES;

    /// As the PTX declares them.
    fn entries(module: Module) -> impl Iterator<Item = &'static str> {
        let declarations = module.ptx().split(".entry ").skip(1);
        declarations.map(|rest| rest.split('(').next().unwrap_or(rest).trim())
    }

    #[test]
    fn what_sizes_shared_memory_is_what_the_sources_declare_so() {
        for &module in MODULES {
            let mut of_module = Kernel::all().filter(|kernel| kernel.module() == module);
            assert_eq!(
                of_module.any(Kernel::sizes_shared_memory),
                module.ptx().contains(".extern .shared"),
                "{}",
                module.name()
            );
        }
    }

    #[test]
    fn every_module_has_its_kernels_and_no_others() {
        for &module in MODULES {
            let of_module = Kernel::all().filter(|kernel| kernel.module() == module);
            let mut named: Vec<_> = of_module.map(Kernel::name).collect();
            let mut declared: Vec<_> = entries(module).collect();
            named.sort_unstable();
            declared.sort_unstable();
            assert!(!declared.is_empty(), "{}", module.name());
            assert_eq!(named, declared, "{}", module.name());
        }
    }
}
