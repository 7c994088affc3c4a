//! Names to registers, variables and labels; constants to registers.

use crate::op::{Condition, Kernel, Place, Reg, Special};
use crate::syntax::types::Type;
use crate::syntax::{Operand, ParseError};
use std::collections::HashMap;

/// A declared register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Register {
    Word(Reg),
    /// Of up to 16 bits, in the same file.
    Half(Reg),
    Long(Reg),
    Predicate(Reg),
}

/// Registers of a kernel. Every warp of a block has as many, of 256 bytes for its lanes: 512 MiB at most.
const MAX_REGISTERS: usize = 1 << 16;

/// `%r<7>`: a run of numbered registers.
#[derive(Clone, Copy, Debug)]
struct Run {
    ty: Type,
    first: Reg,
    count: u32,
}

/// Labels, to instruction numbers.
pub(super) type Labels<'a> = HashMap<&'a str, u32>;

/// The names declared between a pair of braces.
#[derive(Debug, Default)]
struct Scope<'a> {
    runs: HashMap<&'a str, Run>,
    registers: HashMap<&'a str, Run>,
    variables: HashMap<&'a str, u64>,
    labels: Labels<'a>,
    tables: HashMap<&'a str, Vec<&'a str>>,
}

/// All names seen from one place of a kernel, and the registers given out so far.
pub(super) struct Names<'a> {
    scopes: Vec<Scope<'a>>,
    words: HashMap<u32, Reg>,
    longs: HashMap<u64, Reg>,
    specials: HashMap<&'a str, Reg>,
    pub(super) kernel: Kernel,
    pub(super) line: u32,
}

