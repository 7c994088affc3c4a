//! Parts of frames that are classified in the place of whole ones.

use mergevit_kernels::frame::Frame;
use std::str::FromStr;

/// A rectangle of a frame, in pixels from its upper left corner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    /// As the command line has it.
    pub(crate) name: String,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// `X,Y,WIDTH,HEIGHT`
impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected X,Y,WIDTH,HEIGHT in pixels, neither side 0".to_owned();
        let numbers: Option<Vec<usize>> = text.split(',').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Self {
                name: text.to_owned(),
                x,
                y,
                width,
                height,
            }),
            _ => Err(expected()),
        }
    }
}

impl Region {
    /// Its part of a frame, without copying: what lies outside is left away. `None` if all of it does. Where neighbours
    /// share chroma, the part begins at an even column, and in formats of half as many rows of chroma at an even row,
    /// to the left and above.
    pub(super) fn of<'a>(&self, frame: &Frame<'a>) -> Option<Frame<'a>> {
        let width = self.width.min(frame.width().checked_sub(self.x)?);
        let height = self.height.min(frame.height().checked_sub(self.y)?);
        frame.crop(self.x, self.y, width, height)
    }

    /// Whether it has a part of frames of so many pixels.
    pub(crate) fn touches(&self, width: usize, height: usize) -> bool {
        self.x < width && self.y < height
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::PixelFormat;

    #[test]
    fn a_region_is_cut_off_where_the_frame_ends() {
        let bytes: Vec<u8> = (0..12).collect();
        let frame = Frame::packed(PixelFormat::Grey, 4, 3, &bytes).expect("a frame");
        for (text, expected) in [
            ("0,0,4,3", Some((4, 3, 0))),
            ("1,2,2,1", Some((2, 1, 9))),
            ("3,1,9,9", Some((1, 2, 7))),
            ("4,0,1,1", None),
            ("0,3,1,1", None),
            ("18446744073709551615,0,1,1", None),
        ] {
            let region: Region = text.parse().expect("a region");
            let part = region.of(&frame);
            let found = part.map(|part| {
                let mut pixels = vec![0; part.packed_bytes()];
                part.copy_packed(&mut pixels);
                (part.width(), part.height(), pixels[0])
            });
            assert_eq!(found, expected, "{text}");
            assert_eq!(region.touches(4, 3), expected.is_some());
        }
    }

    #[test]
    fn everything_else_is_no_region() {
        for text in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "1,2,0,4",
            "1,2,3,0",
            "-1,2,3,4",
            "a,b,c,d",
        ] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }
}
