//! What `--source` names.

use super::names::{parse_format, parse_size};
use mergevit_kernels::frame::PixelFormat;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Bytes from a file, or from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Standard,
    File(PathBuf),
}

impl From<&OsStr> for Input {
    fn from(text: &OsStr) -> Self {
        match text == "-" {
            true => Self::Standard,
            false => Self::File(text.into()),
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
    /// A stream of JPEG images.
    Mjpeg(Input),
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

    /// Whether its frames come one after the other from a file or a pipe.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Y4m(_) | Self::Mjpeg(_) | Self::Raw { .. })
    }

    /// Whether its frames can be read only once: those of a camera or of standard input.
    pub(crate) fn is_once(&self) -> bool {
        match self {
            Self::Camera(_) => true,
            Self::Images(_) => false,
            Self::Y4m(input) | Self::Mjpeg(input) | Self::Raw { input, .. } => {
                *input == Input::Standard
            }
        }
    }
}

const FORMS: &str = "v4l2:DEVICE, file:FOLDER-OR-IMAGE, y4m:PATH, mjpeg:PATH, or raw:FORMAT:WIDTHxHEIGHT:PATH \
                     (PATH '-' is standard input)";

impl SourceSpec {
    /// Reads what the command line names. Formats and sizes are text; a path may have any bytes.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, String> {
        let (kind, rest) = cut(text).ok_or_else(|| format!("expected {FORMS}"))?;
        if rest.is_empty() {
            return Err(format!("nothing after '{kind}:', expected {FORMS}"));
        }
        match kind {
            "v4l2" => Ok(Self::Camera(rest.into())),
            "file" => Ok(Self::Images(rest.into())),
            "y4m" => Ok(Self::Y4m(rest.into())),
            "mjpeg" => Ok(Self::Mjpeg(rest.into())),
            "raw" => raw(rest),
            _ => Err(format!("unknown kind '{kind}', expected {FORMS}")),
        }
    }
}

/// What is before and after the first colon, if the former is text.
fn cut(text: &OsStr) -> Option<(&str, &OsStr)> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let start = std::str::from_utf8(&bytes[..colon]).ok()?;
    Some((start, OsStr::from_bytes(&bytes[colon + 1..])))
}

fn raw(text: &OsStr) -> Result<SourceSpec, String> {
    let parts = cut(text).and_then(|(format, rest)| Some((format, cut(rest)?)));
    let Some((format, (size, path))) = parts else {
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
    use std::ffi::OsString;

    #[test]
    fn each_form_is_read() {
        let parse = |text: &str| SourceSpec::parse(text.as_ref());
        assert_eq!(
            parse("v4l2:/dev/video0"),
            Ok(SourceSpec::Camera("/dev/video0".into()))
        );
        assert_eq!(parse("file:a:b"), Ok(SourceSpec::Images("a:b".into())));
        assert_eq!(parse("y4m:-"), Ok(SourceSpec::Y4m(Input::Standard)));
        assert_eq!(parse("mjpeg:-"), Ok(SourceSpec::Mjpeg(Input::Standard)));
        let raw = SourceSpec::Raw {
            format: PixelFormat::Nv12,
            width: 1280,
            height: 720,
            input: Input::File("a:b".into()),
        };
        assert_eq!(parse("raw:NV12:1280x720:a:b"), Ok(raw));
    }

    #[test]
    fn a_path_may_have_any_bytes() {
        let path = OsStr::from_bytes(b"a\xff:b");
        let parse = |prefix: &str| {
            let mut text = OsString::from(prefix);
            text.push(path);
            SourceSpec::parse(&text)
        };
        assert_eq!(parse("file:"), Ok(SourceSpec::Images(path.into())));
        let raw = SourceSpec::Raw {
            format: PixelFormat::Grey,
            width: 4,
            height: 5,
            input: Input::File(path.into()),
        };
        assert_eq!(parse("raw:grey:4x5:"), Ok(raw));
        for text in [
            &b"\xff"[..],
            b"\xff:a",
            b"raw:\xff:4x4:a",
            b"raw:grey:\xff:a",
        ] {
            assert!(SourceSpec::parse(OsStr::from_bytes(text)).is_err());
        }
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
            assert!(SourceSpec::parse(text.as_ref()).is_err(), "{text}");
        }
    }
}
