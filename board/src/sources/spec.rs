//! What `--source` names.

use super::names::{parse_format, parse_size};
use mergevit_kernels::frame::PixelFormat;
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
    /// Frames of one size and format without headers.
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

    /// Whether its frames can be read only once: those of a camera or of standard input.
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
}
