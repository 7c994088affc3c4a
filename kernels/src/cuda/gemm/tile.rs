//! The tile shapes of `gemm.cuh`.

use super::super::target::{RESERVED_BYTES, Target};
use super::epilogue::EpilogueKind;

/// Which part of the output a block computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 128 rows, 128 columns
    T128x128,
    /// 64 rows, 128 columns
    T64x128,
    /// 64 rows, 64 columns
    T64x64,
    /// 32 rows, 64 columns
    T32x64,
}

/// Bytes of K a step.
pub(crate) const STEP: u32 = 64;

/// How a tile is computed.
struct Spec {
    rows: u32,
    columns: u32,
    warp_rows: u32,
    warp_columns: u32,
    stages: u32,
    resident: u32,
    warp_step: u64,
    /// By [`EpilogueKind`].
    names: [&'static str; EpilogueKind::COUNT],
}

macro_rules! spec {
    ($rows:literal x $columns:literal, $($field:ident: $value:literal),*) => {
        Spec {
            rows: $rows,
            columns: $columns,
            $($field: $value,)*
            names: [
                concat!("gemm_", $rows, "x", $columns, "_requantize"),
                concat!("gemm_", $rows, "x", $columns, "_rotate"),
                concat!("gemm_", $rows, "x", $columns, "_activate"),
                concat!("gemm_", $rows, "x", $columns, "_gate"),
                concat!("gemm_", $rows, "x", $columns, "_residual"),
                concat!("gemm_", $rows, "x", $columns, "_embed"),
            ],
        }
    };
}

static SPECS: [Spec; 4] = [
    spec!(128 x 128, warp_rows: 128, warp_columns: 32, stages: 4, resident: 2, warp_step: 104),
    spec!(64 x 128, warp_rows: 64, warp_columns: 32, stages: 4, resident: 3, warp_step: 64),
    spec!(64 x 64, warp_rows: 32, warp_columns: 32, stages: 4, resident: 4, warp_step: 50),
    spec!(32 x 64, warp_rows: 16, warp_columns: 32, stages: 6, resident: 4, warp_step: 37),
];

impl Tile {
    /// All tile shapes, largest first.
    pub const ALL: [Self; 4] = [Self::T128x128, Self::T64x128, Self::T64x64, Self::T32x64];

    const fn spec(self) -> &'static Spec {
        &SPECS[self as usize]
    }

    /// Rows of the output.
    pub const fn rows(self) -> u32 {
        self.spec().rows
    }

    /// Columns of the output.
    pub const fn columns(self) -> u32 {
        self.spec().columns
    }

    /// Threads of a block.
    pub const fn threads(self) -> u32 {
        let Spec {
            rows,
            columns,
            warp_rows,
            warp_columns,
            ..
        } = self.spec();
        32 * (*rows / *warp_rows) * (*columns / *warp_columns)
    }

    /// Dynamic shared memory of a block, in bytes: the steps of K in flight, and two words that its threads share.
    pub const fn shared_bytes(self) -> u32 {
        let words = 2 * size_of::<u32>() as u32;
        self.spec().stages * (self.rows() + self.columns()) * STEP + words
    }

    /// Blocks that an SM holds at once, by its registers and shared memory.
    pub(crate) const fn resident(self) -> u32 {
        self.spec().resident
    }

    /// Blocks that a device holds at once: its SMs have as much shared memory as a block may have, and what is reserved for
    /// one; their registers are assumed to be those of Orin.
    pub(crate) fn resident_on(self, target: &Target) -> u32 {
        let by_shared =
            (target.shared_bytes + RESERVED_BYTES) / (self.shared_bytes() + RESERVED_BYTES);
        target.multiprocessors * self.resident().min(by_shared).max(1)
    }

    /// Bytes that a block moves into and out of shared memory in a step of which `rows` rows are read: each once in, and
    /// out for every warp that multiplies it.
    pub(crate) const fn shared_step_bytes(self, rows: u32) -> u32 {
        let spec = self.spec();
        let row_reads = spec.columns / spec.warp_columns;
        let column_reads = spec.rows / spec.warp_rows;
        (rows * (1 + row_reads) + spec.columns * (1 + column_reads)) * STEP
    }

    /// Instructions that a warp issues in a step, beside those for its fragments.
    pub(crate) const fn warp_step(self) -> u64 {
        self.spec().warp_step
    }

    /// Name of the kernel that computes such tiles.
    pub(crate) const fn kernel_name(self, epilogue: EpilogueKind) -> &'static str {
        self.spec().names[epilogue as usize]
    }
}
