//! Pixel formats, frame sizes and colour spaces as the command line writes them.

use mergevit_kernels::frame::{ColorSpace, MAX_SIDE, PixelFormat};

/// Pixel formats by name.
const FORMATS: [(&str, PixelFormat); 8] = [
    ("rgb", PixelFormat::Rgb),
    ("bgr", PixelFormat::Bgr),
    ("grey", PixelFormat::Grey),
    ("yuyv", PixelFormat::Yuyv),
    ("uyvy", PixelFormat::Uyvy),
    ("nv12", PixelFormat::Nv12),
    ("nv21", PixelFormat::Nv21),
    ("i420", PixelFormat::I420),
];

/// The name of a format.
pub(super) fn format_name(format: PixelFormat) -> &'static str {
    let name = FORMATS.iter().find(|(_, f)| *f == format);
    name.map_or("unknown", |(name, _)| name)
}

pub(super) fn parse_format(text: &str) -> Result<PixelFormat, String> {
    let lower = text.to_ascii_lowercase();
    let found = FORMATS.iter().find(|(name, _)| *name == lower);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let names = FORMATS.map(|(name, _)| name).join(", ");
        format!("unknown format '{text}', expected one of {names}")
    })
}

/// Parses `WIDTHxHEIGHT` in pixels, each side 1 to [`MAX_SIDE`].
pub(crate) fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| {
        let side = text.parse::<usize>().ok();
        side.filter(|side| (1..=MAX_SIDE).contains(side))
    };
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| {
            format!("size '{text}', expected WIDTHxHEIGHT with sides of 1 to {MAX_SIDE}")
        })
}

/// Parses a colour space.
pub(crate) fn parse_color(text: &str) -> Result<ColorSpace, String> {
    match text {
        "bt601" => Ok(ColorSpace::Bt601Limited),
        "bt601-full" => Ok(ColorSpace::Bt601Full),
        "bt709" => Ok(ColorSpace::Bt709Limited),
        "bt709-full" => Ok(ColorSpace::Bt709Full),
        _ => Err("expected bt601, bt601-full, bt709 or bt709-full".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_a_name() {
        for format in PixelFormat::ALL {
            assert_eq!(parse_format(format_name(format)), Ok(format));
        }
    }

    #[test]
    fn sizes_have_two_sides_within_the_limits() {
        assert_eq!(parse_size("640x361"), Ok((640, 361)));
        assert_eq!(parse_size("1X8192"), Ok((1, 8192)));
        for text in ["", "640", "x", "0x1", "1x8193", "-1x1", "1x1x1", "1 x 1"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
