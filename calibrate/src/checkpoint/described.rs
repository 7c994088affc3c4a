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
    /// Side of the images in pixels, for patches of `patch` pixels a side and a position table of `table` of them a side
    /// if there is one. What is beyond the last whole patch no token sees: the library's convolution leaves it out too.
    ///
    /// # Errors
    /// [`Defect::Unsupported`] for an image smaller than a patch, [`Defect::Unstated`] if nothing tells the size.
    pub(super) fn pixels(self, patch: usize, table: Option<usize>) -> Result<usize, Defect> {
        let whole = |size: usize| match size >= patch {
            true => Ok(size),
            false => Err(Defect::Unsupported(format!(
                "images of {size} pixels are smaller than a patch of {patch}"
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
            (None, Some(table)) => match stated {
                Some(size) if size / patch == table => whole(size),
                _ => Ok(table * patch),
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
                .pixels(16, Some(14))
                .unwrap(),
            384
        );
        // The table wins over a configuration that a resize left behind.
        assert_eq!(
            size(None, Some(224), false).pixels(16, Some(24)).unwrap(),
            384
        );
        assert_eq!(size(None, None, false).pixels(16, Some(14)).unwrap(), 224);
        // A library that resamples by itself.
        assert_eq!(
            size(None, Some(224), true).pixels(14, Some(37)).unwrap(),
            224
        );
        // No table.
        assert_eq!(size(None, Some(224), false).pixels(16, None).unwrap(), 224);
        let open = size(None, None, false).pixels(16, None).unwrap_err();
        assert!(open.to_string().contains("size of its images"), "{open}");
        // 27 patches of 14 pixels, and 6 that no patch sees.
        assert_eq!(
            size(None, Some(384), false).pixels(14, Some(27)).unwrap(),
            384
        );
        assert!(size(Some(7), None, false).pixels(14, Some(16)).is_err());
    }
}
