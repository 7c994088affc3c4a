//! What the resampling kernels do with one pixel and one window.

use mergevit_kernels::cuda::preprocess::ResampleColumnsParams;

/// Fractional bits of colour coefficients, and of windows.
const COLOR_BITS: u32 = 13;
const WINDOW_BITS: u32 = 22;

/// R, G, B of pixel `x` of a row, of which these are the rows of the planes.
pub(crate) fn pixel(
    p: &ResampleColumnsParams,
    x: usize,
    luma: &[u8],
    chroma: &[u8],
    second: &[u8],
) -> [u8; 3] {
    let pair = x / 2;
    let yuv = |y: u8, cb: u8, cr: u8| {
        let [black, gain, red_cr, green_cb, green_cr, blue_cb] = p.color;
        let base = gain * (i32::from(y) - black) + (1 << (COLOR_BITS - 1));
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let sums = [
            base + red_cr * cr,
            base - green_cb * cb - green_cr * cr,
            base + blue_cb * cb,
        ];
        sums.map(|sum| (sum >> COLOR_BITS).clamp(0, 255) as u8)
    };
    match p.format {
        0 => [luma[3 * x], luma[3 * x + 1], luma[3 * x + 2]],
        1 => [luma[3 * x + 2], luma[3 * x + 1], luma[3 * x]],
        2 => [luma[x]; 3],
        3 => yuv(
            luma[4 * pair + x % 2 * 2],
            luma[4 * pair + 1],
            luma[4 * pair + 3],
        ),
        4 => yuv(
            luma[4 * pair + x % 2 * 2 + 1],
            luma[4 * pair],
            luma[4 * pair + 2],
        ),
        5 => yuv(luma[x], chroma[2 * pair], chroma[2 * pair + 1]),
        6 => yuv(luma[x], chroma[2 * pair + 1], chroma[2 * pair]),
        _ => yuv(luma[x], chroma[pair], second[pair]),
    }
}

/// Pixels of a row of the first plane.
pub(crate) fn width(p: &ResampleColumnsParams) -> usize {
    let bytes = p.stride as usize;
    match p.format {
        0 | 1 => bytes / 3,
        3 | 4 => bytes / 2,
        _ => bytes,
    }
}

/// Coefficients (columns, 4 groups) of their bytes (warps, groups, 3, 32).
pub(crate) fn join(bytes: &[[i8; 4]], columns: usize, groups: usize) -> Vec<i32> {
    let taps = 4 * groups;
    let coefficient = |i: usize| {
        let (column, tap) = (i / taps, i % taps);
        let group = column / 32 * groups + tap / 4;
        let part = |part: usize| i32::from(bytes[(group * 3 + part) * 32 + column % 32][tap % 4]);
        part(0) + (part(1) << 8) + (part(2) << 16)
    };
    (0..columns * taps).map(coefficient).collect()
}

/// The weighted sum of a window's samples.
pub(crate) fn weigh(samples: impl Iterator<Item = u8>, coefficients: &[i32]) -> u8 {
    let terms = samples
        .zip(coefficients)
        .map(|(sample, c)| i32::from(sample) * c);
    let sum: i32 = (1 << (WINDOW_BITS - 1)) + terms.sum::<i32>();
    (sum >> WINDOW_BITS).clamp(0, 255) as u8
}
