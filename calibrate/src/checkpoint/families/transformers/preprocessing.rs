//! What transformers' image processors do: resize, crop the centre, scale to 0 to 1, normalize.

use crate::checkpoint::error::Defect;
use crate::checkpoint::json::Object;
use crate::checkpoint::preprocessing::{Found, Stated};
use mergevit_runtime::{Interpolation, ResizeMode};
use serde_json::Value;

/// What a class of processors does where its file does not say otherwise.
struct Processor {
    /// The name before `ImageProcessor` or `FeatureExtractor`.
    name: &'static str,
    colours: Stated,
    interpolation: Interpolation,
    /// Before the crop; one side or the shorter one.
    size: usize,
    /// Whether one number means both sides, and not the shorter one.
    square: bool,
    crops: bool,
}

/// The classes, with the defaults that transformers documents.
static PROCESSORS: [Processor; 6] = [
    Processor {
        name: "ViT",
        colours: Stated::INCEPTION,
        interpolation: Interpolation::Bilinear,
        size: 224,
        square: true,
        crops: false,
    },
    Processor {
        name: "DeiT",
        colours: Stated::INCEPTION,
        interpolation: Interpolation::Bicubic,
        size: 256,
        square: true,
        crops: true,
    },
    Processor {
        name: "CLIP",
        colours: Stated::CLIP,
        interpolation: Interpolation::Bicubic,
        size: 224,
        square: false,
        crops: true,
    },
    Processor {
        name: "Bit",
        colours: Stated::CLIP,
        interpolation: Interpolation::Bicubic,
        size: 224,
        square: false,
        crops: true,
    },
    Processor {
        name: "Siglip",
        colours: Stated::INCEPTION,
        interpolation: Interpolation::Bicubic,
        size: 224,
        square: true,
        crops: false,
    },
    Processor {
        name: "DINOv3ViT",
        colours: Stated::IMAGENET,
        interpolation: Interpolation::Bilinear,
        size: 224,
        square: true,
        crops: false,
    },
];

