//! What a JPEG image says of itself before its pixels: the markers up to the first scan (ITU-T T.81, annex B).

use std::fmt;

/// What is read of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Whether it brings Huffman tables along. Many cameras leave out those that all of them use.
    pub(super) has_tables: bool,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderDefect {
    /// It does not begin as one.
    NotJpeg,
    /// It ends before its first scan.
    Truncated,
    /// It is not baseline, but what this marker stands for.
    Coding(u8),
    /// Neither grey nor colour in 8 bits.
    Samples,
    /// A scan of no frame.
    NoFrame,
    /// Pixels without an end.
    NoEnd,
}

impl fmt::Display for HeaderDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJpeg => f.write_str("not a JPEG image"),
            Self::Truncated => f.write_str("the JPEG image ends within its header"),
            Self::Coding(PROGRESSIVE) => f.write_str("a progressive JPEG image, expected baseline"),
            Self::Coding(marker) => {
                write!(f, "a JPEG image of kind {marker:02X}, expected baseline")
            }
            Self::Samples => f.write_str("a JPEG image of other than 1 or 3 components of 8 bits"),
            Self::NoFrame => f.write_str("a JPEG image without a size"),
            Self::NoEnd => f.write_str("the JPEG image ends before its last pixel"),
        }
    }
}

pub(super) const START: [u8; 2] = [0xff, 0xd8];
const BASELINE: u8 = 0xc0;
const PROGRESSIVE: u8 = 0xc2;
const TABLES: u8 = 0xc4;
const ARITHMETIC: u8 = 0xcc;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// Reads the header of an image, which must have its end: decoders make one up.
pub(super) fn read(jpeg: &[u8]) -> Result<Header, HeaderDefect> {
    let mut rest = jpeg.strip_prefix(&START).ok_or(HeaderDefect::NotJpeg)?;
    let mut size = None;
    let mut has_tables = false;
    loop {
        let marker;
        (marker, rest) = next_marker(rest)?;
        // The restart markers, and the one that means nothing, have no segment.
        if matches!(marker, 0x01 | 0xd0..=0xd7) {
            continue;
        }
        if marker == END {
            return Err(HeaderDefect::NoFrame);
        }
        let (segment, after) = segment(rest)?;
        rest = after;
        match marker {
            BASELINE => size = Some(frame(segment)?),
            TABLES => has_tables = true,
            0xc1..=0xcf if marker != ARITHMETIC && marker != 0xc8 => {
                return Err(HeaderDefect::Coding(marker));
            }
            SCAN => {
                let (width, height) = size.ok_or(HeaderDefect::NoFrame)?;
                // In a scan's data, 0xff is followed by 0.
                if !rest.windows(2).rev().any(|pair| pair == [0xff, END]) {
                    return Err(HeaderDefect::NoEnd);
                }
                return Ok(Header {
                    width,
                    height,
                    has_tables,
                });
            }
            _ => {}
        }
    }
}

/// The next marker, and what follows it. Before it there may be any number of fill bytes.
fn next_marker(bytes: &[u8]) -> Result<(u8, &[u8]), HeaderDefect> {
    let at = bytes.iter().position(|&byte| byte != 0xff);
    let at = at.ok_or(HeaderDefect::Truncated)?;
    match at {
        0 => Err(HeaderDefect::NotJpeg),
        _ => Ok((bytes[at], &bytes[at + 1..])),
    }
}

/// A segment without its length, and what follows it.
fn segment(bytes: &[u8]) -> Result<(&[u8], &[u8]), HeaderDefect> {
    let (length, _) = bytes.split_first_chunk().ok_or(HeaderDefect::Truncated)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (segment, rest) = bytes
        .split_at_checked(length)
        .ok_or(HeaderDefect::Truncated)?;
    // The length counts its own two bytes.
    let segment = segment.get(2..).ok_or(HeaderDefect::NotJpeg)?;
    Ok((segment, rest))
}

/// Width and height.
fn frame(segment: &[u8]) -> Result<(usize, usize), HeaderDefect> {
    let Some((&[precision, h1, h0, w1, w0, components], _)) = segment.split_first_chunk() else {
        return Err(HeaderDefect::Truncated);
    };
    if precision != 8 || !matches!(components, 1 | 3) {
        return Err(HeaderDefect::Samples);
    }
    let size = [[w1, w0], [h1, h0]].map(|side| usize::from(u16::from_be_bytes(side)));
    match size {
        [0, _] | [_, 0] => Err(HeaderDefect::NoFrame),
        [width, height] => Ok((width, height)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, a frame of 640 × 361 by `marker`, and a scan.
    fn image(marker: u8, components: u8) -> Vec<u8> {
        let mut bytes = START.to_vec();
        bytes.extend([0xff, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0x01]);
        bytes.extend([0xff, marker, 0, 8, 8, 1, 105, 2, 128, components]);
        bytes.extend([0xff, SCAN, 0, 2, 1, 0xff, END]);
        bytes
    }

    #[test]
    fn size_and_tables_are_found() {
        let mut bytes = image(BASELINE, 3);
        let expected = Header {
            width: 640,
            height: 361,
            has_tables: false,
        };
        assert_eq!(read(&bytes), Ok(expected));
        let tables = [0xff, TABLES, 0, 3, 0];
        bytes.splice(2..2, tables);
        let has_tables = true;
        assert_eq!(
            read(&bytes),
            Ok(Header {
                has_tables,
                ..expected
            })
        );
        // Wherever it ends, it says so.
        for end in 2..bytes.len() {
            let expected = match bytes.len() - end {
                1..=3 => HeaderDefect::NoEnd,
                _ => HeaderDefect::Truncated,
            };
            assert_eq!(read(&bytes[..end]), Err(expected), "{end}");
        }
        // Cameras fill their buffers up.
        bytes.extend([0; 9]);
        assert!(read(&bytes).is_ok());
    }

    #[test]
    fn what_is_not_baseline_is_refused() {
        for marker in [0xc1, PROGRESSIVE, 0xc3, 0xc5, 0xc9, 0xcf] {
            assert_eq!(read(&image(marker, 3)), Err(HeaderDefect::Coding(marker)));
        }
        for components in [0, 2, 4] {
            assert_eq!(
                read(&image(BASELINE, components)),
                Err(HeaderDefect::Samples)
            );
        }
        assert_eq!(read(&image(0xe1, 3)), Err(HeaderDefect::NoFrame));
        for bytes in [&b""[..], b"\xff", b"GIF89a", b"\xff\xd8\0"] {
            assert_eq!(read(bytes), Err(HeaderDefect::NotJpeg));
        }
        assert_eq!(read(b"\xff\xd8\xff\xd9"), Err(HeaderDefect::NoFrame));
        let text = HeaderDefect::Coding(PROGRESSIVE).to_string();
        assert_eq!(text, "a progressive JPEG image, expected baseline");
    }
}
