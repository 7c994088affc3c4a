//! The first pass, over the columns of a frame: `resample_columns` of `preprocess.cu`.

use super::super::address::{Accesses, Address};
use super::super::kernel::Kernel;
use super::super::launch::Launch;
use super::super::params::{Params, params};
use super::super::work;

params! {
    /// `resample_columns` of `preprocess.cu`
    ResampleColumnsParams {
        /// The frame's planes, without padding, u8
        frame: Address,
        /// (W) u32: first source column, a multiple of 4
        starts: Address,
        /// (W / 32 rounded up, groups, 3, 32): low, middle and high bytes, signed, of four coefficients with 22
        /// fractional bits
        coefficients: Address,
        /// (R, W, 3) u8
        out: Address,
        /// Bytes of a row of the first plane
        stride: u32,
        /// Where the first chroma plane starts, in bytes
        chroma: u32,
        /// Bytes of a chroma row
        chroma_stride: u32,
        /// Bytes from the first chroma plane to the second
        second_chroma: u32,
        /// First source row, even
        first_row: u32,
        /// R
        rows: u32,
        /// First source column that is read, a multiple of 4
        first_column: u32,
        /// Source columns that are read, a multiple of 4
        pixels: u32,
        /// W
        columns: u32,
        /// Fours of coefficients of a window
        groups: u32,
        /// Index of the pixel format
        format: u32,
        /// Six coefficients of the colour space with 13 fractional bits, the first an offset
        color: [i32; 6],
        /// Unused
        padding: u32,
    }
}

/// The kernel's number of I420, the only format with two chroma planes.
pub(super) const I420: u32 = 7;

impl Params for ResampleColumnsParams {
    fn accesses(&self, _: Kernel, _: [u32; 3]) -> Accesses {
        let (rows, columns) = (self.rows as usize, self.columns as usize);
        let last = self.first_row + self.rows;
        let chroma = self.frame.offset(self.chroma as usize);
        let chroma_bytes = (last.div_ceil(2) * self.chroma_stride) as usize;
        let second_bytes = match self.format {
            I420 => chroma_bytes,
            _ => 0,
        };
        let fours = columns.next_multiple_of(32) * self.groups as usize;
        Accesses::new()
            .read(self.frame, (last * self.stride) as usize)
            .read(chroma, chroma_bytes)
            .read(chroma.offset(self.second_chroma as usize), second_bytes)
            .read(self.starts, 4 * columns)
            .read(self.coefficients, 3 * 4 * fours)
            .write(self.out, 3 * rows * columns)
    }
}

const THREADS: u32 = 256;

/// Source rows of a block, and the bytes that hold four columns of them.
const BLOCK_ROWS: u32 = 2;
const RECORD_BYTES: u32 = 4 * (3 * BLOCK_ROWS + 1);

pub(super) fn resample_columns(params: &ResampleColumnsParams) -> Launch {
    let pairs = params.rows.div_ceil(BLOCK_ROWS);
    let shared = params.pixels / 4 * RECORD_BYTES;
    let unpack = match params.format {
        0..=2 => 105,
        3..=4 => 265,
        _ => 225,
    };
    let work = work::resample_columns(pairs, params.pixels, unpack, params.columns, params.groups);
    Launch::new(
        Kernel::ResampleColumns,
        [pairs, 1, 1],
        THREADS,
        shared,
        params,
    )
    .with_work(work)
}
