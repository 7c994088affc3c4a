//! Statements to a compact list of instructions. Whatever is not known is an error that names the line.

#[macro_use]
mod map;

mod bits;
mod compare;
mod convert;
mod float;
mod integer;
mod memory;
mod names;
mod warp;

use crate::counts::Class;
use crate::module::Image;
use crate::op::{Compare, Condition, Instruction, Kernel, Logic, Map, Op, Place, Reg};
use crate::syntax::types::{Type, VariableSpace};
use crate::syntax::{self, Item, Operand, ParseError};
use names::{Labels, Names};

/// Decodes a kernel of an image whose variables have been placed.
pub(crate) fn decode<'a>(
    syntax: &syntax::Kernel<'a>,
    image: &Image<'a>,
) -> Result<Kernel, ParseError> {
    let mut decoder = Decoder {
        names: Names::new(Kernel::empty(syntax.name, syntax.max_threads)),
        used: u64::MAX,
    };
    decoder.names.line = syntax.line;
    decoder.place_variables(syntax, image)?;
    let mut labels = labels_by_scope(&syntax.items)?.into_iter();
    decoder.names.open(labels.next().unwrap_or_default());
    for item in &syntax.items {
        match item {
            Item::Open => decoder.names.open(labels.next().unwrap_or_default()),
            Item::Close => decoder.names.close(),
            Item::Label(..) => {}
            Item::UsedBytes(mask) => decoder.used = *mask,
            Item::Variable(variable) => {
                decoder.names.line = variable.line;
                decoder.declare(variable)?;
            }
            Item::Registers {
                ty,
                name,
                count,
                line,
            } => {
                decoder.names.line = *line;
                decoder.names.declare_registers(*ty, name, *count)?;
            }
            Item::Targets(name, targets) => decoder.names.declare_table(name, targets.clone()),
            Item::Instruction(instruction) => decoder.instruction(instruction)?,
        }
    }
    Ok(decoder.finish())
}

/// The labels of the body, then those of each pair of braces in the order in which they open.
fn labels_by_scope<'a>(items: &[Item<'a>]) -> Result<Vec<Labels<'a>>, ParseError> {
    let (mut scopes, mut open, mut number) = (vec![Labels::new()], vec![0], 0);
    for item in items {
        match *item {
            Item::Open => {
                open.push(scopes.len());
                scopes.push(Labels::new());
            }
            Item::Close => {
                open.pop();
            }
            Item::Label(name, line) => {
                let scope = open.last().copied().unwrap_or(0);
                if scopes[scope].insert(name, number).is_some() {
                    return Err(ParseError::new(line, format!("label {name} twice")));
                }
            }
            Item::Instruction(_) => number += 1,
            _ => {}
        }
    }
    Ok(scopes)
}

/// Decodes one kernel.
struct Decoder<'a> {
    names: Names<'a>,
    /// Which bytes of the next load matter.
    used: u64,
}

type Decoded = Result<(Class, Op), ParseError>;

impl<'a> Decoder<'a> {
    /// Variables of the image, then parameters. Dynamic shared memory begins after all static shared memory.
    fn place_variables(
        &mut self,
        syntax: &syntax::Kernel<'a>,
        image: &Image<'a>,
    ) -> Result<(), ParseError> {
        for (name, address) in image.addresses() {
            self.names.declare_variable(name, address);
        }
        let inner = syntax.items.iter().filter_map(|item| match item {
            Item::Variable(variable) if variable.space == VariableSpace::Shared => Some(variable),
            _ => None,
        });
        let (mut bytes, mut align) = (0u32, 16u32);
        for variable in image.shared().chain(inner) {
            align = align.max(variable.align);
            if let (false, Some(size)) = (variable.external, variable.bytes()) {
                bytes = bytes.next_multiple_of(variable.align).saturating_add(size);
            }
        }
        let dynamic = bytes.next_multiple_of(align);
        for variable in image.shared() {
            if variable.external {
                let address = dynamic.into();
                self.names.declare_variable(variable.name, address);
            } else {
                self.declare(variable)?;
            }
        }
        for param in &syntax.params {
            self.declare(param)?;
        }
        self.names.kernel.shared.align = align;
        Ok(())
    }

