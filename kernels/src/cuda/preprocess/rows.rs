//! The second pass, over the rows that the first has left: `resample_rows` of `preprocess.cu`.

use super::super::address::{Accesses, Address};
use super::super::kernel::Kernel;
use super::super::launch::Launch;
use super::super::params::{Params, params};
use super::super::work;

params! {
    /// `resample_rows` of `preprocess.cu`
    ResampleRowsParams {
        /// (R, W, 3) u8
        rows: Address,
        /// (kept, 2) u32: first source row, number of rows
        windows: Address,
        /// (kept, taps) i32
        coefficients: Address,
        /// Pixels (height, width, 3) u8, or patches (patches, row bytes) i8
        out: Address,
        /// Source row that `rows` starts with
        first_row: u32,
        /// W
        columns: u32,
        /// Black columns before them
        left: u32,
        /// Output rows that are not black
        kept: u32,
        /// Black rows before them
        top: u32,
        /// Coefficients of a window
        taps: u32,
        /// Output pixels of a row
        width: u32,
        /// Side of a patch, 0 for pixels
        patch_size: u32,
        /// Bytes of a patch
        row_bytes: u32,
        /// R, `padding` to the kernel, which knows it by its windows
        source_rows: u32,
    }
}

impl Params for ResampleRowsParams {
    fn accesses(&self, _: Kernel, [lines, _, _]: [u32; 3]) -> Accesses {
        let (kept, taps) = (self.kept as usize, self.taps as usize);
        let source_bytes = 3 * self.columns as usize * self.source_rows as usize;
        let out_bytes = match self.patch_size {
            0 => 3 * lines * self.width,
            side => (lines / side).pow(2) * self.row_bytes,
        };
        Accesses::new()
            .read(self.rows, source_bytes)
            .read(self.windows, 8 * kept)
            .read(self.coefficients, 4 * kept * taps)
            .write(self.out, out_bytes as usize)
    }
}

const THREADS: u32 = 192;

/// Makes `lines` rows of output.
pub(super) fn resample_rows(lines: u32, params: &ResampleRowsParams) -> Launch {
    let scattered = !(3 * params.patch_size).is_multiple_of(4);
    let work = work::resample_rows(lines, params.width, params.taps, scattered);
    Launch::new(Kernel::ResampleRows, [lines, 1, 1], THREADS, 0, params).with_work(work)
}