impl<'a> Names<'a> {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            scopes: vec![Scope::default()],
            words: HashMap::new(),
            longs: HashMap::new(),
            specials: HashMap::new(),
            kernel,
            line: 0,
        }
    }

    pub(super) fn fail<T>(&self, what: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.line, what))
    }

    /// Enters a pair of braces with these labels in it.
    pub(super) fn open(&mut self, labels: Labels<'a>) {
        self.scopes.push(Scope {
            labels,
            ..Scope::default()
        });
    }

    pub(super) fn close(&mut self) {
        self.scopes.pop();
    }

    fn innermost(&mut self) -> &mut Scope<'a> {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    /// A variable by its address within its space.
    pub(super) fn declare_variable(&mut self, name: &'a str, address: u64) {
        self.innermost().variables.insert(name, address);
    }

    pub(super) fn declare_table(&mut self, name: &'a str, targets: Vec<&'a str>) {
        self.innermost().tables.insert(name, targets);
    }

    pub(super) fn declare_registers(
        &mut self,
        ty: Type,
        name: &'a str,
        count: Option<u32>,
    ) -> Result<(), ParseError> {
        let number = count.unwrap_or(1);
        let kernel = &self.kernel;
        let total = kernel.words + kernel.longs + kernel.predicates + number as usize;
        if total > MAX_REGISTERS {
            let most = format!("a kernel may have {MAX_REGISTERS}");
            return self.fail(format!("{total} registers, {most}"));
        }
        let file = match ty {
            Type::Pred => &mut self.kernel.predicates,
            _ if ty.bytes() == 8 => &mut self.kernel.longs,
            _ => &mut self.kernel.words,
        };
        let first = *file as Reg;
        *file += number as usize;
        let run = Run {
            ty,
            first,
            count: number,
        };
        let scope = self.innermost();
        match count {
            Some(_) => scope.runs.insert(name, run),
            None => scope.registers.insert(name, run),
        };
        Ok(())
    }

    fn find_register(&self, name: &str) -> Option<Register> {
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (stem, number) = name.split_at(name.len() - digits);
        let number: Option<u32> = number.parse().ok();
        for scope in self.scopes.iter().rev() {
            if let Some(run) = scope.registers.get(name) {
                return Some(run.register(0));
            }
            if let (Some(run), Some(number)) = (scope.runs.get(stem), number)
                && number < run.count
            {
                return Some(run.register(number));
            }
        }
        None
    }

    pub(super) fn find_variable(&self, name: &str) -> Option<u64> {
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| scope.variables.get(name).copied())
    }

    pub(super) fn find_label(&self, name: &str) -> Result<u32, ParseError> {
        let found = self
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.labels.get(name));
        found
            .copied()
            .map_or_else(|| self.fail(format!("no label {name}")), Ok)
    }

    pub(super) fn find_table(&self, name: &str) -> Result<Vec<u32>, ParseError> {
        let Some(table) = self
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.tables.get(name))
        else {
            return self.fail(format!("no branch targets {name}"));
        };
        table.iter().map(|name| self.find_label(name)).collect()
    }

    /// The register that holds a constant.
    pub(super) fn word_constant(&mut self, value: u32) -> Reg {
        *self.words.entry(value).or_insert_with(|| {
            let reg = self.kernel.words as Reg;
            self.kernel.words += 1;
            self.kernel.word_constants.push((reg, value));
            reg
        })
    }

    pub(super) fn long_constant(&mut self, value: u64) -> Reg {
        *self.longs.entry(value).or_insert_with(|| {
            let reg = self.kernel.longs as Reg;
            self.kernel.longs += 1;
            self.kernel.long_constants.push((reg, value));
            reg
        })
    }

    fn predicate_constant(&mut self, value: bool) -> Reg {
        let reg = self.kernel.predicates as Reg;
        self.kernel.predicates += 1;
        self.kernel.predicate_constants.push((reg, value));
        reg
    }

    fn special(&mut self, name: &'a str) -> Option<Reg> {
        let special = special(name)?;
        Some(*self.specials.entry(name).or_insert_with(|| {
            let reg = self.kernel.words as Reg;
            self.kernel.words += 1;
            self.kernel.specials.push((reg, special));
            reg
        }))
    }

    /// An operand of up to 32 bits to read; 16-bit constants get zeros above.
    pub(super) fn word(&mut self, operand: &Operand<'a>, bits: u32) -> Result<Reg, ParseError> {
        let mask = if bits == 16 { 0xffff } else { u32::MAX };
        match *operand {
            Operand::Integer(value) => Ok(self.word_constant(value as u32 & mask)),
            Operand::Float32(value) => Ok(self.word_constant(value)),
            Operand::Word(name, offset) => match self.find_register(name) {
                Some(Register::Word(reg) | Register::Half(reg)) if offset == 0 => Ok(reg),
                Some(_) => self.fail(format!("{name} is no register of up to 32 bits")),
                None => {
                    if let Some(reg) = self.special(name) {
                        return Ok(reg);
                    }
                    let Some(variable) = self.find_variable(name) else {
                        return self.fail(format!("unknown name {name}"));
                    };
                    Ok(self.word_constant(variable.wrapping_add(offset) as u32))
                }
            },
            ref other => self.fail(format!(
                "expected a value of up to 32 bits, found {other:?}"
            )),
        }
    }

    /// An operand of 64 bits to read.
    pub(super) fn long(&mut self, operand: &Operand<'a>) -> Result<Reg, ParseError> {
        match *operand {
            Operand::Integer(value) | Operand::Float64(value) => Ok(self.long_constant(value)),
            Operand::Word(name, offset) => match self.find_register(name) {
                Some(Register::Long(reg)) if offset == 0 => Ok(reg),
                Some(_) => self.fail(format!("{name} is no register of 64 bits")),
                None => {
                    let Some(variable) = self.find_variable(name) else {
                        return self.fail(format!("unknown name {name}"));
                    };
                    Ok(self.long_constant(variable.wrapping_add(offset)))
                }
            },
            ref other => self.fail(format!("expected a value of 64 bits, found {other:?}")),
        }
    }

    /// An operand to read whose width is the register's own, or `bytes` if it is a constant.
    pub(super) fn value(&mut self, operand: &Operand<'a>, bytes: u32) -> Result<Place, ParseError> {
        if let Operand::Word(name, 0) = operand {
            match self.find_register(name) {
                Some(Register::Word(reg)) => return Ok(Place::Word(reg)),
                Some(Register::Half(reg)) => return Ok(Place::Half(reg)),
                Some(Register::Long(reg)) => return Ok(Place::Long(reg)),
                Some(Register::Predicate(_)) => return self.fail(format!("{name} is a predicate")),
                None => {}
            }
        }
        match bytes {
            8 => Ok(Place::Long(self.long(operand)?)),
            _ => Ok(Place::Word(self.word(operand, 8 * bytes)?)),
        }
    }

    fn destination(&self, operand: &Operand<'a>) -> Result<Register, ParseError> {
        match *operand {
            Operand::Word(name, 0) => match self.find_register(name) {
                Some(register) => Ok(register),
                None => self.fail(format!("unknown register {name}")),
            },
            ref other => self.fail(format!("expected a register, found {other:?}")),
        }
    }

    /// A register of up to 32 bits to write.
    pub(super) fn word_destination(&self, operand: &Operand<'a>) -> Result<Reg, ParseError> {
        match self.destination(operand)? {
            Register::Word(reg) | Register::Half(reg) => Ok(reg),
            _ => self.fail("expected a register of up to 32 bits"),
        }
    }

    /// A register of 64 bits to write.
    pub(super) fn long_destination(&self, operand: &Operand<'a>) -> Result<Reg, ParseError> {
        match self.destination(operand)? {
            Register::Long(reg) => Ok(reg),
            _ => self.fail("expected a register of 64 bits"),
        }
    }

    /// A register of any width to write, or `_`.
    pub(super) fn place(&self, operand: &Operand<'a>) -> Result<Place, ParseError> {
        if *operand == Operand::Word("_", 0) {
            return Ok(Place::Nowhere);
        }
        match self.destination(operand)? {
            Register::Word(reg) => Ok(Place::Word(reg)),
            Register::Half(reg) => Ok(Place::Half(reg)),
            Register::Long(reg) => Ok(Place::Long(reg)),
            Register::Predicate(_) => self.fail("expected a register, found a predicate"),
        }
    }

    /// A predicate to write; none for `_`.
    pub(super) fn predicate_named(&self, name: &str) -> Result<Option<Reg>, ParseError> {
        if name == "_" {
            return Ok(None);
        }
        match self.find_register(name) {
            Some(Register::Predicate(reg)) => Ok(Some(reg)),
            _ => self.fail(format!("{name} is no predicate")),
        }
    }

    /// A predicate to write.
    pub(super) fn predicate_destination(&self, operand: &Operand<'a>) -> Result<Reg, ParseError> {
        match self.destination(operand)? {
            Register::Predicate(reg) => Ok(reg),
            _ => self.fail("expected a predicate"),
        }
    }

    /// A predicate to read: `%p`, `!%p` or a constant.
    pub(super) fn condition(&mut self, operand: &Operand<'a>) -> Result<Condition, ParseError> {
        let (name, negated) = match *operand {
            Operand::Word(name, 0) => (name, false),
            Operand::Not(name) => (name, true),
            Operand::Integer(value) => {
                return Ok(Condition {
                    predicate: self.predicate_constant(value != 0),
                    negated: false,
                });
            }
            ref other => return self.fail(format!("expected a predicate, found {other:?}")),
        };
        match self.predicate_named(name)? {
            Some(predicate) => Ok(Condition { predicate, negated }),
            None => self.fail("a predicate to read"),
        }
    }
}

