//! PTX as written: text, tokens, and statements whose names are not looked up yet.

pub(crate) mod lexer;
pub(crate) mod parse;
pub(crate) mod types;

use types::{Type, VariableSpace};

/// Why a text is not a module that can be run, and the line that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {what}")]
pub struct ParseError {
    /// Line of the text, counted from 1.
    pub line: u32,
    /// What is wrong there.
    pub what: String,
}

impl ParseError {
    pub(crate) fn new(line: u32, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }
}

/// A whole text.
#[derive(Debug, Default)]
pub(crate) struct Syntax<'a> {
    pub(crate) variables: Vec<Variable<'a>>,
    pub(crate) kernels: Vec<Kernel<'a>>,
}

/// A variable in some state space.
#[derive(Clone, Debug)]
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a str,
    pub(crate) space: VariableSpace,
    pub(crate) ty: Type,
    pub(crate) align: u32,
    /// Elements; none for an `extern` array of unknown size.
    pub(crate) count: Option<u32>,
    pub(crate) external: bool,
    pub(crate) values: Vec<Value<'a>>,
    pub(crate) line: u32,
}

/// One initial value of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Bits(u64),
    /// The address of another variable plus so many bytes.
    Address(&'a str, u64),
}

/// An `.entry` function.
#[derive(Debug)]
pub(crate) struct Kernel<'a> {
    pub(crate) name: &'a str,
    pub(crate) params: Vec<Variable<'a>>,
    /// `.maxntid` or `.reqntid`: most threads of a block.
    pub(crate) max_threads: Option<u32>,
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) line: u32,
}

/// What stands in a function's body.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    Open,
    Close,
    /// `.reg .b32 %r<7>` is seven names.
    Registers {
        ty: Type,
        name: &'a str,
        count: Option<u32>,
        line: u32,
    },
    Variable(Variable<'a>),
    Label(&'a str, u32),
    /// `name: .branchtargets a, b`.
    Targets(&'a str, Vec<&'a str>),
    /// Which bytes of the next load matter (`.pragma "used_bytes_mask"`).
    UsedBytes(u64),
    Instruction(Instruction<'a>),
}

/// `@guard opcode operands;`
#[derive(Debug)]
pub(crate) struct Instruction<'a> {
    pub(crate) guard: Option<(&'a str, bool)>,
    pub(crate) opcode: &'a str,
    pub(crate) operands: Vec<Operand<'a>>,
    pub(crate) line: u32,
}

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand<'a> {
    /// A register, variable or label, plus so many bytes.
    Word(&'a str, u64),
    /// `!%p`.
    Not(&'a str),
    /// `%a|%p`.
    Pair(&'a str, &'a str),
    Integer(u64),
    Float32(u32),
    Float64(u64),
    Vector(Vec<Operand<'a>>),
    /// `[base+offset]`.
    Address(Option<&'a str>, u64),
}

impl Variable<'_> {
    /// Its size, if it is known and sensible.
    pub(crate) fn bytes(&self) -> Option<u32> {
        let bytes = self.count?.checked_mul(self.ty.bytes())?;
        Some(bytes).filter(|&bytes| bytes <= 1 << 28)
    }
}
