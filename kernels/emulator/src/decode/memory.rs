//! Loads, stores, atomic operations, asynchronous copies (PTX ISA 9.7.9 "Data Movement and Conversion
//! Instructions", 9.7.13 "Parallel Synchronization and Communication Instructions").

use super::decoder::{Decoded, Decoder};
use crate::counts::Class;
use crate::op::{
    Access, AccessSpace, Address, AsyncCopy, Atomic, AtomicKind, LoadMatrix, Op, Order, Place, Reg,
};
use crate::syntax::types::Type;
use crate::syntax::{Operand, ParseError};

/// What the modifiers of an access say.
struct Modifiers {
    space: AccessSpace,
    order: Order,
    vector: u8,
    ty: Option<Type>,
    kind: Option<AtomicKind>,
    /// `.nc`
    constant: bool,
}

/// A modifier that only advises the caches.
fn is_hint(part: &str) -> bool {
    matches!(
        part,
        "ca" | "cg"
            | "cs"
            | "lu"
            | "cv"
            | "wb"
            | "wt"
            | "L1::evict_normal"
            | "L1::evict_unchanged"
            | "L1::evict_first"
            | "L1::evict_last"
            | "L1::no_allocate"
            | "L2::64B"
            | "L2::128B"
            | "L2::256B"
    )
}

fn is_scope(part: &str) -> bool {
    matches!(part, "cta" | "gpu" | "sys")
}

fn space(part: &str) -> Option<AccessSpace> {
    Some(match part {
        "global" => AccessSpace::Global,
        "const" => AccessSpace::Const,
        "shared" | "shared::cta" => AccessSpace::Shared,
        "local" => AccessSpace::Local,
        "param" | "param::entry" => AccessSpace::Param,
        _ => return None,
    })
}

fn order(part: &str) -> Option<Order> {
    Some(match part {
        "weak" => Order::Weak,
        "volatile" | "relaxed" => Order::Relaxed,
        "acquire" => Order::Acquire,
        "release" => Order::Release,
        "acq_rel" => Order::AcquireRelease,
        _ => return None,
    })
}

fn atomic_kind(part: &str) -> Option<AtomicKind> {
    Some(match part {
        "add" => AtomicKind::Add,
        "min" => AtomicKind::Min,
        "max" => AtomicKind::Max,
        "inc" => AtomicKind::Increment,
        "dec" => AtomicKind::Decrement,
        "and" => AtomicKind::And,
        "or" => AtomicKind::Or,
        "xor" => AtomicKind::Xor,
        "exch" => AtomicKind::Exchange,
        "cas" => AtomicKind::CompareAndSwap,
        _ => return None,
    })
}

