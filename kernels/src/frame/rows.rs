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

/// Most pixels that are unpacked at a time.
pub(super) const MAX_COUNT: usize = 128;

/// Unpacks `count` pixels of row `y`, at most [`MAX_COUNT`], from column `first` (even) on, into the first planes of
/// `planes`, each of at least `count` samples rounded up to even. Pixel x takes chroma sample ⌊x / 2⌋, row y chroma row
/// ⌊y / 2⌋ (nearest neighbour, no interpolation).
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
    let pairs = count.div_ceil(2);
    let luma = &mut [0; MAX_COUNT][..2 * pairs];
    let [cb, cr] = &mut [[0; MAX_COUNT / 2]; 2];
    let (cb, cr) = (&mut cb[..pairs], &mut cr[..pairs]);
    match frame.format() {
        PixelFormat::Rgb => return interleaved(&row[3 * first..][..3 * count], [a, b, c]),
        PixelFormat::Bgr => return interleaved(&row[3 * first..][..3 * count], [c, b, a]),
        PixelFormat::Grey => return widen(&row[first..][..count], a),
        PixelFormat::Yuyv => {
            split(&row[2 * first..], luma, [cb, cr], |[y0, cb, y1, cr]| {
                [y0, y1, cb, cr]
            });
        }
        PixelFormat::Uyvy => {
            split(&row[2 * first..], luma, [cb, cr], |[cb, y0, cr, y1]| {
                [y0, y1, cb, cr]
            });
        }
        PixelFormat::Nv12 => {
            luma[..count].copy_from_slice(&row[first..][..count]);
            semi_planar(&frame.chroma_row(0, y)[first..], cb, cr);
        }
        PixelFormat::Nv21 => {
            luma[..count].copy_from_slice(&row[first..][..count]);
            semi_planar(&frame.chroma_row(0, y)[first..], cr, cb);
        }
        PixelFormat::I420 => {
            luma[..count].copy_from_slice(&row[first..][..count]);
            cb.copy_from_slice(&frame.chroma_row(0, y)[first / 2..][..pairs]);
            cr.copy_from_slice(&frame.chroma_row(1, y)[first / 2..][..pairs]);
        }
    }
    convert(frame.color(), luma, [cb, cr], [a, b, c]);
}

/// R, G, B of pairs of pixels from their Y, Cb, Cr.
#[inline(always)]
fn convert(color: ColorSpace, luma: &[u8], [cb, cr]: [&[u8]; 2], planes: [&mut [i16]; 3]) {
    let yuv = YuvToRgb::of(color);
    let [a, b, c] = planes.map(|plane| plane.as_chunks_mut::<2>().0);
    let (luma, _) = luma.as_chunks::<2>();
    for (((((a, b), c), luma), cb), cr) in a.iter_mut().zip(b).zip(c).zip(luma).zip(cb).zip(cr) {
        let chroma = yuv.chroma(*cb, *cr);
        let [r0, g0, b0] = yuv.with_luma(luma[0], chroma).map(i16::from);
        let [r1, g1, b1] = yuv.with_luma(luma[1], chroma).map(i16::from);
        *a = [r0, r1];
        *b = [g0, g1];
        *c = [b0, b1];
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
fn split(
    row: &[u8],
    luma: &mut [u8],
    [cb, cr]: [&mut [u8]; 2],
    order: impl Fn([u8; 4]) -> [u8; 4],
) {
    let (groups, _) = row.as_chunks::<4>();
    let (luma, _) = luma.as_chunks_mut::<2>();
    for (((group, luma), cb), cr) in groups.iter().zip(luma).zip(cb).zip(cr) {
        [luma[0], luma[1], *cb, *cr] = order(*group);
    }
}

/// Chroma bytes in pairs; the first of each goes to `even`.
#[inline(always)]
fn semi_planar(chroma: &[u8], even: &mut [u8], odd: &mut [u8]) {
    let (pairs, _) = chroma.as_chunks::<2>();
    for ((pair, even), odd) in pairs.iter().zip(even).zip(odd) {
        [*even, *odd] = *pair;
    }
}