impl Run {
    fn register(self, number: u32) -> Register {
        let reg = self.first + number;
        match self.ty {
            Type::Pred => Register::Predicate(reg),
            ty if ty.bytes() == 8 => Register::Long(reg),
            ty if ty.bytes() <= 2 => Register::Half(reg),
            _ => Register::Word(reg),
        }
    }
}

/// PTX ISA 10 "Special Registers". Clocks and identities of hardware have no meaning here.
fn special(name: &str) -> Option<Special> {
    let dimension = |name: &str| match name {
        "x" => Some(0),
        "y" => Some(1),
        "z" => Some(2),
        _ => None,
    };
    if let Some((base, axis)) = name.split_once('.') {
        let axis = dimension(axis)?;
        return match base {
            "%tid" => Some(Special::Tid(axis)),
            "%ntid" => Some(Special::Ntid(axis)),
            "%ctaid" => Some(Special::Ctaid(axis)),
            "%nctaid" => Some(Special::Nctaid(axis)),
            _ => None,
        };
    }
    Some(match name {
        "%laneid" => Special::Lane,
        "%warpid" => Special::Warp,
        "%nwarpid" => Special::Warps,
        "%lanemask_eq" => Special::MaskEq,
        "%lanemask_lt" => Special::MaskLt,
        "%lanemask_le" => Special::MaskLe,
        "%lanemask_gt" => Special::MaskGt,
        "%lanemask_ge" => Special::MaskGe,
        "%dynamic_smem_size" => Special::DynamicShared,
        _ => return None,
    })
}
