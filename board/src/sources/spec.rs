//! What `--source` names.

use mergevit_kernels::frame::{ColorSpace, MAX_SIDE, PixelFormat};
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes from a file, or from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Standard,
    File(PathBuf),
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        match text {
            "-" => Self::Standard,
            path => Self::File(path.into()),
        }
    }
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceSpec {
    /// A V4L2 device.
    Camera(PathBuf),
    /// A folder of images, or one image.
    Images(PathBuf),
    /// A YUV4MPEG2 stream.
    Y4m(Input),
    /// Frames of one size and format without any header.
    Raw {
        format: PixelFormat,
        width: usize,
        height: usize,
        input: Input,
    },
}

impl SourceSpec {
    /// Whether it is a camera.
    pub(crate) fn is_camera(&self) -> bool {
        matches!(self, Self::Camera(_))
    }

    /// Whether its frames can only be had once: a camera's, and what comes from standard input.
    pub(crate) fn is_once(&self) -> bool {
        match self {
            Self::Camera(_) => true,
            Self::Images(_) => false,
            Self::Y4m(input) | Self::Raw { input, .. } => *input == Input::Standard,
        }
    }
}

const FORMS: &str = "v4l2:DEVICE, file:FOLDER-OR-IMAGE, y4m:PATH, or raw:FORMAT:WIDTHxHEIGHT:PATH \
                     (PATH '-' is standard input)";

impl FromStr for SourceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| format!("expected {FORMS}"))?;
        if rest.is_empty() {
            return Err(format!("nothing after '{kind}:', expected {FORMS}"));
        }
        match kind {
            "v4l2" => Ok(Self::Camera(rest.into())),
            "file" => Ok(Self::Images(rest.into())),
            "y4m" => Ok(Self::Y4m(rest.into())),
            "raw" => raw(rest),
            _ => Err(format!("unknown kind '{kind}', expected {FORMS}")),
        }
    }
}

fn raw(text: &str) -> Result<SourceSpec, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(format), Some(size), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected raw:FORMAT:WIDTHxHEIGHT:PATH".into());
    };
    if path.is_empty() {
        return Err("no path, expected raw:FORMAT:WIDTHxHEIGHT:PATH".into());
    }
    let (width, height) = parse_size(size)?;
    Ok(SourceSpec::Raw {
        format: parse_format(format)?,
        width,
        height,
        input: path.into(),
    })
}

/// Formats of raw frames by name.
pub(crate) const FORMATS: [(&str, PixelFormat); 8] = [
    ("rgb", PixelFormat::Rgb),
    ("bgr", PixelFormat::Bgr),
    ("grey", PixelFormat::Grey),
    ("yuyv", PixelFormat::Yuyv),
    ("uyvy", PixelFormat::Uyvy),
    ("nv12", PixelFormat::Nv12),
    ("nv21", PixelFormat::Nv21),
    ("i420", PixelFormat::I420),
];

/// The name of a format, as the command line takes it.
pub(crate) fn format_name(format: PixelFormat) -> &'static str {
    let name = FORMATS.iter().find(|(_, f)| *f == format);
    name.map_or("unknown", |(name, _)| name)
}

fn parse_format(text: &str) -> Result<PixelFormat, String> {
    let lower = text.to_ascii_lowercase();
    let found = FORMATS.iter().find(|(name, _)| *name == lower);
    found.map(|(_, format)| *format).ok_or_else(|| {
        let names = FORMATS.map(|(name, _)| name).join(", ");
        format!("unknown format '{text}', expected one of {names}")
    })
}

/// `WIDTHxHEIGHT` in pixels, each side 1 to [`MAX_SIDE`].
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

/// A colour space by name, for sources that do not say.
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
    fn each_form_is_read() {
        let parse = |text: &str| text.parse::<SourceSpec>();
        assert_eq!(
            parse("v4l2:/dev/video0"),
            Ok(SourceSpec::Camera("/dev/video0".into()))
        );
        assert_eq!(parse("file:a:b"), Ok(SourceSpec::Images("a:b".into())));
        assert_eq!(parse("y4m:-"), Ok(SourceSpec::Y4m(Input::Standard)));
        let raw = SourceSpec::Raw {
            format: PixelFormat::Nv12,
            width: 1280,
            height: 720,
            input: Input::File("a:b".into()),
        };
        assert_eq!(parse("raw:NV12:1280x720:a:b"), Ok(raw));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "camera",
            "v4l2:",
            "ftp:x",
            "raw:nv12",
            "raw:nv12:1x1",
            "raw:nv12:1x1:",
            "raw:nv13:1x1:-",
            "raw:nv12:0x1:-",
            "raw:nv12:1x8193:-",
            "raw:nv12:x:-",
            "raw:nv12:-1x1:-",
            "raw:nv12:99999999999999999999x1:-",
        ] {
            assert!(text.parse::<SourceSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_format_has_a_name() {
        for format in PixelFormat::ALL {
            assert_eq!(parse_format(format_name(format)), Ok(format));
        }
    }
}
