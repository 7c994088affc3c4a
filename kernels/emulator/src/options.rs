//! How a launch is run.

/// In which order a grid's blocks run, one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockOrder {
    /// x fastest, then y, then z.
    #[default]
    Ascending,
    /// The other way round.
    Descending,
    /// A permutation made from a seed.
    Shuffled(u64),
}

/// What to watch. Bounds, alignment, barriers, member masks and unwaited copies are always watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Reads of bytes that nothing wrote.
    pub initialised: bool,
    /// Races between the warps of a block in shared memory.
    pub shared_races: bool,
    /// Races between blocks in global memory.
    pub global_races: bool,
}

impl Checks {
    /// Everything.
    pub const ALL: Self = Self {
        initialised: true,
        shared_races: true,
        global_races: true,
    };

    /// Only what is always watched.
    pub const NONE: Self = Self {
        initialised: false,
        shared_races: false,
        global_races: false,
    };
}

impl Default for Checks {
    fn default() -> Self {
        Self::ALL
    }
}

/// How a launch is run. Results of a correct kernel do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// In which order blocks run.
    pub order: BlockOrder,
    /// Seed of the choice which warp of a block goes on and how far, so that missing barriers show.
    pub warp_seed: u64,
    /// What to watch.
    pub checks: Checks,
    /// Most warp instructions of a launch.
    pub instruction_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            order: BlockOrder::default(),
            warp_seed: 1,
            checks: Checks::ALL,
            instruction_limit: 1 << 31,
        }
    }
}

/// Pseudo-random numbers: xorshift64* (Vigna 2016).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform enough below a small bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize) % bound.max(1)
    }
}
