//! What the network saw, as a picture to look at.

use axum::body::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageError};
use mergevit_runtime::image::merged_tokens;

/// Of JPEG, 1 to 100: the small pictures that networks see show every block at less.
const QUALITY: u8 = 90;

/// Pixels that a picture of merged tokens has a side, at least: outlines need some.
const MERGED_SIDE: usize = 448;

/// The last picture of a view.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// (S, S, 3).
    pub(super) rgb: Bytes,
    /// A little-endian u16 for each patch, or nothing.
    pub(super) tokens: Bytes,
    pub(super) jpeg: Bytes,
}

impl Picture {
    /// `None` if the bytes are no square picture, or cannot be encoded.
    pub(super) fn new(rgb: &[u8], tokens: &[u8]) -> Option<Self> {
        let jpeg = jpeg(rgb, side(rgb)?).ok()?;
        Some(Self {
            rgb: Bytes::copy_from_slice(rgb),
            tokens: Bytes::copy_from_slice(tokens),
            jpeg: jpeg.into(),
        })
    }

    /// The picture of its merged tokens, a JPEG; `None` without a token map that fits.
    pub(super) fn merged(&self) -> Option<Bytes> {
        let size = side(&self.rgb)?;
        let map: Vec<u16> = self
            .tokens
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let patches = map.len().isqrt();
        if map.is_empty() || patches * patches != map.len() || patches > size {
            return None;
        }
        // Pixels at the right and below may belong to no patch.
        let whole = size / patches * patches;
        let rows = self.rgb.chunks_exact(3 * size).take(whole);
        let pixels: Vec<u8> = rows.flat_map(|row| &row[..3 * whole]).copied().collect();
        let zoom = MERGED_SIDE.div_ceil(whole);
        let merged = merged_tokens(&pixels, &map, zoom);
        jpeg(merged.pixels(), merged.width()).ok().map(Bytes::from)
    }
}

/// The side of a square RGB picture that is not empty.
fn side(rgb: &[u8]) -> Option<usize> {
    let side = (rgb.len() / 3).isqrt();
    (side > 0 && 3 * side * side == rgb.len()).then_some(side)
}

fn jpeg(rgb: &[u8], side: usize) -> Result<Vec<u8>, ImageError> {
    let mut jpeg = Vec::new();
    let side = side as u32;
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
        rgb,
        side,
        side,
        ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(map: &[u16]) -> Vec<u8> {
        map.iter().flat_map(|token| token.to_le_bytes()).collect()
    }

    #[test]
    fn a_picture_survives_as_a_jpeg() {
        let rgb: Vec<u8> = (0..16 * 16).flat_map(|at| [at as u8, 128, 40]).collect();
        let picture = Picture::new(&rgb, &[]).expect("a square");
        let decoded = image::load_from_memory(&picture.jpeg)
            .expect("a picture")
            .into_rgb8();
        assert_eq!(decoded.dimensions(), (16, 16));
        let worst = decoded
            .as_raw()
            .iter()
            .zip(&rgb)
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst < Some(48), "{worst:?}");
        assert!(picture.merged().is_none());
    }

    #[test]
    fn merged_tokens_are_drawn_where_a_map_fits() {
        // 9 pixels in patches of 4: one row and one column belong to none.
        let rgb = vec![90; 3 * 9 * 9];
        let picture = |map: &[u16]| Picture::new(&rgb, &tokens(map)).expect("a square");
        let merged = picture(&[1, 1, 2, 3]).merged().expect("a map");
        let decoded = image::load_from_memory(&merged).expect("a picture");
        assert_eq!((decoded.width(), decoded.height()), (448, 448));
        for wrong in [&[][..], &[1, 2, 3], &[1; 100]] {
            assert!(picture(wrong).merged().is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn other_bytes_are_no_picture() {
        for length in [0, 1, 3 * 15, 3 * 16 + 1] {
            assert!(Picture::new(&vec![0; length], &[]).is_none(), "{length}");
        }
    }
}
