//! What an architecture's name means: what neither a checkpoint's tensors nor its config.json tell.
//!
//! `timm.json` and `open_clip.json` are written by the Python programs beside them, from the installed libraries. A
//! name that is in none of the tables is refused, because heads, epsilon, activation and order of the norms would
//! be guessed.

mod timm;
mod torchvision;

pub(super) use timm::{Architecture, Class, MlpKind, Pixels, Pool, PositionRows};
pub(super) use torchvision::heads as torchvision_heads;

use super::error::Defect;
use serde_json::Value;
use std::sync::LazyLock;

static OPEN_CLIP: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("open_clip.json")).expect("the table is tested")
});

/// timm's architecture of this name, which may end in the tag of published weights.
///
/// # Errors
/// [`Defect::Unsupported`] for a name that is unknown, or of a model that the kernels do not run.
pub(super) fn timm(name: &str) -> Result<Architecture, Defect> {
    timm::find(name)
}

/// What `open_clip_config.json` would have as `model_cfg` for open_clip's model of this name.
///
/// # Errors
/// [`Defect::Unsupported`] for an unknown name.
pub(super) fn open_clip(name: &str) -> Result<&'static Value, Defect> {
    OPEN_CLIP.get(name).ok_or_else(|| {
        let names = OPEN_CLIP
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        unknown("open_clip", name, names)
    })
}

/// The error for a name that is in no table, with names like it.
fn unknown<'a>(library: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Defect {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let mut like: Vec<(f64, &str)> = known.map(|other| (likeness(other), other)).collect();
    like.sort_by(|a, b| b.0.total_cmp(&a.0));
    let like: Vec<&str> = like.into_iter().take(3).map(|(_, name)| name).collect();
    Defect::Unsupported(format!(
        "architecture {name:?} is none of {library}'s that are known here; like it are {}",
        like.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_clip_rows_describe_an_image_tower() {
        let table = OPEN_CLIP.as_object().unwrap();
        assert!(table.len() > 100);
        for (name, row) in table {
            assert!(row["vision_cfg"].is_object(), "{name}");
            if let Some(trunk) = row["vision_cfg"].get("timm_model_name") {
                assert!(trunk.is_string(), "{name}");
            }
        }
        assert_eq!(open_clip("ViT-B-32-quickgelu").unwrap()["quick_gelu"], true);
        assert!(open_clip("ViT-B-33").is_err());
    }
}
