//! How many blocks of a launch an SM holds at once.

use super::head_width::HeadWidth;
use super::kernel::Kernel;
use super::row_width::RowWidth;
use super::target::RESERVED_BYTES;

/// Of an SM of compute capability 8.7: warps, blocks, bytes of shared memory.
const WARPS: u32 = 48;
const BLOCKS: u32 = 16;
const SHARED_BYTES: u32 = 164 << 10;

/// Blocks of `threads` threads, with `shared_bytes` of dynamic shared memory each.
pub(super) const fn resident(kernel: Kernel, threads: u32, shared_bytes: u32) -> u32 {
    let warps = threads.div_ceil(32);
    let by_warps = least(WARPS / warps, BLOCKS);
    let by_shared = SHARED_BYTES / (shared_bytes + RESERVED_BYTES);
    let found = least(least(by_warps, by_shared), by_registers(kernel, warps));
    if found == 0 { 1 } else { found }
}

/// Warps of attention that an SM's registers have room for: most that a block may have, which the kernel is compiled for.
pub(super) const fn most_warps(head_width: HeadWidth) -> u32 {
    match head_width {
        HeadWidth::W32 => 28,
        HeadWidth::W64 => 20,
        HeadWidth::W96 => 16,
        HeadWidth::W128 => 12,
    }
}

const fn least(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

/// What the registers of kernels that take many leave room for, as the table in `README.md` says.
const fn by_registers(kernel: Kernel, warps: u32) -> u32 {
    match kernel {
        Kernel::Gemm { tile, .. } => tile.resident(),
        Kernel::Attention { head_width } => most_warps(head_width) / warps,
        Kernel::MergeMatch { head_width } => match head_width {
            HeadWidth::W32 => 9,
            HeadWidth::W64 => 7,
            HeadWidth::W96 => 5,
            HeadWidth::W128 => 4,
        },
        Kernel::LayerNorm { rows } | Kernel::LayerNormHalf { rows } => match rows {
            RowWidth::Narrow => 9,
            RowWidth::Wide => 5,
        },
        Kernel::MergeNorm { rows } => match rows {
            RowWidth::Narrow => 6,
            RowWidth::Wide => 3,
        },
        Kernel::PoolNorm => 2,
        _ => BLOCKS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shared memory decides beside registers for some, so a launch at the table's shape holds as many blocks as it says.
    #[test]
    fn an_sm_holds_what_the_table_says() {
        let table = include_str!("../../README.md");
        let mut found = 0;
        for line in table.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`');
            let Some(kernel) = Kernel::all().find(|kernel| kernel.name() == name) else {
                continue;
            };
            let number = |index: usize| cells[index].parse::<u32>().expect("a number");
            let (threads, shared, blocks) = (number(2), number(4), number(5));
            let dynamic = if kernel.sizes_shared_memory() {
                shared
            } else {
                0
            };
            assert_eq!(resident(kernel, threads, dynamic), blocks, "{name}");
            found += 1;
        }
        assert_eq!(found, Kernel::all().count());
    }
}
