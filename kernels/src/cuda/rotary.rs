//! Rotary positions: `rotary.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `rotary.cu`
    RotaryParams {
        /// (B, T, 2) f32, row and column; null: the grid
        positions: Address,
        /// (R, D / 2, 3) f32: turns a row, turns a column, turns at (0, 0)
        frequencies: Address,
        /// (B, T, R, D) f32: cosine and sine of each pair of channels
        table: Address,
        /// T
        tokens: u32,
        /// R D / 2
        pairs: u32,
        /// P
        prefix: u32,
        /// Patches of a row of the grid
        side: u32,
    }
}

impl Params for RotaryParams {
    fn accesses(&self, _: Kernel, [_, batch, _]: [u32; 3]) -> Accesses {
        let (batch, tokens, pairs) = (batch as usize, self.tokens as usize, self.pairs as usize);
        Accesses::new()
            .read(self.positions, 4 * batch * tokens * 2)
            .read(self.frequencies, 4 * pairs * 3)
            .write(self.table, 4 * batch * tokens * pairs * 2)
    }
}

/// Threads of a block: one a pair.
const THREADS: u32 = 128;

/// A launch that computes nothing: its threads leave at once, as those beyond the last token do. What it takes is what
/// any launch takes.
pub fn nothing() -> Launch {
    let params = RotaryParams {
        pairs: 1,
        ..RotaryParams::default()
    };
    Launch::new(Kernel::Rotary, [1, 1, 1], THREADS, 0, &params)
}

/// Makes the table of `batch` images.
pub fn rotary(batch: u32, params: &RotaryParams) -> Launch {
    let grid = [(params.tokens * params.pairs).div_ceil(THREADS), batch, 1];
    let work = work::rotary(batch * params.tokens, params.pairs);
    Launch::new(Kernel::Rotary, grid, THREADS, 0, params).with_work(work)
}
