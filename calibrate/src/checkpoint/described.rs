//! What a family makes of a checkpoint's files.

use super::anatomy::Anatomy;
use super::error::Defect;
use super::json::Object;
use super::tensors::Tensors;
use mergevit_runtime::{Interpolation, Preprocessing, ResizeMode};

/// Smallest standard deviation of a colour: pixels are in 0 to 1, in steps of 1/255.
const MIN_STD: f32 = 1e-3;

/// What a family reads.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) tensors: &'a Tensors<'a>,
    /// `config.json`, without fields if there is none.
    pub(super) config: Object<'a>,
    /// `preprocessor_config.json`, without fields if there is none.
    pub(super) preprocessor: Object<'a>,
    /// The architecture that the user states.
    pub(super) architecture: Option<&'a str>,
    /// The image size that the user asks for.
    pub(super) image_size: Option<usize>,
}

/// A model, but for its tensors' values.
pub(super) struct Described {
    pub(super) anatomy: Anatomy,
    /// Class names; none if there are none.
    pub(super) labels: Vec<String>,
    pub(super) size: Size,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// Side of the images.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// What the user asks for.
    pub(super) asked: Option<usize>,
    /// What the configuration states.
    pub(super) stated: Option<usize>,
    /// Whether the library itself resamples the position table to the stated size.
    pub(super) resamples: bool,
}

impl Size {
    /// Patches of `patch` pixels a side, for a model whose position table has `table` of them if it has one.
    ///
    /// # Errors
    /// [`Defect::Unsupported`] for a size that is no multiple of the patch, [`Defect::Unstated`] if nothing tells it.
    pub(super) fn side(self, patch: usize, table: Option<usize>) -> Result<usize, Defect> {
        let whole = |size: usize| match size / patch {
            side if side > 0 && size.is_multiple_of(patch) => Ok(side),
            side => Err(Defect::Unsupported(format!(
                "images of {size} pixels are no multiple of patches of {patch}; the nearest below is \
                 {}, as in --image-size {0}",
                side.max(1) * patch
            ))),
        };
        let stated = self.stated;
        match (self.asked, table) {
            (Some(asked), _) => whole(asked),
            (None, None) => stated.map_or_else(
                || {
                    Err(Defect::Unstated {
                        what: "the size of its images",
                        option: "--image-size",
                    })
                },
                whole,
            ),
            (None, Some(_)) if self.resamples && stated.is_some() => {
                whole(stated.unwrap_or_default())
            }
            // The library would drop the last pixels of such an image.
            (None, Some(table)) => match stated {
                Some(size) if size / patch == table => whole(size),
                _ => Ok(table),
            },
        }
    }
}

impl Size {
    /// Warns of a configuration that states another size than the one that was taken, unless the user asked.
    pub(super) fn warning(self, taken: usize) -> Option<String> {
        let stated = self
            .stated
            .filter(|stated| self.asked.is_none() && *stated != taken)?;
        Some(format!(
            "the configuration states images of {stated} pixels, the position table is for {taken}, which is taken"
        ))
    }
}

/// Checks the standard deviation of the colours.
///
/// # Errors
/// [`Defect::Config`] if one is 0 or next to it.
pub(super) fn check_std(std: &[f32; 3], config: Object<'_>) -> Result<(), Defect> {
    match std.iter().find(|std| **std < MIN_STD) {
        Some(std) => Err(config.wrong("std", std, format!("{MIN_STD} or more"))),
        None => Ok(()),
    }
}

/// A preprocessing that changes nothing, until it is known.
pub(super) fn no_preprocessing(image_size: usize) -> Preprocessing {
    Preprocessing {
        resize: ResizeMode::ShortestSide(image_size),
        interpolation: Interpolation::Bilinear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_follows_the_user_the_table_and_the_configuration() {
        let size = |asked, stated, resamples| Size {
            asked,
            stated,
            resamples,
        };
        // Asked for, whatever the table.
        assert_eq!(
            size(Some(384), Some(224), false)
                .side(16, Some(14))
                .unwrap(),
            24
        );
        // The table wins over a configuration that a resize left behind.
        assert_eq!(size(None, Some(224), false).side(16, Some(24)).unwrap(), 24);
        assert_eq!(size(None, None, false).side(16, Some(14)).unwrap(), 14);
        // A library that resamples by itself.
        assert_eq!(size(None, Some(224), true).side(14, Some(37)).unwrap(), 16);
        // No table.
        assert_eq!(size(None, Some(224), false).side(16, None).unwrap(), 14);
        let open = size(None, None, false).side(16, None).unwrap_err();
        assert!(open.to_string().contains("size of its images"), "{open}");
        // 27 patches of 14 pixels, and 6 that no patch sees.
        let odd = size(None, Some(384), false).side(14, Some(27)).unwrap_err();
        assert!(odd.to_string().contains("--image-size 378"), "{odd}");
        assert!(size(Some(7), None, false).side(14, Some(16)).is_err());
    }
}
