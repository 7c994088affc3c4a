//! What a launch did: the figures that a roofline estimate is made from. No times.

use std::ops::{Add, AddAssign, Index};

/// Kinds of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// `mov`, `cvta`.
    Move,
    /// Integer arithmetic without products: `add`, `sub`, `min`, `abs`, ...
    Integer,
    /// `mul`, `mad` of integers.
    IntegerMultiply,
    /// `div`, `rem` of integers.
    IntegerDivide,
    /// `and`, `or`, `shl`, `shf`, `prmt`, `bfe`, `lop3`, ...
    Logic,
    /// `popc`, `clz`, `bfind`, `brev`.
    BitCount,
    /// `dp4a`, `dp2a`.
    DotProduct,
    /// `setp`, `set`, `selp`, `slct`, and logic on predicates.
    Compare,
    /// Floating point `add`, `sub`, `mul`, `min`, `max`, `abs`, `neg`.
    Float,
    /// `fma`.
    FusedMultiplyAdd,
    /// `div`, `sqrt`, `rcp` of floating point.
    FloatDivide,
    /// `cvt`.
    Convert,
    /// `ld`.
    Load,
    /// `st`.
    Store,
    /// `cp.async` and its groups.
    AsyncCopy,
    /// `ldmatrix`.
    LoadMatrix,
    /// `mma`.
    MatrixMultiply,
    /// `shfl`.
    Shuffle,
    /// `vote`, `match`, `redux`, `activemask`.
    Vote,
    /// `atom`, `red`.
    Atomic,
    /// `bar`, `barrier`.
    Barrier,
    /// `membar`, `fence`, `bar.warp`.
    Fence,
    /// `bra`, `brx`, `ret`, `exit`, `trap`.
    Branch,
    /// `nanosleep` and hints.
    Other,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Self; 24] = [
        Self::Move,
        Self::Integer,
        Self::IntegerMultiply,
        Self::IntegerDivide,
        Self::Logic,
        Self::BitCount,
        Self::DotProduct,
        Self::Compare,
        Self::Float,
        Self::FusedMultiplyAdd,
        Self::FloatDivide,
        Self::Convert,
        Self::Load,
        Self::Store,
        Self::AsyncCopy,
        Self::LoadMatrix,
        Self::MatrixMultiply,
        Self::Shuffle,
        Self::Vote,
        Self::Atomic,
        Self::Barrier,
        Self::Fence,
        Self::Branch,
        Self::Other,
    ];
}

/// How often something was executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed {
    /// By a warp.
    pub warps: u64,
    /// By a thread.
    pub lanes: u64,
}

impl AddAssign for Executed {
    fn add_assign(&mut self, other: Self) {
        self.warps += other.warps;
        self.lanes += other.lanes;
    }
}

/// Executions of every class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instructions([Executed; Class::ALL.len()]);

impl Instructions {
    pub(crate) fn record(&mut self, class: Class, active: u32) {
        self.0[class as usize] += Executed {
            warps: 1,
            lanes: active.count_ones().into(),
        };
    }

    /// Executions of all classes together.
    #[must_use]
    pub fn total(&self) -> Executed {
        let mut total = Executed::default();
        self.0.iter().for_each(|&executed| total += executed);
        total
    }
}

impl Index<Class> for Instructions {
    type Output = Executed;

    fn index(&self, class: Class) -> &Executed {
        &self.0[class as usize]
    }
}

impl AddAssign for Instructions {
    fn add_assign(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

/// Traffic in one direction with one space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Warp instructions.
    pub accesses: u64,
    /// Bytes that threads asked for.
    pub bytes: u64,
    /// Different aligned pieces of 32 bytes that each warp instruction touched, added up; of global and local
    /// memory only. A coalesced access touches `bytes / 32`.
    pub sectors: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.accesses += other.accesses;
        self.bytes += other.bytes;
        self.sectors += other.sectors;
    }
}

/// Traffic in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadWrite {
    /// Loads, and what `cp.async` reads.
    pub read: Traffic,
    /// Stores, and what `cp.async` writes.
    pub write: Traffic,
}

impl AddAssign for ReadWrite {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.write += other.write;
    }
}

/// Matrix instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Matrix {
    /// `mma.m16n8k32`, signed bytes by signed bytes.
    pub s8_s8: u64,
    /// `mma.m16n8k32` with unsigned bytes on one side or both.
    pub mixed: u64,
    /// `mma.m16n8k16` of f16.
    pub f16: u64,
    /// Multiply-accumulates of all of them.
    pub multiply_accumulates: u64,
}

impl AddAssign for Matrix {
    fn add_assign(&mut self, other: Self) {
        self.s8_s8 += other.s8_s8;
        self.mixed += other.mixed;
        self.f16 += other.f16;
        self.multiply_accumulates += other.multiply_accumulates;
    }
}

