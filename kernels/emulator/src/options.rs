//! How a launch is run.

/// In which order a grid's blocks run, one after another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Checks {
    /// Reads of bytes that nothing wrote.
    pub initialised: bool,
    /// Races between the warps of a block in shared memory.
    pub shared_races: bool,
    /// Races in global memory, between blocks and between the warps of a block.
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

    /// The same with reads of unwritten bytes watched, or not.
    #[must_use]
    pub const fn with_initialised(self, initialised: bool) -> Self {
        Self {
            initialised,
            ..self
        }
    }

    /// The same with races in shared memory watched, or not.
    #[must_use]
    pub const fn with_shared_races(self, shared_races: bool) -> Self {
        Self {
            shared_races,
            ..self
        }
    }

    /// The same with races in global memory watched, or not.
    #[must_use]
    pub const fn with_global_races(self, global_races: bool) -> Self {
        Self {
            global_races,
            ..self
        }
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self::ALL
    }
}

/// How a launch is run. Results of a correct kernel do not depend on it.
///
/// ```
/// use mergevit_emulator::{BlockOrder, Checks, Options};
///
/// let options = Options::default()
///     .with_order(BlockOrder::Shuffled(7))
///     .with_checks(Checks::ALL.with_global_races(false));
/// assert_eq!(options.warp_seed, Options::default().warp_seed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// In which order blocks run.
    pub order: BlockOrder,
    /// Seed of the choice which warp of a block goes on, and how far: results that depend on a missing barrier
    /// change with it.
    pub warp_seed: u64,
    /// What to watch.
    pub checks: Checks,
    /// Most warp instructions of a launch: one that executes more is taken to loop forever.
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

impl Options {
    /// The same with the grid's blocks run in this order.
    #[must_use]
    pub const fn with_order(self, order: BlockOrder) -> Self {
        Self { order, ..self }
    }

    /// The same with the turns of warps chosen from this seed.
    #[must_use]
    pub const fn with_warp_seed(self, warp_seed: u64) -> Self {
        Self { warp_seed, ..self }
    }

    /// The same with these rules watched.
    #[must_use]
    pub const fn with_checks(self, checks: Checks) -> Self {
        Self { checks, ..self }
    }

    /// The same with at most so many warp instructions in a launch.
    #[must_use]
    pub const fn with_instruction_limit(self, instruction_limit: u64) -> Self {
        Self {
            instruction_limit,
            ..self
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
