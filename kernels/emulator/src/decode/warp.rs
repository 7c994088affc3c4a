//! Control flow, barriers, exchanges between lanes, matrix products (PTX ISA 9.7.12 "Control Flow
//! Instructions", 9.7.13 "Parallel Synchronization and Communication Instructions", 9.7.14 "Warp Level Matrix
//! Multiply-Accumulate Instructions").

use super::decoder::{Decoded, Decoder};
use crate::counts::Class;
use crate::op::{AtomicKind, Barrier, BarrierKind, Mma, Op, Shuffle, ShuffleMode, VoteKind};
use crate::syntax::{Operand, ParseError};

impl<'a> Decoder<'a> {
    pub(super) fn warp(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        match parts[0] {
            "bra" | "brx" | "ret" | "exit" | "trap" => {
                Ok((Class::Branch, self.control(parts, operands)?))
            }
            "shfl" => Ok((Class::Shuffle, self.shuffle(parts, operands)?)),
            "vote" | "match" | "redux" | "activemask" => {
                Ok((Class::Vote, self.vote(parts, operands)?))
            }
            "bar" | "barrier" => self.barrier(parts, operands),
            "membar" | "fence" => Ok((Class::Fence, self.fence(parts, operands)?)),
            "mma" => Ok((Class::MatrixMultiply, self.multiply(parts, operands)?)),
            _ => match (parts, operands) {
                (["nanosleep", "u32"], [_]) => Ok((Class::Other, Op::Nothing)),
                _ => self.unknown(parts),
            },
        }
    }

