//! Statements to a compact list of instructions. Whatever is not known is an error that names the line.

#[macro_use]
mod map;

mod bits;
mod compare;
mod convert;
mod decoder;
mod elementwise;
mod float;
mod integer;
mod memory;
mod names;
mod variables;
mod warp;

pub(crate) use variables::Variables;

use crate::op::{Condition, Instruction, Kernel};
use crate::syntax::{self, Item, Operand, ParseError};
use decoder::{Decoded, Decoder};
use names::{Labels, Names};

/// Decodes a kernel of a module whose variables have been placed.
pub(crate) fn decode<'a>(
    syntax: &syntax::Kernel<'a>,
    variables: &Variables<'a>,
) -> Result<Kernel, ParseError> {
    let mut decoder = Decoder {
        names: Names::new(Kernel::empty(syntax.name, syntax.max_threads)),
        used: u64::MAX,
    };
    decoder.names.line = syntax.line;
    decoder.place_variables(syntax, variables)?;
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

impl<'a> Decoder<'a> {
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
            "ld" | "ldu" | "st" | "atom" | "red" | "cp" | "ldmatrix" | "prefetch" => {
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
}