/// What a launch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Instructions by kind.
    pub instructions: Instructions,
    /// Traffic with device memory, atomics left out.
    pub global: ReadWrite,
    /// Traffic with shared memory, atomics left out.
    pub shared: ReadWrite,
    /// Traffic with local memory: none if nothing is spilled.
    pub local: ReadWrite,
    /// Passes over shared memory's 32 banks of 4 bytes beyond those that the access's width needs.
    pub bank_conflicts: u64,
    /// Matrix instructions.
    pub matrix: Matrix,
    /// Atomic operations of threads on global memory.
    pub global_atomics: u64,
    /// Atomic operations of threads on shared memory.
    pub shared_atomics: u64,
    /// Barriers that a block completed.
    pub barriers: u64,
    /// Blocks run.
    pub blocks: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.global += other.global;
        self.shared += other.shared;
        self.local += other.local;
        self.bank_conflicts += other.bank_conflicts;
        self.matrix += other.matrix;
        self.global_atomics += other.global_atomics;
        self.shared_atomics += other.shared_atomics;
        self.barriers += other.barriers;
        self.blocks += other.blocks;
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// Sectors of 32 bytes that accesses of `bytes` bytes at these addresses touch.
pub(crate) fn sectors(addresses: impl Iterator<Item = u64>, bytes: u32) -> u64 {
    let mut touched = [0u64; 64];
    let mut count = 0;
    for address in addresses {
        let (first, last) = (address / 32, (address + u64::from(bytes) - 1) / 32);
        for sector in first..=last {
            let seen = touched[..count].iter().rev().any(|&other| other == sector);
            if !seen && count < touched.len() {
                touched[count] = sector;
                count += 1;
            }
        }
    }
    count as u64
}

/// Passes over the banks beyond the first of each phase. A phase is 32, 16 or 8 lanes with up to 4, 8 or 16
/// bytes each: what 32 banks of 4 bytes can serve at once. Lanes that want the same word share it.
pub(crate) fn bank_conflicts(addresses: &[u64; 32], active: u32, bytes: u32) -> u64 {
    const NONE: u8 = u8::MAX;
    let lanes_a_phase = if bytes <= 4 { 32 } else { 128 / bytes as usize };
    let words = bytes.div_ceil(4) as usize;
    let mut extra = 0;
    for phase in (0..32).step_by(lanes_a_phase) {
        // Different words of the phase, chained by bank; at most 32, for that is a phase's width.
        let mut chained = [(0u64, NONE); 32];
        let (mut first, mut depth, mut count) = ([NONE; 32], [0u8; 32], 0);
        for lane in (phase..phase + lanes_a_phase).filter(|lane| active >> lane & 1 == 1) {
            for word in 0..words {
                let word = addresses[lane] / 4 + word as u64;
                let bank = (word % 32) as usize;
                let mut link = first[bank];
                while link != NONE && chained[usize::from(link)].0 != word {
                    link = chained[usize::from(link)].1;
                }
                if link == NONE && count < chained.len() {
                    chained[count] = (word, first[bank]);
                    first[bank] = count as u8;
                    depth[bank] += 1;
                    count += 1;
                }
            }
        }
        let deepest = depth.iter().max().copied().unwrap_or(0);
        extra += u64::from(deepest.saturating_sub(1));
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_of_32_words_is_the_worst() {
        let stride = |bytes: u64| std::array::from_fn(|lane| lane as u64 * bytes);
        assert_eq!(bank_conflicts(&stride(4), u32::MAX, 4), 0);
        assert_eq!(bank_conflicts(&stride(8), u32::MAX, 4), 1);
        assert_eq!(bank_conflicts(&stride(128), u32::MAX, 4), 31);
        assert_eq!(
            bank_conflicts(&stride(0), u32::MAX, 4),
            0,
            "one word for all"
        );
        assert_eq!(bank_conflicts(&stride(1), u32::MAX, 1), 0);
        assert_eq!(bank_conflicts(&stride(8), u32::MAX, 8), 0);
        assert_eq!(bank_conflicts(&stride(16), u32::MAX, 16), 0);
        assert_eq!(
            bank_conflicts(&stride(32), u32::MAX, 16),
            4,
            "two passes in each of 4 phases"
        );
        assert_eq!(bank_conflicts(&stride(128), 0b11, 4), 1);
    }

    #[test]
    fn sectors_are_counted_once() {
        assert_eq!(sectors((0..32).map(|lane| lane * 4), 4), 4);
        assert_eq!(sectors((0..32).map(|lane| lane * 16), 16), 16);
        assert_eq!(sectors((0..32).map(|lane| lane * 32), 4), 32);
        assert_eq!(sectors((0..32).rev().map(|lane| lane * 2), 2), 2);
        assert_eq!(sectors(std::iter::once(30), 4), 2);
    }
}