/// The processor of a file, or the one that goes with models of `usual`; none for another class.
fn processor(of: Object<'_>, usual: &str) -> Result<Option<&'static Processor>, Defect> {
    let kind = match of.text("image_processor_type")? {
        Some(kind) => Some(kind),
        None => of.text("feature_extractor_type")?,
    };
    let name = kind.map_or(usual, |kind| {
        let kind = ["Fast", "Pil"]
            .iter()
            .find_map(|end| kind.strip_suffix(end))
            .unwrap_or(kind);
        ["ImageProcessor", "FeatureExtractor"]
            .iter()
            .find_map(|end| kind.strip_suffix(end))
            .unwrap_or(kind)
    });
    Ok(PROCESSORS.iter().find(|processor| processor.name == name))
}

/// Side of the images that the processor makes; none if nothing tells it.
///
/// # Errors
/// [`Defect::Config`] where a field is wrong.
pub(super) fn side(of: Object<'_>, usual: &str) -> Result<Option<usize>, Defect> {
    if of.is_empty() {
        return Ok(None);
    }
    let processor = processor(of, usual)?;
    let crops = of
        .flag("do_center_crop")?
        .or(processor.map(|processor| processor.crops));
    let field = if crops == Some(true) {
        "crop_size"
    } else {
        "size"
    };
    let [height, width] = sides(of, field)?;
    let default = processor.map(|processor| if processor.crops { 224 } else { processor.size });
    Ok(match of.get(field) {
        None => default,
        Some(_) => height.filter(|height| Some(*height) == width),
    })
}

/// Height and width that a field gives, as one number or as an object.
fn sides(of: Object<'_>, field: &'static str) -> Result<[Option<usize>; 2], Defect> {
    match of.get(field) {
        Some(Value::Object(_)) => {
            let sides = of.inner(
                field,
                if field == "size" {
                    "size."
                } else {
                    "crop_size."
                },
            )?;
            Ok([sides.size("height")?, sides.size("width")?])
        }
        _ => Ok([of.size(field)?; 2]),
    }
}

/// What `preprocessor_config.json` says for a model whose images have `size` pixels a side, which `asked` says the
/// user asked for. `usual` is the class of processors that goes with the model.
///
/// A missing field is the documented default of its class. Other classes have others, and without a file nothing is
/// known.
///
/// # Errors
/// [`Defect::Config`] for a field that is wrong, or that would change the pixels in another way.
pub(super) fn read(of: Object<'_>, usual: &str, size: usize, asked: bool) -> Result<Found, Defect> {
    if of.is_empty() {
        return Ok(Found::default());
    }
    let processor = processor(of, usual)?;
    for step in ["do_resize", "do_rescale"] {
        if of.flag(step)? == Some(false) {
            return Err(of.wrong(step, &false, "true"));
        }
    }
    let factor = of.number("rescale_factor")?.unwrap_or(1.0 / 255.0);
    if (factor * 255.0 - 1.0).abs() > 1e-3 {
        return Err(of.wrong("rescale_factor", &factor, "1/255"));
    }
    let interpolation = match of.size("resample")? {
        None => processor.map(|processor| processor.interpolation),
        Some(2) => Some(Interpolation::Bilinear),
        Some(3) => Some(Interpolation::Bicubic),
        Some(n) => return Err(of.wrong("resample", &n, "2 (bilinear) or 3 (bicubic)")),
    };
    let (mean, std) = if of.flag("do_normalize")?.unwrap_or(true) {
        let colours = processor.map(|processor| &processor.colours);
        (
            of.colours("image_mean")?
                .or(colours.and_then(|colours| colours.mean)),
            of.colours("image_std")?
                .or(colours.and_then(|colours| colours.std)),
        )
    } else {
        (Some([0.0; 3]), Some([1.0; 3]))
    };
    Ok(Found {
        mean,
        std,
        resize: resize(of, processor, size, asked)?,
        interpolation,
    })
}

/// The size before the centre crop to the model's `size`; none if the file does not say it.
fn resize(
    of: Object<'_>,
    processor: Option<&Processor>,
    size: usize,
    asked: bool,
) -> Result<Option<ResizeMode>, Defect> {
    let crops = of
        .flag("do_center_crop")?
        .unwrap_or(processor.is_some_and(|processor| processor.crops));
    let exact = |width, height| ResizeMode::Exact { width, height };
    let square = processor.is_some_and(|processor| processor.square);
    let of_side = |side| {
        if square {
            exact(side, side)
        } else {
            ResizeMode::ShortestSide(side)
        }
    };
    let resize = match of.get("size") {
        None => match processor {
            Some(processor) if crops && processor.crops => of_side(processor.size),
            Some(_) => exact(size, size),
            None => return Ok(None),
        },
        Some(Value::Object(_)) => {
            let sides = of.inner("size", "size.")?;
            let lengths = ["width", "height", "shortest_edge"].map(|name| sides.size(name));
            match lengths {
                [Ok(Some(width)), Ok(Some(height)), Ok(None)] => exact(width, height),
                [Ok(None), Ok(None), Ok(Some(side))] => ResizeMode::ShortestSide(side),
                _ => {
                    let expected = "height and width, or shortest_edge";
                    return Err(of.wrong("size", sides.value(), expected));
                }
            }
        }
        Some(_) => of_side(of.size("size")?.unwrap_or(size)),
    };
    if crops {
        let side = sides(of, "crop_size")?
            .into_iter()
            .flatten()
            .find(|side| *side != size);
        return match side {
            None => Ok(Some(resize)),
            // The crop for images of another size is the user's to say.
            Some(_) if asked => Ok(None),
            Some(side) => Err(of.wrong(
                "crop_size",
                &side,
                format!("{size}, the model's image size"),
            )),
        };
    }
    match resize {
        ResizeMode::Exact { width, height } if width == height && (asked || width == size) => {
            Ok(Some(exact(size, size)))
        }
        _ => {
            let found = of.get("size").unwrap_or(&Value::Null);
            let expected =
                format!("{size} x {size}, the model's image size, without do_center_crop");
            Err(of.wrong("size", found, expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::json::Document;

    fn read(json: &str) -> Result<Found, Defect> {
        let file = Document::parse("preprocessor_config.json", Some(json.as_bytes()))?;
        super::read(file.root(), "ViT", 224, false)
    }

    const fn exact(side: usize) -> ResizeMode {
        ResizeMode::Exact {
            width: side,
            height: side,
        }
    }

    #[test]
    fn published_processors_are_understood() {
        let shortest = ResizeMode::ShortestSide(256);
        for (json, resize, interpolation) in [
            (
                r#"{"do_resize": true}"#,
                exact(224),
                Some(Interpolation::Bilinear),
            ),
            // google/vit-base-patch16-224
            (
                r#"{"do_normalize": true, "do_resize": true, "size": 224, "resample": 2}"#,
                exact(224),
                Some(Interpolation::Bilinear),
            ),
            // facebook/deit-base-patch16-224
            (
                r#"{"crop_size": 224, "do_center_crop": true, "size": 256, "resample": 3,
                    "feature_extractor_type": "DeiTFeatureExtractor"}"#,
                exact(256),
                Some(Interpolation::Bicubic),
            ),
            (
                r#"{"image_processor_type": "DeiTImageProcessor"}"#,
                exact(256),
                Some(Interpolation::Bicubic),
            ),
            (
                r#"{"image_processor_type": "BitImageProcessor", "do_center_crop": true, "resample": 3,
                    "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}"#,
                shortest,
                Some(Interpolation::Bicubic),
            ),
            (
                r#"{"image_processor_type": "CLIPImageProcessor", "do_center_crop": true, "size": 256}"#,
                shortest,
                Some(Interpolation::Bicubic),
            ),
        ] {
            let found = read(json).unwrap();
            assert_eq!(
                (found.resize, found.interpolation),
                (Some(resize), interpolation),
                "{json}"
            );
        }
        let raw = read(r#"{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5]}"#).unwrap();
        assert_eq!((raw.mean, raw.std), (Some([0.0; 3]), Some([1.0; 3])));
        let clip = read(r#"{"image_processor_type": "CLIPImageProcessor"}"#).unwrap();
        assert_eq!(clip.mean, Stated::CLIP.mean);
        assert_eq!(clip.resize, Some(ResizeMode::ShortestSide(224)));
        let dinov3 = read(r#"{"image_processor_type": "DINOv3ViTImageProcessorFast"}"#).unwrap();
        assert_eq!(
            (dinov3.mean, dinov3.resize),
            (Stated::IMAGENET.mean, Some(exact(224)))
        );
        let other = read(r#"{"image_processor_type": "ViTHybridImageProcessor"}"#).unwrap();
        assert_eq!((other.mean, other.interpolation), (None, None));
        assert!(other.resize.is_none());
        let absent = read("{}").unwrap();
        assert!(absent.mean.is_none() && absent.resize.is_none());
    }

    #[test]
    fn what_would_change_the_pixels_unseen_is_refused() {
        for (json, field) in [
            (r#"{"do_resize": false}"#, "do_resize"),
            (r#"{"do_rescale": false}"#, "do_rescale"),
            (r#"{"do_normalize": "yes"}"#, "do_normalize"),
            (r#"{"rescale_factor": 0.0078}"#, "rescale_factor"),
            (r#"{"resample": 0}"#, "resample"),
            (r#"{"size": 384}"#, "size"),
            (r#"{"size": {"shortest_edge": 224}}"#, "size"),
            (r#"{"size": {"longest_edge": 224}}"#, "size"),
            (r#"{"size": {"height": 224, "width": -1}}"#, "size"),
            (
                r#"{"size": 256, "do_center_crop": true, "crop_size": 192}"#,
                "crop_size",
            ),
        ] {
            let Err(Defect::Config { field: found, .. }) = read(json) else {
                panic!("{json} was accepted");
            };
            assert_eq!(found, field, "{json}");
        }
    }

    #[test]
    fn an_image_size_that_is_asked_for_takes_the_place_of_the_processors() {
        let asked = |json: &str| {
            let file = Document::parse("preprocessor_config.json", Some(json.as_bytes())).unwrap();
            super::read(file.root(), "ViT", 384, true).unwrap().resize
        };
        assert_eq!(asked(r#"{"size": 224}"#), Some(exact(384)));
        let crop = r#"{"image_processor_type": "CLIPImageProcessor", "crop_size": 224}"#;
        assert_eq!(asked(crop), None);
    }

    #[test]
    fn the_side_of_a_processors_images_is_that_of_its_last_step() {
        for (json, expected) in [
            (
                r#"{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}"#,
                Some(224),
            ),
            (r#"{"size": {"height": 384, "width": 384}}"#, Some(384)),
            (r#"{"size": {"shortest_edge": 384}}"#, None),
            (r#"{"do_resize": true}"#, Some(224)),
            ("{}", None),
        ] {
            let file = Document::parse("preprocessor_config.json", Some(json.as_bytes())).unwrap();
            assert_eq!(side(file.root(), "ViT").unwrap(), expected, "{json}");
        }
    }
}
