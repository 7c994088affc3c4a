//! The model families whose checkpoints can be imported, one file each.
//!
//! To add a family:
//!
//! 1. Write `families/NAME.rs` with a type that implements [`Family`]: how to recognize a file by its
//!    tensors' names, what the file calls each `Tensor`, and what its `config.json`
//!    means. The module `described` has what most configurations need.
//! 2. Add it to [`FAMILIES`]. The first family that recognizes a file imports it.
//! 3. Add its names to `tests/import.rs`, where every family must import the same model to the same
//!    weights, to the variants that the test below lists, and as a seed to `fuzz/seeds/checkpoint`.
//!
//! A tensor of a new kind, such as a factor to fold or a matrix stored in other parts, is a new variant of
//! `Tensor` with its shape and its transformation; nothing else changes.

mod timm;
mod torchvision;
mod transformers;

use super::error::Defect;
use super::family::Family;
use super::file::TensorFile;

/// Every family, the more particular names first.
const FAMILIES: [&dyn Family; 3] = [
    &transformers::Transformers,
    &torchvision::Torchvision,
    &timm::Timm,
];

/// The family that a file belongs to, and the view of its tensors, behind the prefixes of wrappers, that it knows.
///
/// # Errors
/// [`Defect::Naming`] if no family knows its names; [`Defect::Unsupported`] if it is a variant that the
/// kernels do not run.
pub(super) fn recognize<'a>(
    file: &TensorFile<'a>,
) -> Result<(&'static dyn Family, TensorFile<'a>), Defect> {
    let of = |view: &TensorFile<'_>| FAMILIES.into_iter().find(|family| family.recognizes(view));
    let mut views = file.views().into_iter();
    let Some((family, view)) = views.find_map(|view| Some((of(&view)?, view))) else {
        return Err(Defect::Naming {
            known: FAMILIES.map(Family::name).join(", "),
            first: file.names().take(5).collect::<Vec<_>>().join(", "),
        });
    };
    for (name, what) in family.unsupported() {
        if view.has(name) {
            return Err(Defect::Unsupported(format!(
                "it has {what} (tensor {})",
                view.full_name(name)
            )));
        }
    }
    Ok((family, view))
}

#[cfg(test)]
mod tests {
    use super::super::tensor::Tensor;
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    /// Every tensor without which a weight would stay empty, but for queries, keys and values.
    const NEEDED: [Tensor; 17] = [
        Tensor::PatchWeight,
        Tensor::PatchBias,
        Tensor::Position,
        Tensor::Norm1Gain,
        Tensor::Norm1Bias,
        Tensor::ProjWeight,
        Tensor::ProjBias,
        Tensor::Norm2Gain,
        Tensor::Norm2Bias,
        Tensor::Fc1Weight,
        Tensor::Fc1Bias,
        Tensor::Fc2Weight,
        Tensor::Fc2Bias,
        Tensor::FinalNormGain,
        Tensor::FinalNormBias,
        Tensor::HeadWeight,
        Tensor::HeadBias,
    ];
    const FUSED: [Tensor; 2] = [Tensor::QkvWeight, Tensor::QkvBias];
    const SPLIT: [Tensor; 6] = [
        Tensor::QueryWeight,
        Tensor::QueryBias,
        Tensor::KeyWeight,
        Tensor::KeyBias,
        Tensor::ValueWeight,
        Tensor::ValueBias,
    ];

    #[test]
    fn every_variant_of_every_family_names_what_fills_all_weights() {
        for (family, names) in [
            ("transformers", &["vit.encoder.x"][..]),
            ("transformers", &["deit.encoder.x"]),
            ("torchvision", &["encoder.layers.x"]),
            (
                "torchvision",
                &["encoder.layers.encoder_layer_0.mlp.linear_1.weight"],
            ),
            ("timm", &["blocks.x"]),
            ("timm", &["blocks.x", "fc_norm.weight"]),
        ] {
            let view = || TensorView::new(Dtype::F32, vec![0], &[]).unwrap();
            let tensors = names.iter().map(|name| (*name, view()));
            let bytes = safetensors::serialize(tensors, None).unwrap();
            let file = TensorFile::parse(&bytes).unwrap();
            let (found, file) = recognize(&file).unwrap();
            assert_eq!(found.name(), family);
            let naming = found.naming(&file).unwrap();
            let mut named: Vec<Tensor> = naming.expand(1).into_values().map(|(t, _)| t).collect();
            named.sort_unstable();
            let all = named.len();
            named.dedup();
            assert_eq!(all, named.len(), "{names:?}: a tensor has two names");
            let has = |tensors: &[Tensor]| tensors.iter().all(|tensor| named.contains(tensor));
            assert!(has(&NEEDED), "{names:?}: {named:?}");
            assert!(has(&FUSED) != has(&SPLIT), "{names:?}: {named:?}");
        }
    }
}
