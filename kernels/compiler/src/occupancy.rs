//! How many blocks of a kernel an SM of compute capability 8.7 holds at a time.
//!
//! Limits: CUDA C++ Programming Guide 12.6, section 17.7.1 and table "Technical Specifications per Compute
//! Capability". Granularities and the rule for registers: `cuda_occupancy.h` of the toolkit.

/// Threads of a warp.
const WARP: u32 = 32;
/// Warps that an SM holds.
pub const WARPS_PER_SM: u32 = 48;
/// Blocks that an SM holds.
const BLOCKS_PER_SM: u32 = 16;
/// Threads of a block.
const THREADS_PER_BLOCK: u32 = 1024;
/// Parts of an SM, each with its own scheduler and registers; warps are dealt out to them.
const PARTS: u32 = 4;
/// 32-bit registers of one part: 64 K an SM.
const REGISTERS_PER_PART: u32 = 65536 / PARTS;
/// Registers of a warp come in multiples of this.
const REGISTER_UNIT: u32 = 256;
/// Bytes of shared memory of an SM.
const SHARED_PER_SM: u32 = 164 * 1024;
/// Bytes of shared memory that the system takes for each block.
const SHARED_RESERVED: u32 = 1024;
/// Shared memory of a block comes in multiples of this.
const SHARED_UNIT: u32 = 128;

/// What one block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Threads.
    pub threads: u32,
    /// Registers of each thread.
    pub registers: u32,
    /// Bytes of shared memory, static and dynamic.
    pub shared: u32,
}

impl Block {
    /// Warps, the last one perhaps in part.
    pub fn warps(self) -> u32 {
        self.threads.div_ceil(WARP)
    }

    /// Blocks that an SM holds at a time; 0 if it cannot be launched at all.
    pub fn per_sm(self) -> u32 {
        if self.threads == 0 || self.threads > THREADS_PER_BLOCK {
            return 0;
        }
        let by_warps = WARPS_PER_SM / self.warps();
        let registers = (self.registers * WARP)
            .next_multiple_of(REGISTER_UNIT)
            .max(REGISTER_UNIT);
        let by_registers = REGISTERS_PER_PART / registers * PARTS / self.warps();
        let shared = self
            .shared
            .saturating_add(SHARED_RESERVED)
            .div_ceil(SHARED_UNIT);
        let by_shared = SHARED_PER_SM / SHARED_UNIT / shared;
        BLOCKS_PER_SM.min(by_warps).min(by_registers).min(by_shared)
    }

    /// Warps that an SM holds at a time.
    pub fn warps_per_sm(self) -> u32 {
        self.per_sm() * self.warps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(threads: u32, registers: u32, shared: u32) -> u32 {
        Block {
            threads,
            registers,
            shared,
        }
        .per_sm()
    }

    #[test]
    fn each_limit_binds() {
        // Nothing but the number of blocks, then of warps.
        assert_eq!(blocks(32, 16, 0), 16);
        assert_eq!(blocks(256, 32, 0), 6);
        assert_eq!(blocks(1024, 32, 0), 1);
        assert_eq!(blocks(1025, 32, 0), 0);
        // 40 registers are the most for 48 warps; 41 count as 48: 10 warps in each of four parts.
        assert_eq!(blocks(128, 40, 0), 12);
        assert_eq!(blocks(128, 41, 0), 10);
        assert_eq!(blocks(256, 128, 0), 2);
        assert_eq!(blocks(256, 255, 0), 1);
        assert_eq!(blocks(512, 129, 0), 0);
        // 163 KiB is the most shared memory a block can have; two blocks have 81 KiB each.
        assert_eq!(blocks(32, 32, 163 * 1024), 1);
        assert_eq!(blocks(32, 32, 163 * 1024 + 1), 0);
        assert_eq!(blocks(32, 32, 81 * 1024), 2);
        assert_eq!(blocks(32, 32, 81 * 1024 + 1), 1);
        assert_eq!(blocks(32, 32, u32::MAX), 0);
    }

    #[test]
    fn warps_are_counted_whole() {
        let block = Block {
            threads: 96,
            registers: 64,
            shared: 0,
        };
        // 8 warps in each of four parts: ten blocks of three.
        assert_eq!(
            (block.warps(), block.per_sm(), block.warps_per_sm()),
            (3, 10, 30)
        );
        let odd = Block {
            threads: 33,
            ..block
        };
        assert_eq!((odd.warps(), odd.warps_per_sm()), (2, 32));
    }
}
