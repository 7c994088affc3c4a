//! Instructions whose operands are looked up by width alone, and moves between a register and its parts.

use super::decoder::{Decoded, Decoder};
use crate::counts::Class;
use crate::op::{Map, Op, Place};
use crate::syntax::types::Type;
use crate::syntax::{Operand, ParseError};

/// Width of a register file.
#[derive(Clone, Copy)]
enum Width {
    Word,
    Long,
}

impl<'a> Decoder<'a> {
    pub(super) fn map(
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
    pub(super) fn pack(&mut self, ty: &str, operands: &[Operand<'a>]) -> Decoded {
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
}
