//! What a kernel did wrong.

use std::fmt;

/// A state space, as faults and counts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Space {
    /// Device memory.
    Global,
    /// A block's shared memory.
    Shared,
    /// A thread's own memory.
    Local,
    /// The kernel's parameters.
    Param,
    /// The module's variables: `.const`, and `.global` ones, which are read-only here.
    Variable,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Param => "parameter",
            Self::Variable => "variable",
        })
    }
}

/// Who else touched a byte of global memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Other {
    /// A block of the launch, counted in x, then y, then z.
    #[error("block {0}")]
    Block(u32),
    /// More than one block.
    #[error("several blocks")]
    Blocks,
    /// A warp of the same block.
    #[error("its warp {0}")]
    Warp(u32),
    /// More than one warp of the same block.
    #[error("several of its warps")]
    Warps,
}

/// The rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// An access outside every allocation or variable.
    #[error("out of bounds: {bytes} bytes at {space} {address:#x}{near}")]
    OutOfBounds {
        /// Where.
        space: Space,
        /// First byte of the access.
        address: u64,
        /// Its size.
        bytes: u32,
        /// The nearest thing there is.
        near: String,
    },
    /// An address that is no multiple of the access's size.
    #[error("misaligned: {bytes} bytes at {space} {address:#x}")]
    Misaligned {
        /// Where.
        space: Space,
        /// First byte of the access.
        address: u64,
        /// What the address must be a multiple of.
        bytes: u32,
    },
    /// A read of a byte that nothing wrote.
    #[error("uninitialised: {space} {address:#x} is read and nothing wrote it")]
    Uninitialised {
        /// Where.
        space: Space,
        /// The byte.
        address: u64,
    },
    /// A write to what cannot be written.
    #[error("read-only: write to {space} {address:#x}")]
    ReadOnly {
        /// Where.
        space: Space,
        /// First byte of the access.
        address: u64,
    },
    /// Two warps touch a byte of shared memory with no barrier between, one of them writing.
    #[error(
        "shared race: {access} at {address:#x} by warp {warp}, {earlier} by warp {other} with no barrier between"
    )]
    SharedRace {
        /// The byte.
        address: u64,
        /// What this warp does: `read`, `write`, `atomic` or `cp.async`.
        access: &'static str,
        /// This warp.
        warp: u32,
        /// What the other did.
        earlier: &'static str,
        /// The other warp.
        other: u32,
    },
    /// Two lanes of one instruction write different values to one byte.
    #[error("conflicting lanes: one instruction writes two values to {space} {address:#x}")]
    ConflictingLanes {
        /// Where.
        space: Space,
        /// The byte.
        address: u64,
    },
    /// Use of the destination of a `cp.async` that its thread has not waited for.
    #[error("unwaited cp.async: shared {address:#x} is used while a copy to it is under way")]
    UnwaitedCopy {
        /// The byte.
        address: u64,
    },
    /// Two blocks touch a byte of global memory in an undefined order, one of them writing.
    #[error(
        "global race: {access} at {address:#x}, {earlier} by {by} in the same launch, not synchronised with it"
    )]
    GlobalRace {
        /// The byte.
        address: u64,
        /// What this block does: `read` or `write`.
        access: &'static str,
        /// What the other did.
        earlier: &'static str,
        /// Who did.
        by: Other,
    },
    /// `ld.global.nc` of a byte that this launch has written: the load may see either value.
    #[error("not constant: ld.global.nc at {address:#x}, which this launch has written")]
    NotConstant {
        /// The byte.
        address: u64,
    },
    /// A barrier that some threads cannot reach.
    #[error("divergent barrier: {0}")]
    DivergentBarrier(String),
    /// A `.sync` instruction whose member mask is not the set of lanes that executes it.
    #[error("member mask: {0}")]
    MemberMask(String),
    /// A shuffle, match or reduction that takes from a lane that does not take part.
    #[error("inactive source: lane {source_lane} does not take part")]
    InactiveSource {
        /// The lane read from.
        source_lane: u32,
    },
    /// An operand outside of what the manual defines.
    #[error("undefined: {0}")]
    Undefined(String),
    /// `trap`.
    #[error("trap")]
    Trap,
    /// More instructions than [`Options::instruction_limit`](crate::Options::instruction_limit).
    #[error("instruction limit of {0} reached")]
    InstructionLimit(u64),
    /// A launch that no device would accept.
    #[error("launch: {0}")]
    Launch(String),
}

/// A broken rule and where it was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The kernel.
    pub kernel: Box<str>,
    /// Line of the PTX, counted from 1; 0 where the launch itself is refused.
    pub line: u32,
    /// That line's text.
    pub instruction: Box<str>,
    /// Block index in x, y, z.
    pub block: [u32; 3],
    /// Threads of the block, counted in x, then y, then z.
    pub threads: Box<[u32]>,
    /// What was wrong.
    pub rule: Rule,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: {}", self.kernel, self.rule)?;
        if self.line == 0 {
            return Ok(());
        }
        let [x, y, z] = self.block;
        write!(
            f,
            "; PTX line {} `{}`, block ({x}, {y}, {z})",
            self.line, self.instruction
        )?;
        match &*self.threads {
            [] => Ok(()),
            [one] => write!(f, ", thread {one}"),
            [first, .., last] => {
                write!(f, ", {} threads of {first} to {last}", self.threads.len())
            }
        }
    }
}

impl std::error::Error for Fault {}

/// A broken rule and the lanes that broke it, before the warp and block are named.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) rule: Rule,
    pub(crate) lanes: u32,
}

impl Trouble {
    pub(crate) fn at_lane(lane: usize, rule: Rule) -> Self {
        Self {
            rule,
            lanes: 1 << lane,
        }
    }
}

/// An access of the host to [`Memory`](crate::Memory) that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Not inside one allocation.
    #[error("{bytes} bytes at {address:#x} are not inside one allocation{near}")]
    OutOfBounds {
        /// First byte.
        address: u64,
        /// How many.
        bytes: usize,
        /// The nearest allocation.
        near: String,
    },
    /// A byte that nothing wrote.
    #[error("nothing wrote the byte at {address:#x}")]
    Uninitialised {
        /// The byte.
        address: u64,
    },
}