    fn control(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Result<Op, ParseError> {
        match (parts, operands) {
            (["bra"] | ["bra", "uni"], [Operand::Word(label, 0)]) => Ok(Op::Branch {
                target: self.names.find_label(label)?,
            }),
            (["brx", "idx"] | ["brx", "idx", "uni"], [index, Operand::Word(table, 0)]) => {
                Ok(Op::BranchIndexed {
                    index: self.names.word(index, 32)?,
                    targets: self.names.find_table(table)?.into(),
                })
            }
            (["ret"] | ["ret", "uni"] | ["exit"], []) => Ok(Op::Exit),
            (["trap"], []) => Ok(Op::Trap),
            _ => self.unknown(parts),
        }
    }

    fn shuffle(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Result<Op, ParseError> {
        let mode = match parts {
            ["shfl", "sync", "up", "b32"] => ShuffleMode::Up,
            ["shfl", "sync", "down", "b32"] => ShuffleMode::Down,
            ["shfl", "sync", "bfly", "b32"] => ShuffleMode::Butterfly,
            ["shfl", "sync", "idx", "b32"] => ShuffleMode::Index,
            _ => return self.unknown(parts),
        };
        let [d, a, b, c, members] = self.exactly(operands)?;
        let (d, p) = match *d {
            Operand::Pair(d, p) => (Operand::Word(d, 0), self.names.predicate_named(p)?),
            ref d => (d.clone(), None),
        };
        Ok(Op::Shuffle(Shuffle {
            mode,
            d: self.names.place(&d)?,
            p,
            a: self.names.word(a, 32)?,
            b: self.names.word(b, 32)?,
            c: self.names.word(c, 32)?,
            members: self.names.word(members, 32)?,
        }))
    }

    fn vote(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Result<Op, ParseError> {
        if let ["activemask", "b32"] = parts {
            let [d] = self.exactly(operands)?;
            let d = self.names.word_destination(d)?;
            return Ok(Op::ActiveMask { d });
        }
        let [d, a, members] = self.exactly(operands)?;
        let members = self.names.word(members, 32)?;
        let kind = match parts {
            ["vote", "sync", "ballot", "b32"] => VoteKind::Ballot {
                d: self.names.word_destination(d)?,
                a: self.names.condition(a)?,
            },
            ["vote", "sync", mode @ ("all" | "any" | "uni"), "pred"] => {
                let (d, a) = (
                    self.names.predicate_destination(d)?,
                    self.names.condition(a)?,
                );
                match *mode {
                    "all" => VoteKind::All { d, a },
                    "any" => VoteKind::Any { d, a },
                    _ => VoteKind::Uniform { d, a },
                }
            }
            ["match", "any", "sync", ty @ ("b32" | "b64")] => VoteKind::MatchAny {
                d: self.names.word_destination(d)?,
                a: self.names.value(a, if *ty == "b32" { 4 } else { 8 })?,
            },
            ["match", "all", "sync", ty @ ("b32" | "b64")] => {
                let (d, p) = match *d {
                    Operand::Pair(d, p) => (Operand::Word(d, 0), self.names.predicate_named(p)?),
                    ref d => (d.clone(), None),
                };
                VoteKind::MatchAll {
                    d: self.names.word_destination(&d)?,
                    p,
                    a: self.names.value(a, if *ty == "b32" { 4 } else { 8 })?,
                }
            }
            ["redux", "sync", operation, ty @ ("u32" | "s32" | "b32")] => VoteKind::Reduce {
                d: self.names.word_destination(d)?,
                a: self.names.word(a, 32)?,
                kind: match (*operation, *ty) {
                    ("add", "u32" | "s32") => AtomicKind::Add,
                    ("min", "u32" | "s32") => AtomicKind::Min,
                    ("max", "u32" | "s32") => AtomicKind::Max,
                    ("and", "b32") => AtomicKind::And,
                    ("or", "b32") => AtomicKind::Or,
                    ("xor", "b32") => AtomicKind::Xor,
                    _ => return self.unknown(parts),
                },
                signed: *ty == "s32",
            },
            _ => return self.unknown(parts),
        };
        Ok(Op::Vote { kind, members })
    }

    /// PTX ISA "bar", "barrier", "bar.warp.sync". Both spellings are taken as aligned, the stricter rule.
    fn barrier(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let aligned = match parts {
            ["bar", "warp", "sync"] => {
                let [members] = self.exactly(operands)?;
                let members = self.names.word(members, 32)?;
                let kind = VoteKind::Meet;
                return Ok((Class::Fence, Op::Vote { kind, members }));
            }
            ["bar" | "barrier", "cta", rest @ ..] | ["bar" | "barrier", rest @ ..] => rest,
            _ => return self.unknown(parts),
        };
        let names = &mut self.names;
        let mut barrier = |id: &Operand<'a>, threads: Option<&Operand<'a>>, kind| {
            Ok(Op::Barrier(Barrier {
                id: names.word(id, 32)?,
                threads: threads.map(|threads| names.word(threads, 32)).transpose()?,
                kind,
            }))
        };
        let op = match (aligned, operands) {
            (["sync"] | ["sync", "aligned"], [id]) => barrier(id, None, BarrierKind::Sync)?,
            (["sync"] | ["sync", "aligned"], [id, threads]) => {
                barrier(id, Some(threads), BarrierKind::Sync)?
            }
            (["arrive"] | ["arrive", "aligned"], [id, threads]) => {
                barrier(id, Some(threads), BarrierKind::Arrive)?
            }
            (["red", operation, rest @ ..], [d, id, threads @ .., a]) => {
                let ty = match rest {
                    [ty] | ["aligned", ty] => *ty,
                    _ => return self.unknown(parts),
                };
                let kind = self.barrier_reduction(parts, operation, ty, d, a)?;
                let threads = match threads {
                    [] => None,
                    [threads] => Some(self.names.word(threads, 32)?),
                    _ => return self.unknown(parts),
                };
                let id = self.names.word(id, 32)?;
                Op::Barrier(Barrier { id, threads, kind })
            }
            _ => return self.unknown(parts),
        };
        Ok((Class::Barrier, op))
    }

    fn barrier_reduction(
        &mut self,
        parts: &[&str],
        operation: &str,
        ty: &str,
        d: &Operand<'a>,
        a: &Operand<'a>,
    ) -> Result<BarrierKind, ParseError> {
        let a = self.names.condition(a)?;
        Ok(match (operation, ty) {
            ("popc", "u32") => BarrierKind::Popc {
                d: self.names.word_destination(d)?,
                a,
            },
            ("and", "pred") => BarrierKind::And {
                d: self.names.predicate_destination(d)?,
                a,
            },
            ("or", "pred") => BarrierKind::Or {
                d: self.names.predicate_destination(d)?,
                a,
            },
            _ => return self.unknown(parts),
        })
    }

    fn fence(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Result<Op, ParseError> {
        let [] = self.exactly(operands)?;
        match parts {
            ["membar", "cta"] | ["fence", "cta"] | ["fence", "sc" | "acq_rel", "cta"] => {
                Ok(Op::Fence { device: false })
            }
            ["membar", "gl" | "sys"] | ["fence", "sc" | "acq_rel", "gpu" | "sys"] => {
                Ok(Op::Fence { device: true })
            }
            _ => self.unknown(parts),
        }
    }

    fn multiply(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Result<Op, ParseError> {
        let [
            "mma",
            "sync",
            "aligned",
            "m16n8k32",
            "row",
            "col",
            rest @ ..,
        ] = parts
        else {
            return self.unknown(parts);
        };
        let (saturate, types) = match rest {
            ["satfinite", types @ ..] => (true, types),
            types => (false, types),
        };
        let ["s32", a_type @ ("s8" | "u8"), b_type @ ("s8" | "u8"), "s32"] = types else {
            return self.unknown(parts);
        };
        let [d, a, b, c] = self.exactly(operands)?;
        let mut mma = Mma {
            d: [0; 4],
            a: [0; 4],
            b: [0; 2],
            c: [0; 4],
            a_signed: *a_type == "s8",
            b_signed: *b_type == "s8",
            saturate,
        };
        self.fragment_destination(d, &mut mma.d)?;
        self.fragment(a, &mut mma.a)?;
        self.fragment(b, &mut mma.b)?;
        self.fragment(c, &mut mma.c)?;
        Ok(Op::Mma(mma))
    }
}
