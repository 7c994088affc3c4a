//! YUV4MPEG2 streams, what `ffmpeg -f yuv4mpegpipe` writes: 4:2:0 and luma alone, 8 bits.

use super::slot::Slot;
use super::spec::Input;
use super::stream::{self, Stream};
use super::{Capture, Captured, OpenError, Policy, Source, SourceError, SourceOptions};
use mergevit_kernels::frame::{ColorSpace, FrameError, FrameLayout, MAX_SIDE, PixelFormat};
use thiserror::Error;

/// Longest header line of a stream or of a frame in bytes; real ones have fewer than 100.
const MAX_LINE: usize = 1024;

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
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Format { .. } => Some("convert it: ffmpeg -i INPUT -pix_fmt yuv420p OUTPUT.y4m"),
            Self::Empty | Self::NotY4m => {
                Some("write one with: ffmpeg -i INPUT -pix_fmt yuv420p -f yuv4mpegpipe OUTPUT.y4m")
            }
            Self::Field { .. } | Self::Missing { .. } | Self::Layout(_) => None,
        }
    }
}

/// Reads the header line, with or without its line feed.
fn parse(line: &[u8], color: Option<ColorSpace>) -> Result<FrameLayout, HeaderError> {
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

struct Y4m {
    stream: Stream,
    layout: FrameLayout,
    /// Where the first frame starts, if the stream is to be repeated.
    start: Option<u64>,
    frame: u64,
    line: Box<[u8]>,
}

/// Opens a stream and reads its header.
pub(super) fn open(input: &Input, options: &SourceOptions) -> Result<Source, OpenError> {
    let name = stream::name(input);
    let io_error = |source| OpenError::Io {
        name: name.clone(),
        action: "read",
        source,
    };
    let mut stream = Stream::open(input, options.repeat)?;
    let mut line = vec![0; MAX_LINE].into_boxed_slice();
    let length = stream.read_line(&mut line).map_err(io_error)?;
    let header = match length {
        0 => Err(HeaderError::Empty),
        _ => parse(&line[..length], options.color),
    };
    let layout = header.map_err(|reason| OpenError::Header {
        name: name.clone(),
        reason,
    })?;
    let start = match options.repeat {
        true => Some(stream.position().map_err(io_error)?),
        false => None,
    };
    Ok(Source {
        description: format!("{name}: Y4M {}x{}", layout.width(), layout.height()),
        policy: Policy::EveryFrame,
        max_width: layout.width(),
        max_height: layout.height(),
        slot_bytes: layout.packed_bytes(),
        names: [].into(),
        capture: Box::new(Y4m {
            stream,
            layout,
            start,
            frame: 0,
            line,
        }),
    })
}

impl Y4m {
    fn read_line(&mut self) -> Result<usize, SourceError> {
        self.stream
            .read_line(&mut self.line)
            .map_err(|source| SourceError::Io {
                frame: self.frame,
                source,
            })
    }

    /// Reads a frame's header line. `false` at the end of the stream.
    fn frame_header(&mut self) -> Result<bool, SourceError> {
        let mut length = self.read_line()?;
        if let (0, Some(start), 1..) = (length, self.start, self.frame) {
            let frame = self.frame;
            self.stream
                .seek(start)
                .map_err(|source| SourceError::Io { frame, source })?;
            length = self.read_line()?;
        }
        let line = &self.line[..length];
        let complete = line.strip_suffix(b"\n");
        match complete.and_then(|line| line.strip_prefix(b"FRAME")) {
            Some([] | [b' ', ..]) => Ok(true),
            None if line.is_empty() => Ok(false),
            None if b"FRAME".starts_with(line) => Err(SourceError::Truncated {
                frame: self.frame,
                found: 0,
                expected: self.layout.packed_bytes(),
            }),
            _ => Err(SourceError::FrameHeader {
                frame: self.frame,
                limit: MAX_LINE,
            }),
        }
    }
}

impl Capture for Y4m {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        if !self.frame_header()? {
            return Ok(Captured::End);
        }
        let (frame, expected) = (self.frame, self.layout.packed_bytes());
        let Some(to) = slot.prepare(self.layout, expected) else {
            return Ok(Captured::Unusable);
        };
        let found = self
            .stream
            .read_full(to)
            .map_err(|source| SourceError::Io { frame, source })?;
        if found < expected {
            return Err(SourceError::Truncated {
                frame,
                found,
                expected,
            });
        }
        self.frame += 1;
        Ok(Captured::Frame)
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
