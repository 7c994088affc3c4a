//! The header line of a YUV4MPEG2 stream.

use mergevit_kernels::frame::{ColorSpace, FrameError, FrameLayout, MAX_SIDE, PixelFormat};
use thiserror::Error;

/// Longest header line of a stream or of a frame in bytes; real ones have fewer than 100.
pub(crate) const MAX_LINE: usize = 1024;

/// What is wrong with a stream's header.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum HeaderError {
    #[error("the stream is empty, expected a YUV4MPEG2 header")]
    Empty,
    #[error("no YUV4MPEG2 header line within {MAX_LINE} bytes")]
    NotY4m,
    #[error("header field {field}: '{found}', expected {expected}")]
    Field {
        field: char,
        found: String,
        expected: String,
    },
    #[error("header field {field}: missing")]
    Missing { field: char },
    #[error(
        "header field C: colour format '{found}' is not supported, expected C420* or Cmono of 8 bits"
    )]
    Format { found: String },
    #[error(transparent)]
    Layout(#[from] FrameError),
}

impl HeaderError {
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Format { .. } => Some("convert it: ffmpeg -i INPUT -pix_fmt yuv420p OUTPUT.y4m"),
            Self::Empty | Self::NotY4m => {
                Some("write one with: ffmpeg -i INPUT -pix_fmt yuv420p -f yuv4mpegpipe OUTPUT.y4m")
            }
            Self::Field { .. } | Self::Missing { .. } | Self::Layout(_) => None,
        }
    }
}

/// Parses the header line, which ends with a line feed; `color` overrides what it says.
pub(super) fn parse(line: &[u8], color: Option<ColorSpace>) -> Result<FrameLayout, HeaderError> {
    let line = line.strip_suffix(b"\n").ok_or(HeaderError::NotY4m)?;
    let text = String::from_utf8_lossy(line);
    let mut fields = text.split(' ');
    if fields.next() != Some("YUV4MPEG2") {
        return Err(HeaderError::NotY4m);
    }
    let (mut width, mut height) = (None, None);
    let (mut format, mut range) = (PixelFormat::I420, ColorSpace::Bt601Limited);
    for field in fields.filter(|field| !field.is_empty()) {
        let mut rest = field.chars();
        match (rest.next(), rest.as_str()) {
            (Some('W'), value) => width = Some(side('W', value)?),
            (Some('H'), value) => height = Some(side('H', value)?),
            (Some('C'), value) => format = pixel_format(value)?,
            (Some('X'), "COLORRANGE=FULL") => range = ColorSpace::Bt601Full,
            // Frame rate, aspect ratio, interlacing and comments change nothing here.
            _ => {}
        }
    }
    let width = width.ok_or(HeaderError::Missing { field: 'W' })?;
    let height = height.ok_or(HeaderError::Missing { field: 'H' })?;
    let layout = FrameLayout::packed(format, width, height)?;
    Ok(layout.with_color(color.unwrap_or(range)))
}

fn side(field: char, value: &str) -> Result<usize, HeaderError> {
    let side = value.parse().ok();
    side.filter(|side| (1..=MAX_SIDE).contains(side))
        .ok_or_else(|| HeaderError::Field {
            field,
            found: value.into(),
            expected: format!("1 to {MAX_SIDE} pixels"),
        })
}

fn pixel_format(value: &str) -> Result<PixelFormat, HeaderError> {
    match value {
        // They differ in where chroma samples sit, by less than a pixel.
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(PixelFormat::I420),
        "mono" => Ok(PixelFormat::Grey),
        _ => Err(HeaderError::Format {
            found: value.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<FrameLayout, HeaderError> {
        parse(text.as_bytes(), None)
    }

    #[test]
    fn headers_as_ffmpeg_writes_them() {
        let text = "YUV4MPEG2 W640 H361 F30:1 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=FULL\n";
        let layout = header(text).expect("a valid header");
        assert_eq!((layout.width(), layout.height()), (640, 361));
        assert_eq!(layout.format(), PixelFormat::I420);
        assert_eq!(layout.color(), ColorSpace::Bt601Full);
        assert_eq!(layout.packed_bytes(), 640 * 361 + 2 * 320 * 181);
        let mono = header("YUV4MPEG2 Cmono H2 W3\n").expect("a valid header");
        assert_eq!(mono.format(), PixelFormat::Grey);
        let plain = header("YUV4MPEG2 W2 H2\n").expect("the format has a default");
        assert_eq!(
            (plain.format(), plain.color()),
            (PixelFormat::I420, ColorSpace::Bt601Limited)
        );
    }

    #[test]
    fn the_command_line_decides_colours() {
        let text = b"YUV4MPEG2 W2 H2 XCOLORRANGE=FULL\n";
        let layout = parse(text, Some(ColorSpace::Bt709Limited)).expect("a valid header");
        assert_eq!(layout.color(), ColorSpace::Bt709Limited);
    }

    #[test]
    fn bad_headers_are_named() {
        let side = |field, found: &str| {
            Err(HeaderError::Field {
                field,
                found: found.into(),
                expected: "1 to 8192 pixels".into(),
            })
        };
        assert_eq!(header("YUV4MPEG2 W0 H2\n"), side('W', "0"));
        assert_eq!(header("YUV4MPEG2 W2 H8193\n"), side('H', "8193"));
        assert_eq!(header("YUV4MPEG2 W-1 H2\n"), side('W', "-1"));
        assert_eq!(
            header("YUV4MPEG2 H2\n"),
            Err(HeaderError::Missing { field: 'W' })
        );
        for format in ["444", "422", "420p10", "444alpha", ""] {
            let text = format!("YUV4MPEG2 W2 H2 C{format}\n");
            let found = format.into();
            assert_eq!(header(&text), Err(HeaderError::Format { found }));
        }
        for text in ["YUV4MPEG2 W2 H2", "YUV4MPEG W2 H2\n", "RIFF\n", "\n"] {
            assert_eq!(header(text), Err(HeaderError::NotY4m));
        }
    }
}
