//! How a camera may encode its frames.

use super::names::{format_name, parse_format};
use mergevit_kernels::frame::PixelFormat;
use std::fmt;

/// How the bytes of a camera's frame are a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Pixels in rows.
    Raw(PixelFormat),
    /// One JPEG image a frame.
    Jpeg,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw(format) => format_name(*format),
            Self::Jpeg => "mjpeg",
        })
    }
}

/// Parses the name of a pixel format, or `mjpeg`.
pub(crate) fn parse_encoding(text: &str) -> Result<Encoding, String> {
    if text.eq_ignore_ascii_case("mjpeg") {
        return Ok(Encoding::Jpeg);
    }
    let known = parse_format(text).map(Encoding::Raw);
    known.map_err(|message| format!("{message}, mjpeg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_read_as_it_is_written() {
        let raw = PixelFormat::ALL.map(Encoding::Raw);
        for encoding in raw.into_iter().chain([Encoding::Jpeg]) {
            assert_eq!(parse_encoding(&encoding.to_string()), Ok(encoding));
        }
        assert_eq!(parse_encoding("MJPEG"), Ok(Encoding::Jpeg));
        let message = parse_encoding("h264").expect_err("it is no format");
        assert!(message.ends_with("i420, mjpeg"), "{message}");
    }
}