    fn declare(&mut self, variable: &syntax::Variable<'a>) -> Result<(), ParseError> {
        let Some(bytes) = variable.bytes() else {
            return self.names.fail(format!("size of {}", variable.name));
        };
        let kernel = &mut self.names.kernel;
        let frame = match variable.space {
            VariableSpace::Shared => &mut kernel.shared,
            VariableSpace::Local => &mut kernel.local,
            VariableSpace::Param => &mut kernel.params,
            VariableSpace::Global | VariableSpace::Const => {
                return self.names.fail("a variable of the image inside a kernel");
            }
        };
        let address = frame.place(bytes, variable.align).into();
        self.names.declare_variable(variable.name, address);
        Ok(())
    }

    fn instruction(&mut self, written: &syntax::Instruction<'a>) -> Result<(), ParseError> {
        self.names.line = written.line;
        let guard = match written.guard {
            None => None,
            Some((name, negated)) => match self.names.predicate_named(name)? {
                Some(predicate) => Some(Condition { predicate, negated }),
                None => return self.names.fail("a predicate to read"),
            },
        };
        let parts: Vec<&str> = written.opcode.split('.').collect();
        let (class, op) = self.decode(&parts, &written.operands)?;
        self.names.kernel.code.push(Instruction {
            op,
            guard,
            class,
            line: written.line,
        });
        Ok(())
    }

    fn decode(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        if let [.., last] = parts
            && matches!(parts[0], "mov")
            && operands
                .iter()
                .any(|operand| matches!(operand, Operand::Vector(_)))
        {
            return self.pack(last, operands);
        }
        if let ["and" | "or" | "xor" | "not" | "mov", "pred"] = parts {
            return self.predicate(parts, operands);
        }
        match parts[0] {
            "setp" | "set" | "selp" => return self.compare(parts, operands),
            "cvt" if parts != ["cvt", "rn", "f16x2", "f32"] => {
                return self.convert(parts, operands);
            }
            "ld" | "ldu" | "st" | "atom" | "red" | "cp" | "ldmatrix" => {
                return self.memory(parts, operands);
            }
            "bra" | "brx" | "ret" | "exit" | "trap" | "shfl" | "vote" | "match" | "redux"
            | "activemask" | "bar" | "barrier" | "membar" | "fence" | "mma" | "nanosleep" => {
                return self.warp(parts, operands);
            }
            _ => {}
        }
        let found = integer::lookup(parts)
            .or_else(|| bits::lookup(parts))
            .or_else(|| float::lookup(parts));
        match found {
            Some((class, map)) => Ok((class, self.map(map, parts, operands)?)),
            None => self.unknown(parts),
        }
    }

    fn unknown<T>(&self, parts: &[&str]) -> Result<T, ParseError> {
        let opcode = parts.join(".");
        let approximate = parts
            .iter()
            .any(|part| matches!(*part, "approx" | "full" | "ftz"));
        if approximate {
            return self.names.fail(format!(
                "{opcode}: approximations and flushing to zero are refused"
            ));
        }
        self.names.fail(format!("unknown instruction {opcode}"))
    }

