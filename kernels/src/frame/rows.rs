//! One row of a frame, unpacked into planes of R, G, B (or one plane of grey) ready for the horizontal pass.

use super::color::YuvToRgb;
use super::format::{ColorSpace, PixelFormat};
use super::view::Frame;

/// Number of planes that a row of the format unpacks into: grey stays one plane until the output is written.
pub(super) const fn channels(format: PixelFormat) -> usize {
    match format {
        PixelFormat::Grey => 1,
        _ => 3,
    }
}

/// Unpacks `count` pixels of row `y`, from column `first` (even) on, into the first planes of `planes`, each of
/// at least `count` samples rounded up to even. Pixel x takes chroma sample ⌊x / 2⌋, row y chroma row ⌊y / 2⌋
/// (nearest neighbour, no interpolation).
#[inline(always)]
pub(super) fn unpack(
    frame: &Frame<'_>,
    y: usize,
    first: usize,
    count: usize,
    planes: [&mut [i16]; 3],
) {
    let row = frame.row(y);
    let [a, b, c] = planes.map(|plane| &mut plane[..count.next_multiple_of(2)]);
    match frame.format() {
        PixelFormat::Rgb => interleaved(&row[3 * first..][..3 * count], [a, b, c]),
        PixelFormat::Bgr => interleaved(&row[3 * first..][..3 * count], [c, b, a]),
        PixelFormat::Grey => widen(&row[first..][..count], a),
        PixelFormat::Yuyv => {
            let order = |[y0, cb, y1, cr]: [u8; 4]| [y0, y1, cb, cr];
            packed(&row[2 * first..], [&mut *a, &mut *b, &mut *c], order);
            convert(frame.color(), [a, b, c]);
        }
        PixelFormat::Uyvy => {
            let order = |[cb, y0, cr, y1]: [u8; 4]| [y0, y1, cb, cr];
            packed(&row[2 * first..], [&mut *a, &mut *b, &mut *c], order);
            convert(frame.color(), [a, b, c]);
        }
        PixelFormat::Nv12 => {
            widen(&row[first..][..count], a);
            semi_planar(&frame.chroma_row(0, y)[first..], b, c);
            convert(frame.color(), [a, b, c]);
        }
        PixelFormat::Nv21 => {
            widen(&row[first..][..count], a);
            semi_planar(&frame.chroma_row(0, y)[first..], c, b);
            convert(frame.color(), [a, b, c]);
        }
        PixelFormat::I420 => {
            widen(&row[first..][..count], a);
            double(&frame.chroma_row(0, y)[first / 2..], b);
            double(&frame.chroma_row(1, y)[first / 2..], c);
            convert(frame.color(), [a, b, c]);
        }
    }
}

/// Turns the planes of Y, Cb, Cr into R, G, B, in place.
#[inline(always)]
fn convert(color: ColorSpace, planes: [&mut [i16]; 3]) {
    let yuv = YuvToRgb::of(color);
    let [a, b, c] = planes;
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        [*a, *b, *c] = yuv.rgb(*a, *b, *c);
    }
}

#[inline(always)]
fn widen(samples: &[u8], plane: &mut [i16]) {
    for (out, sample) in plane.iter_mut().zip(samples) {
        *out = i16::from(*sample);
    }
}

#[inline(always)]
fn interleaved(row: &[u8], planes: [&mut [i16]; 3]) {
    let [a, b, c] = planes;
    let (pixels, _) = row.as_chunks::<3>();
    for (((pixel, a), b), c) in pixels.iter().zip(a).zip(b).zip(c) {
        *a = i16::from(pixel[0]);
        *b = i16::from(pixel[1]);
        *c = i16::from(pixel[2]);
    }
}

/// Groups of four bytes for two pixels; `order` sorts one into Y0 Y1 Cb Cr.
#[inline(always)]
fn packed(row: &[u8], planes: [&mut [i16]; 3], order: impl Fn([u8; 4]) -> [u8; 4]) {
    let (groups, _) = row.as_chunks::<4>();
    let [y, cb, cr] = planes.map(|plane| plane.as_chunks_mut::<2>().0);
    for (((group, y), cb), cr) in groups.iter().zip(y).zip(cb).zip(cr) {
        let [y0, y1, u, v] = order(*group);
        *y = [i16::from(y0), i16::from(y1)];
        *cb = [i16::from(u); 2];
        *cr = [i16::from(v); 2];
    }
}

/// Chroma bytes in pairs; the first of each goes to `even`.
#[inline(always)]
fn semi_planar(chroma: &[u8], even: &mut [i16], odd: &mut [i16]) {
    let (pairs, _) = chroma.as_chunks::<2>();
    let (even, _) = even.as_chunks_mut::<2>();
    let (odd, _) = odd.as_chunks_mut::<2>();
    for ((pair, even), odd) in pairs.iter().zip(even).zip(odd) {
        *even = [i16::from(pair[0]); 2];
        *odd = [i16::from(pair[1]); 2];
    }
}

/// Every sample twice.
#[inline(always)]
fn double(samples: &[u8], plane: &mut [i16]) {
    let (pairs, _) = plane.as_chunks_mut::<2>();
    for (pair, sample) in pairs.iter_mut().zip(samples) {
        *pair = [i16::from(*sample); 2];
    }
}
