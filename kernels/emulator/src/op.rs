//! Decoded instructions: names looked up, operands as register numbers.
//!
//! Constants and special registers are registers too, filled in before the kernel starts, so that an operand is
//! always one number.

use crate::counts::Class;
use crate::syntax::types::Type;

/// Lanes of a warp.
pub(crate) const LANES: usize = 32;
/// All lanes.
pub(crate) const ALL: u32 = u32::MAX;

/// A register of up to 32 bits in every lane. 16-bit values have zeros above.
pub(crate) type Word = [u32; LANES];
/// A register of 64 bits in every lane.
pub(crate) type Long = [u64; LANES];
/// A register's number in its file.
pub(crate) type Reg = u32;

/// Elementwise functions of a whole warp, by what they take and give: `w` for 32 bits, `l` for 64.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Map {
    WToW(fn(&Word) -> Word),
    LToW(fn(&Long) -> Word),
    LToL(fn(&Long) -> Long),
    WwToW(fn(&Word, &Word) -> Word),
    WwToL(fn(&Word, &Word) -> Long),
    LlToL(fn(&Long, &Long) -> Long),
    LwToL(fn(&Long, &Word) -> Long),
    WwwToW(fn(&Word, &Word, &Word) -> Word),
    WwlToL(fn(&Word, &Word, &Long) -> Long),
    LllToL(fn(&Long, &Long, &Long) -> Long),
    LwwToL(fn(&Long, &Word, &Word) -> Long),
    WwwwToW(fn(&Word, &Word, &Word, &Word) -> Word),
    LlwwToL(fn(&Long, &Long, &Word, &Word) -> Long),
}

/// Comparisons of a whole warp, one bit a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compare {
    W(fn(&Word, &Word) -> u32),
    L(fn(&Long, &Long) -> u32),
}

/// Logic on predicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xor,
}

impl Logic {
    pub(crate) const fn apply(self, a: u32, b: u32) -> u32 {
        match self {
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
        }
    }
}

/// A predicate, perhaps negated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub(crate) predicate: Reg,
    pub(crate) negated: bool,
}

/// A register of either width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Word(Reg),
    /// Of 16 bits: what is written there is cut.
    Half(Reg),
    Long(Reg),
    /// `_`: the value is dropped.
    Nowhere,
}

/// Rounding of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// No rounding can happen, or integers on both sides.
    None,
    /// `.rn`: to nearest even.
    Nearest,
    /// `.rz`: to zero.
    Zero,
    /// `.rni`, `.rzi`, `.rmi`, `.rpi`: to an integer.
    IntegerNearest,
    IntegerZero,
    IntegerDown,
    IntegerUp,
}

/// `cvt`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    pub(crate) from: Type,
    pub(crate) to: Type,
    pub(crate) rounding: Rounding,
    pub(crate) saturate: bool,
    pub(crate) d: Place,
    pub(crate) a: Place,
}

/// State space of an access as the instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessSpace {
    Generic,
    Global,
    Const,
    Shared,
    Local,
    Param,
}

/// Memory order of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// An ordinary access, which may race.
    Weak,
    /// `.volatile`, `.relaxed`, and atomic operations by default.
    Relaxed,
    Acquire,
    Release,
    AcquireRelease,
}

impl Order {
    pub(crate) const fn acquires(self) -> bool {
        matches!(self, Self::Acquire | Self::AcquireRelease)
    }

    pub(crate) const fn releases(self) -> bool {
        matches!(self, Self::Release | Self::AcquireRelease)
    }
}

/// `[base+offset]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) base: Option<Place>,
    pub(crate) offset: u64,
}

/// `ld` and `st`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) space: AccessSpace,
    pub(crate) order: Order,
    pub(crate) ty: Type,
    pub(crate) address: Address,
    /// One to four elements.
    pub(crate) places: [Place; 4],
    pub(crate) count: u8,
    /// Which bytes of a load matter.
    pub(crate) used: u64,
    /// `.nc`: nothing writes there as long as the kernel runs.
    pub(crate) constant: bool,
}

/// What an atomic operation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtomicKind {
    Add,
    Min,
    Max,
    Increment,
    Decrement,
    And,
    Or,
    Xor,
    Exchange,
    CompareAndSwap,
}

/// `atom` and `red`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atomic {
    pub(crate) space: AccessSpace,
    pub(crate) order: Order,
    pub(crate) kind: AtomicKind,
    pub(crate) ty: Type,
    pub(crate) address: Address,
    pub(crate) d: Place,
    pub(crate) b: Place,
    pub(crate) c: Place,
}

/// `cp.async`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncCopy {
    pub(crate) to: Address,
    pub(crate) from: Address,
    pub(crate) bytes: u32,
    /// Bytes read; the rest becomes zero.
    pub(crate) source_bytes: Option<Reg>,
}

/// `ldmatrix`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadMatrix {
    pub(crate) address: Address,
    pub(crate) space: AccessSpace,
    pub(crate) d: [Reg; 4],
    pub(crate) count: u8,
    pub(crate) transposed: bool,
}

/// `mma.m16n8k32` of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mma {
    pub(crate) d: [Reg; 4],
    pub(crate) a: [Reg; 4],
    pub(crate) b: [Reg; 2],
    pub(crate) c: [Reg; 4],
    pub(crate) a_signed: bool,
    pub(crate) b_signed: bool,
    pub(crate) saturate: bool,
}

/// How `shfl` picks the source lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

/// `shfl.sync`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle {
    pub(crate) mode: ShuffleMode,
    pub(crate) d: Place,
    pub(crate) p: Option<Reg>,
    pub(crate) a: Reg,
    pub(crate) b: Reg,
    pub(crate) c: Reg,
    pub(crate) members: Reg,
}