    /// Exactly N operands.
    fn exactly<'o, const N: usize>(
        &self,
        operands: &'o [Operand<'a>],
    ) -> Result<&'o [Operand<'a>; N], ParseError> {
        operands.try_into().or_else(|_| {
            let found = operands.len();
            self.names.fail(format!("{found} operands, expected {N}"))
        })
    }

    fn map(
        &mut self,
        map: Map,
        parts: &[&str],
        operands: &[Operand<'a>],
    ) -> Result<Op, ParseError> {
        use Width::{Long, Word};
        let (to, from): (Width, &[Width]) = match map {
            Map::WToW(_) => (Word, &[Word]),
            Map::LToW(_) => (Word, &[Long]),
            Map::LToL(_) => (Long, &[Long]),
            Map::WwToW(_) => (Word, &[Word, Word]),
            Map::WwToL(_) => (Long, &[Word, Word]),
            Map::LlToL(_) => (Long, &[Long, Long]),
            Map::LwToL(_) => (Long, &[Long, Word]),
            Map::WwwToW(_) => (Word, &[Word; 3]),
            Map::WwlToL(_) => (Long, &[Word, Word, Long]),
            Map::LllToL(_) => (Long, &[Long; 3]),
            Map::LwwToL(_) => (Long, &[Long, Word, Word]),
            Map::WwwwToW(_) => (Word, &[Word; 4]),
            Map::LlwwToL(_) => (Long, &[Long, Long, Word, Word]),
        };
        if operands.len() != from.len() + 1 {
            let found = operands.len();
            return self
                .names
                .fail(format!("{found} operands, expected {}", from.len() + 1));
        }
        let ty = parts.last().and_then(|name| Type::named(name));
        let bits = if ty.is_some_and(|ty| ty.bytes() == 2) {
            16
        } else {
            32
        };
        let d = match to {
            Word => self.names.word_destination(&operands[0])?,
            Long => self.names.long_destination(&operands[0])?,
        };
        let mut s = [0; 4];
        for ((slot, width), operand) in s.iter_mut().zip(from).zip(&operands[1..]) {
            *slot = match width {
                Word => self.names.word(operand, bits)?,
                Long => self.names.long(operand)?,
            };
        }
        Ok(Op::Map { map, d, s })
    }

    /// `mov.b64 d, {a, b}` and `mov.b64 {a, b}, d`.
    fn pack(&mut self, ty: &str, operands: &[Operand<'a>]) -> Decoded {
        let total = match ty {
            "b16" => 16,
            "b32" => 32,
            "b64" => 64,
            _ => return self.names.fail(format!("mov.{ty} with a vector")),
        };
        let op = match self.exactly::<2>(operands)? {
            [Operand::Vector(to), a] => {
                let (count, bits) = self.shares(to.len(), total)?;
                let mut parts = [Place::Nowhere; 4];
                for (slot, operand) in parts.iter_mut().zip(to) {
                    *slot = self.names.place(operand)?;
                }
                let a = self.names.value(a, total / 8)?;
                Op::Unpack {
                    parts,
                    a,
                    count,
                    bits,
                }
            }
            [d, Operand::Vector(from)] => {
                let (count, bits) = self.shares(from.len(), total)?;
                let mut parts = [Place::Nowhere; 4];
                for (slot, operand) in parts.iter_mut().zip(from) {
                    *slot = self.names.value(operand, bits / 8)?;
                }
                let d = self.names.place(d)?;
                Op::Pack {
                    d,
                    parts,
                    count,
                    bits,
                }
            }
            _ => return self.names.fail("mov with a vector"),
        };
        Ok((Class::Move, op))
    }

    fn shares(&self, count: usize, total: u32) -> Result<(u8, u32), ParseError> {
        match count {
            2 | 4 if total / count as u32 >= 8 => Ok((count as u8, total / count as u32)),
            _ => self.names.fail(format!("{total} bits of {count} parts")),
        }
    }

    /// `and.pred` and the like, `mov.pred`.
    fn predicate(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let logic = match *parts {
            ["and", "pred"] => Logic::And,
            ["or", "pred"] => Logic::Or,
            ["xor", "pred"] => Logic::Xor,
            ["mov" | "not", "pred"] => {
                let [d, a] = self.exactly(operands)?;
                let d = self.names.predicate_destination(d)?;
                let mut a = self.names.condition(a)?;
                a.negated ^= parts[0] == "not";
                return Ok((
                    Class::Compare,
                    Op::Predicate {
                        logic: Logic::And,
                        d,
                        a,
                        b: a,
                    },
                ));
            }
            _ => return self.unknown(parts),
        };
        let [d, a, b] = self.exactly(operands)?;
        let d = self.names.predicate_destination(d)?;
        let (a, b) = (self.names.condition(a)?, self.names.condition(b)?);
        Ok((Class::Compare, Op::Predicate { logic, d, a, b }))
    }

    /// PTX ISA "setp", "set", "selp".
    fn compare(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let op = match *parts {
            ["setp", operator, ty] => {
                let [d, a, b] = self.exactly(operands)?;
                self.setp(parts, [operator, ty], d, [a, b], None)?
            }
            ["setp", operator, logic, ty] => {
                let logic = match logic {
                    "and" => Logic::And,
                    "or" => Logic::Or,
                    "xor" => Logic::Xor,
                    _ => return self.unknown(parts),
                };
                let [d, a, b, c] = self.exactly(operands)?;
                let c = self.names.condition(c)?;
                self.setp(parts, [operator, ty], d, [a, b], Some((logic, c)))?
            }
            ["set", operator, to, ty] => {
                let ones = match to {
                    "u32" | "s32" => u32::MAX,
                    "f32" => 1.0f32.to_bits(),
                    _ => return self.unknown(parts),
                };
                let [d, a, b] = self.exactly(operands)?;
                let (compare, [a, b]) = self.comparison(parts, [operator, ty], [a, b])?;
                let d = self.names.word_destination(d)?;
                Op::Set {
                    compare,
                    d,
                    a,
                    b,
                    ones,
                }
            }
            [
                "selp",
                "b16" | "u16" | "s16" | "b32" | "u32" | "s32" | "f32",
            ] => {
                let [d, a, b, p] = self.exactly(operands)?;
                let bits = if parts[1].ends_with("16") { 16 } else { 32 };
                let d = self.names.word_destination(d)?;
                let (a, b) = (self.names.word(a, bits)?, self.names.word(b, bits)?);
                let p = self.names.predicate_destination(p)?;
                Op::SelectWord { d, a, b, p }
            }
            ["selp", "b64" | "u64" | "s64" | "f64"] => {
                let [d, a, b, p] = self.exactly(operands)?;
                let d = self.names.long_destination(d)?;
                let (a, b) = (self.names.long(a)?, self.names.long(b)?);
                let p = self.names.predicate_destination(p)?;
                Op::SelectLong { d, a, b, p }
            }
            _ => return self.unknown(parts),
        };
        Ok((Class::Compare, op))
    }

    fn comparison(
        &mut self,
        parts: &[&str],
        [operator, ty]: [&str; 2],
        [a, b]: [&Operand<'a>; 2],
    ) -> Result<(Compare, [Reg; 2]), ParseError> {
        let Some(compare) = compare::lookup(operator, ty) else {
            return self.unknown(parts);
        };
        let bits = if ty.ends_with("16") { 16 } else { 32 };
        let sources = match compare {
            Compare::W(_) => [self.names.word(a, bits)?, self.names.word(b, bits)?],
            Compare::L(_) => [self.names.long(a)?, self.names.long(b)?],
        };
        Ok((compare, sources))
    }

    fn setp(
        &mut self,
        parts: &[&str],
        how: [&str; 2],
        d: &Operand<'a>,
        sources: [&Operand<'a>; 2],
        combine: Option<(Logic, Condition)>,
    ) -> Result<Op, ParseError> {
        let (compare, [a, b]) = self.comparison(parts, how, sources)?;
        let (p, q) = match *d {
            Operand::Pair(p, q) => (
                self.names.predicate_named(p)?,
                self.names.predicate_named(q)?,
            ),
            ref single => (Some(self.names.predicate_destination(single)?), None),
        };
        Ok(Op::Compare {
            compare,
            a,
            b,
            p,
            q,
            combine,
        })
    }

    /// A kernel that runs off its end exits there.
    fn finish(self) -> Kernel {
        let mut kernel = self.names.kernel;
        kernel.code.push(Instruction {
            op: Op::Exit,
            guard: None,
            class: Class::Branch,
            line: self.names.line,
        });
        kernel
    }
}

/// Width of a register file.
#[derive(Clone, Copy)]
enum Width {
    Word,
    Long,
}
