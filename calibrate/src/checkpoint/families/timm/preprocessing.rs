//! What timm's files say of the images.

use crate::checkpoint::architectures::Pixels;
use crate::checkpoint::error::Defect;
use crate::checkpoint::json::Object;
use crate::checkpoint::preprocessing::{Found, resized};
use mergevit_runtime::{Interpolation, ResizeMode};

/// What `pretrained_cfg` leaves out: the defaults of `timm.models.PretrainedCfg`. A configuration without a
/// `pretrained_cfg` has none.
struct Defaults {
    interpolation: Interpolation,
    crop_pct: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

const DEFAULTS: Defaults = Defaults {
    interpolation: Interpolation::Bicubic,
    crop_pct: 0.875,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

/// Where a configuration keeps the fields of the preprocessing: timm's first ones had no `pretrained_cfg` of their
/// own.
///
/// # Errors
/// [`Defect::Config`] if it is no object.
pub(in crate::checkpoint::families) fn pretrained(
    config: Object<'_>,
) -> Result<Object<'_>, Defect> {
    match config.get("pretrained_cfg") {
        Some(_) => config.inner("pretrained_cfg", "pretrained_cfg."),
        None => Ok(config),
    }
}

/// What config.json says, for images of `size`. `complete` says whether the library fills in missing fields.
///
/// # Errors
/// [`Defect::Config`] where a field is wrong.
pub(in crate::checkpoint::families) fn of_config(
    config: Object<'_>,
    size: usize,
    complete: bool,
) -> Result<Found, Defect> {
    let complete = complete && config.get("pretrained_cfg").is_some();
    preprocessing(pretrained(config)?, size, complete.then_some(&DEFAULTS))
}

/// What published weights were evaluated with, for images of `size`.
///
/// # Errors
/// [`Defect::Unsupported`] for a filter or crop that the kernels do not have.
pub(super) fn of_table(pixels: &Pixels, size: usize) -> Result<Found, Defect> {
    let lacks = |what: &str| {
        Defect::Unsupported(format!("the published weights were evaluated with {what}"))
    };
    let interpolation = filter(&pixels.interpolation)
        .ok_or_else(|| lacks(&format!("the filter {}", pixels.interpolation)))?;
    let side = resized(size, pixels.crop);
    let resize = mode(&pixels.crop_mode, side)
        .ok_or_else(|| lacks(&format!("the crop {}", pixels.crop_mode)))?;
    Ok(Found {
        mean: Some(pixels.mean),
        std: Some(pixels.std),
        resize: Some(resize),
        interpolation: Some(interpolation),
    })
}

fn filter(name: &str) -> Option<Interpolation> {
    match name {
        "bilinear" => Some(Interpolation::Bilinear),
        "bicubic" => Some(Interpolation::Bicubic),
        _ => None,
    }
}

fn mode(name: &str, side: usize) -> Option<ResizeMode> {
    match name {
        "center" => Some(ResizeMode::ShortestSide(side)),
        "squash" => Some(ResizeMode::Exact {
            width: side,
            height: side,
        }),
        _ => None,
    }
}

/// timm.data.create_transform: resize to floor(size / crop_pct), crop the centre.
fn preprocessing(
    of: Object<'_>,
    size: usize,
    defaults: Option<&Defaults>,
) -> Result<Found, Defect> {
    let crop = of.number("crop_pct")?;
    let side = crop
        .or(defaults.map(|defaults| defaults.crop_pct))
        .map(|crop| resized(size, crop));
    let name = of.text("crop_mode")?.unwrap_or("center");
    let resize = match side {
        None => None,
        Some(side) => {
            Some(mode(name, side).ok_or_else(|| of.wrong("crop_mode", &name, "center or squash"))?)
        }
    };
    let interpolation = match of.text("interpolation")? {
        None => defaults.map(|defaults| defaults.interpolation),
        Some(name) => Some(
            filter(name).ok_or_else(|| of.wrong("interpolation", &name, "bilinear or bicubic"))?,
        ),
    };
    Ok(Found {
        mean: of
            .colours("mean")?
            .or(defaults.map(|defaults| defaults.mean)),
        std: of.colours("std")?.or(defaults.map(|defaults| defaults.std)),
        resize,
        interpolation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::json::Document;

    fn read(json: &str) -> Result<Found, Defect> {
        let config = Document::parse("config.json", Some(json.as_bytes()))?;
        of_config(config.root(), 224, true)
    }

    #[test]
    fn crop_modes_resize_as_timm_does() {
        let resize = |fields: &str| {
            let found = read(&format!(r#"{{"pretrained_cfg": {{{fields}}}}}"#));
            found.map(|found| found.resize.unwrap())
        };
        let shortest = ResizeMode::ShortestSide;
        assert_eq!(resize("").unwrap(), shortest(256));
        assert_eq!(resize(r#""crop_pct": 0.9"#).unwrap(), shortest(248));
        assert_eq!(
            resize(r#""crop_mode": "center", "crop_pct": 1.0"#).unwrap(),
            shortest(224)
        );
        assert_eq!(
            resize(r#""crop_mode": "squash", "crop_pct": 0.95"#).unwrap(),
            ResizeMode::Exact {
                width: 235,
                height: 235
            }
        );
        let border = resize(r#""crop_mode": "border""#).unwrap_err();
        assert!(
            border.to_string().contains("pretrained_cfg.crop_mode"),
            "{border}"
        );
    }

    #[test]
    fn fields_are_found_where_every_version_of_timm_writes_them() {
        let found = read(r#"{"mean": [0.1, 0.2, 0.3], "interpolation": "bilinear"}"#).unwrap();
        assert_eq!(found.mean, Some([0.1, 0.2, 0.3]));
        assert_eq!(found.interpolation, Some(Interpolation::Bilinear));
        // Without a `pretrained_cfg`, timm documents no default.
        assert_eq!(found.std, None);
        assert_eq!(found.resize, None);
    }
}