/// The type that an atomic operation works on (PTX ISA "atom": which types go with which operation).
fn atomic_fits(kind: AtomicKind, ty: Type) -> bool {
    use Type::{B32, B64, F32, F64, S32, S64, U32, U64};
    match kind {
        AtomicKind::Add => matches!(ty, U32 | S32 | U64 | F32 | F64),
        AtomicKind::Min | AtomicKind::Max => matches!(ty, U32 | S32 | U64 | S64),
        AtomicKind::Increment | AtomicKind::Decrement => ty == U32,
        _ => matches!(ty, B32 | B64),
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn memory(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        match parts[0] {
            "ld" | "ldu" => self.load(parts, operands),
            "st" => self.store(parts, operands),
            "atom" | "red" => self.atomic(parts, operands),
            "ldmatrix" => self.load_matrix(parts, operands),
            "prefetch" => self.prefetch(parts, operands),
            _ => self.async_copy(parts, operands),
        }
    }

    fn modifiers(&self, parts: &[&str]) -> Result<Modifiers, ParseError> {
        let mut found = Modifiers {
            space: AccessSpace::Generic,
            order: Order::Weak,
            vector: 1,
            ty: None,
            kind: None,
            constant: false,
        };
        let mut seen_space = false;
        let atomic = matches!(parts[0], "atom" | "red");
        if atomic {
            found.order = Order::Relaxed;
        }
        for part in &parts[1..] {
            if let Some(space) = space(part).filter(|_| !seen_space) {
                found.space = space;
                seen_space = true;
            } else if *part == "nc" && parts[0] == "ld" {
                found.constant = true;
            } else if let Some(order) = order(part) {
                found.order = order;
            } else if let Some(kind) = atomic_kind(part).filter(|_| atomic && found.kind.is_none())
            {
                found.kind = Some(kind);
            } else if let Some(ty) = Type::named(part).filter(|_| found.ty.is_none()) {
                found.ty = Some(ty);
            } else if let ("v2" | "v4", false) = (*part, atomic) {
                found.vector = if *part == "v2" { 2 } else { 4 };
            } else if !is_scope(part) && (atomic || !is_hint(part)) {
                return self.unknown(parts);
            }
        }
        Ok(found)
    }

    fn address(&mut self, operand: &Operand<'a>) -> Result<Address, ParseError> {
        let Operand::Address(base, offset) = *operand else {
            return self
                .names
                .fail(format!("expected an address, found {operand:?}"));
        };
        let Some(name) = base else {
            return Ok(Address { base: None, offset });
        };
        if let Some(variable) = self.names.find_variable(name) {
            let offset = offset.wrapping_add(variable);
            return Ok(Address { base: None, offset });
        }
        match self.names.place(&Operand::Word(name, 0))? {
            Place::Nowhere => self.names.fail("an address without a register"),
            place => Ok(Address {
                base: Some(place),
                offset,
            }),
        }
    }

    fn access(
        &mut self,
        parts: &[&str],
        address: &Operand<'a>,
        value: &Operand<'a>,
        loads: bool,
    ) -> Result<Access, ParseError> {
        let found = self.modifiers(parts)?;
        let Some(ty) = found.ty.filter(|ty| ty.bytes() > 0 && found.kind.is_none()) else {
            return self.unknown(parts);
        };
        let elements = self.elements(value, found.vector.into())?;
        let mut places = [Place::Nowhere; 4];
        for (slot, element) in places.iter_mut().zip(elements) {
            *slot = if loads {
                self.names.place(element)?
            } else {
                self.names.value(element, ty.bytes())?
            };
        }
        Ok(Access {
            space: found.space,
            order: found.order,
            ty,
            address: self.address(address)?,
            places,
            count: found.vector,
            used: u64::MAX,
            constant: found.constant,
        })
    }

    fn load(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let used = std::mem::replace(&mut self.used, u64::MAX);
        let [d, address] = self.exactly(operands)?;
        let access = self.access(parts, address, d, true)?;
        if access.order.releases() {
            return self.unknown(parts);
        }
        Ok((Class::Load, Op::Load(Access { used, ..access })))
    }

    /// PTX ISA "prefetch": of global memory alone, since nothing else has a cache of its own.
    fn prefetch(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let ["prefetch", "global", "L1" | "L2"] = parts else {
            return self.unknown(parts);
        };
        let [address] = self.exactly(operands)?;
        Ok((Class::Other, Op::Prefetch(self.address(address)?)))
    }

    fn store(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let [address, value] = self.exactly(operands)?;
        let access = self.access(parts, address, value, false)?;
        let written = matches!(
            access.space,
            AccessSpace::Generic | AccessSpace::Global | AccessSpace::Shared | AccessSpace::Local
        );
        if !written || access.order.acquires() {
            return self.unknown(parts);
        }
        Ok((Class::Store, Op::Store(access)))
    }

    fn atomic(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let found = self.modifiers(parts)?;
        let (Some(kind), Some(ty)) = (found.kind, found.ty) else {
            return self.unknown(parts);
        };
        let space_fits = matches!(
            found.space,
            AccessSpace::Generic | AccessSpace::Global | AccessSpace::Shared
        );
        if !atomic_fits(kind, ty) || !space_fits {
            return self.unknown(parts);
        }
        let returns = parts[0] == "atom";
        let swaps = kind == AtomicKind::CompareAndSwap;
        if operands.len() != 2 + usize::from(returns) + usize::from(swaps) || (swaps && !returns) {
            return self.names.fail(format!("{} operands", operands.len()));
        }
        let mut rest = operands.iter();
        let mut d = Place::Nowhere;
        if let Some(operand) = rest.next().filter(|_| returns) {
            d = self.names.place(operand)?;
        }
        let rest = if returns { &operands[1..] } else { operands };
        let address = self.address(&rest[0])?;
        let b = self.names.value(&rest[1], ty.bytes())?;
        let c = match rest.get(2) {
            Some(operand) => self.names.value(operand, ty.bytes())?,
            None => b,
        };
        let atomic = Atomic {
            space: found.space,
            order: found.order,
            kind,
            ty,
            address,
            d,
            b,
            c,
        };
        Ok((Class::Atomic, Op::Atomic(atomic)))
    }

    /// PTX ISA "ldmatrix".
    fn load_matrix(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let ["ldmatrix", "sync", "aligned", "m8n8", number, rest @ ..] = parts else {
            return self.unknown(parts);
        };
        let (transposed, rest) = match rest {
            ["trans", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let space = match rest {
            ["shared" | "shared::cta", "b16"] => AccessSpace::Shared,
            ["b16"] => AccessSpace::Generic,
            _ => return self.unknown(parts),
        };
        let count = match *number {
            "x1" => 1,
            "x2" => 2,
            "x4" => 4,
            _ => return self.unknown(parts),
        };
        let [d, address] = self.exactly(operands)?;
        let mut registers = [0; 4];
        self.fragment_destination(d, &mut registers[..count])?;
        let load = LoadMatrix {
            address: self.address(address)?,
            space,
            d: registers,
            count: count as u8,
            transposed,
        };
        Ok((Class::LoadMatrix, Op::LoadMatrix(load)))
    }

    /// The registers of a matrix fragment to read.
    pub(super) fn fragment(
        &mut self,
        operand: &Operand<'a>,
        registers: &mut [Reg],
    ) -> Result<(), ParseError> {
        let elements = self.elements(operand, registers.len())?;
        for (slot, element) in registers.iter_mut().zip(elements) {
            *slot = self.names.word(element, 32)?;
        }
        Ok(())
    }

    /// The registers of a matrix fragment to write.
    pub(super) fn fragment_destination(
        &self,
        operand: &Operand<'a>,
        registers: &mut [Reg],
    ) -> Result<(), ParseError> {
        let elements = self.elements(operand, registers.len())?;
        for (slot, element) in registers.iter_mut().zip(elements) {
            *slot = self.names.word_destination(element)?;
        }
        Ok(())
    }

    /// `{a, b}`, or `a` alone.
    fn elements<'o>(
        &self,
        operand: &'o Operand<'a>,
        count: usize,
    ) -> Result<&'o [Operand<'a>], ParseError> {
        let elements = match operand {
            Operand::Vector(elements) => elements.as_slice(),
            single => std::slice::from_ref(single),
        };
        if elements.len() != count {
            let found = elements.len();
            return self
                .names
                .fail(format!("{found} elements, expected {count}"));
        }
        Ok(elements)
    }

    /// PTX ISA "cp.async", "cp.async.commit_group", "cp.async.wait_group".
    fn async_copy(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let op = match parts {
            ["cp", "async", "commit_group"] => {
                let [] = self.exactly(operands)?;
                Op::CommitGroup
            }
            ["cp", "async", "wait_all"] => {
                let [] = self.exactly(operands)?;
                Op::WaitAll
            }
            ["cp", "async", "wait_group"] => match self.exactly(operands)? {
                [Operand::Integer(groups)] => Op::WaitGroup((*groups).min(1 << 30) as u32),
                _ => return self.names.fail("wait_group without a number"),
            },
            [
                "cp",
                "async",
                cache @ ("ca" | "cg"),
                "shared" | "shared::cta",
                "global",
                hints @ ..,
            ] if hints.iter().all(|hint| is_hint(hint)) => {
                let (to, from, bytes, rest) = match operands {
                    [to, from, Operand::Integer(bytes), rest @ ..] => (to, from, *bytes, rest),
                    _ => return self.names.fail("cp.async without a size"),
                };
                if !(bytes == 16 || (*cache == "ca" && matches!(bytes, 4 | 8))) {
                    return self
                        .names
                        .fail(format!("cp.async.{cache} of {bytes} bytes"));
                }
                let source_bytes = match rest {
                    [] => None,
                    [size] => Some(self.names.word(size, 32)?),
                    _ => return self.names.fail("cp.async with a cache policy"),
                };
                Op::AsyncCopy(AsyncCopy {
                    to: self.address(to)?,
                    from: self.address(from)?,
                    bytes: bytes as u32,
                    source_bytes,
                })
            }
            _ => return self.unknown(parts),
        };
        Ok((Class::AsyncCopy, op))
    }
}