/// What lanes agree on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum VoteKind {
    Ballot {
        d: Reg,
        a: Condition,
    },
    All {
        d: Reg,
        a: Condition,
    },
    Any {
        d: Reg,
        a: Condition,
    },
    Uniform {
        d: Reg,
        a: Condition,
    },
    MatchAny {
        d: Reg,
        a: Place,
    },
    MatchAll {
        d: Reg,
        p: Option<Reg>,
        a: Place,
    },
    Reduce {
        d: Reg,
        a: Reg,
        kind: AtomicKind,
        signed: bool,
    },
    /// `bar.warp.sync`.
    Meet,
}

/// `bar`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Barrier {
    pub(crate) id: Reg,
    pub(crate) threads: Option<Reg>,
    pub(crate) kind: BarrierKind,
}

/// What a barrier does beside waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BarrierKind {
    Sync,
    /// Counts this warp and goes on.
    Arrive,
    Popc {
        d: Reg,
        a: Condition,
    },
    And {
        d: Reg,
        a: Condition,
    },
    Or {
        d: Reg,
        a: Condition,
    },
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Map {
        map: Map,
        d: Reg,
        s: [Reg; 4],
    },
    Compare {
        compare: Compare,
        a: Reg,
        b: Reg,
        p: Option<Reg>,
        q: Option<Reg>,
        combine: Option<(Logic, Condition)>,
    },
    /// `set`: all ones or 1.0 where the comparison holds.
    Set {
        compare: Compare,
        d: Reg,
        a: Reg,
        b: Reg,
        ones: u32,
    },
    SelectWord {
        d: Reg,
        a: Reg,
        b: Reg,
        p: Reg,
    },
    SelectLong {
        d: Reg,
        a: Reg,
        b: Reg,
        p: Reg,
    },
    Predicate {
        logic: Logic,
        d: Reg,
        a: Condition,
        b: Condition,
    },
    Convert(Conversion),
    /// `mov.b32 d, {a, b}` and the like; elements of so many bits.
    Pack {
        d: Place,
        parts: [Place; 4],
        count: u8,
        bits: u32,
    },
    Unpack {
        parts: [Place; 4],
        a: Place,
        count: u8,
        bits: u32,
    },
    Load(Access),
    Store(Access),
    Atomic(Atomic),
    /// Of global memory.
    Prefetch(Address),
    AsyncCopy(AsyncCopy),
    CommitGroup,
    /// Waits until at most so many groups are under way.
    WaitGroup(u32),
    WaitAll,
    LoadMatrix(LoadMatrix),
    Mma(Mma),
    Shuffle(Shuffle),
    Vote {
        kind: VoteKind,
        members: Reg,
    },
    ActiveMask {
        d: Reg,
    },
    Barrier(Barrier),
    /// A fence; whether it reaches other blocks.
    Fence {
        device: bool,
    },
    Branch {
        target: u32,
    },
    BranchIndexed {
        index: Reg,
        targets: Box<[u32]>,
    },
    Exit,
    Trap,
    Nothing,
}

/// A decoded instruction.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) op: Op,
    pub(crate) guard: Option<Condition>,
    pub(crate) class: Class,
    pub(crate) line: u32,
}

/// Registers whose value depends on the thread or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    Lane,
    Warp,
    Warps,
    /// Lanes equal to, below, up to, above, from this one on.
    MaskEq,
    MaskLt,
    MaskLe,
    MaskGt,
    MaskGe,
    DynamicShared,
}

/// A parameter's place in the parameter buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) bytes: u32,
    pub(crate) align: u32,
}

impl Frame {
    /// Adds a variable; returns its offset, or `None` if all of them would be immoderately large.
    pub(crate) fn place(&mut self, bytes: u32, align: u32) -> Option<u32> {
        const MOST: u32 = 1 << 28;
        let offset = self.bytes.checked_next_multiple_of(align.max(1))?;
        let end = offset.checked_add(bytes).filter(|&end| end <= MOST)?;
        self.bytes = end;
        self.align = self.align.max(align);
        Some(offset)
    }
}

/// A kernel ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) code: Vec<Instruction>,
    pub(crate) words: usize,
    pub(crate) longs: usize,
    pub(crate) predicates: usize,
    pub(crate) word_constants: Vec<(Reg, u32)>,
    pub(crate) long_constants: Vec<(Reg, u64)>,
    pub(crate) predicate_constants: Vec<(Reg, bool)>,
    pub(crate) specials: Vec<(Reg, Special)>,
    pub(crate) params: Frame,
    /// Static shared memory; dynamic memory follows at a multiple of its alignment.
    pub(crate) shared: Frame,
    pub(crate) local: Frame,
    pub(crate) max_threads: Option<u32>,
}

/// Where generic addresses of each space begin; each window has 4 GiB.
pub(crate) mod window {
    pub(crate) const SHARED: u64 = 0x7f01 << 32;
    pub(crate) const LOCAL: u64 = 0x7f02 << 32;
    pub(crate) const PARAM: u64 = 0x7f03 << 32;
    pub(crate) const VARIABLES: u64 = 0x7f04 << 32;

    /// Whether `address` lies in `window`.
    pub(crate) const fn contains(window: u64, address: u64) -> bool {
        address >> 32 == window >> 32
    }
}

impl Kernel {
    /// No code yet.
    pub(crate) fn empty(name: &str, max_threads: Option<u32>) -> Self {
        Self {
            name: name.into(),
            code: Vec::new(),
            words: 0,
            longs: 0,
            predicates: 0,
            word_constants: Vec::new(),
            long_constants: Vec::new(),
            predicate_constants: Vec::new(),
            specials: Vec::new(),
            params: Frame::default(),
            shared: Frame::default(),
            local: Frame::default(),
            max_threads,
        }
    }
}
