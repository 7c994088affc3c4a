//! The machine that a pickle is a program for.

use super::call::{Made, construct, persistent, reduce};
use super::error::PickleError;
use super::global::Global;
use super::object::{Heap, Id, MAX_OBJECTS, Object};
use super::opcode as op;
use super::reader::Reader;
use std::collections::HashMap;

/// Bytes of the longest pickle. A model of 1,000 tensors with its optimizer has some 300 kB.
const MAX_BYTES: usize = 1 << 24;
/// The newest protocol.
const MAX_PROTOCOL: u8 = 5;

/// Runs a pickle to its end; all that it built, and its result.
///
/// # Errors
/// [`PickleError`].
pub(in crate::checkpoint::files::pytorch) fn load(
    bytes: &[u8],
) -> Result<(Heap<'_>, Id), PickleError> {
    if bytes.len() > MAX_BYTES {
        return Err(PickleError::TooLarge);
    }
    let mut machine = Machine {
        reader: Reader::new(bytes),
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        match machine.reader.byte()? {
            op::STOP => {
                let result = machine.pop()?;
                return Ok((machine.heap, result));
            }
            code => machine.step(code)?,
        }
    }
}

struct Machine<'a> {
    reader: Reader<'a>,
    heap: Heap<'a>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// One operation. Each group knows its own.
    fn step(&mut self, code: u8) -> Result<(), PickleError> {
        let at = self.reader.position() - 1;
        let is_known = self.scalar(code)?
            || self.stack(code)?
            || self.container(code)?
            || self.memo(code)?
            || self.name(code)?;
        if is_known {
            Ok(())
        } else {
            Err(PickleError::Operation { at, code })
        }
    }

    /// Numbers, texts, and what needs no stack.
    fn scalar(&mut self, code: u8) -> Result<bool, PickleError> {
        let object = match code {
            op::PROTO => {
                let version = self.reader.byte()?;
                return match version {
                    0..=MAX_PROTOCOL => Ok(true),
                    _ => Err(self.misfit(&format!("protocol {version} is not known"))),
                };
            }
            op::FRAME => {
                self.reader.take(8)?;
                return Ok(true);
            }
            op::NONE | op::NEWTRUE | op::NEWFALSE => Object::Opaque,
            op::BININT => Object::Int((self.reader.number(4)? as u32).cast_signed().into()),
            op::BININT1 => Object::Int(self.reader.byte()?.into()),
            op::BININT2 => Object::Int(self.reader.number(2)? as i64),
            op::LONG1 => long(self.reader.counted(1)?),
            op::LONG4 => long(self.reader.counted(4)?),
            op::BINFLOAT => {
                self.reader.take(8)?;
                Object::Opaque
            }
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING => text(self.reader.counted(1)?),
            op::BINUNICODE | op::BINSTRING => text(self.reader.counted(4)?),
            op::BINUNICODE8 => text(self.reader.counted(8)?),
            op::SHORT_BINBYTES => opaque(self.reader.counted(1)?),
            op::BINBYTES => opaque(self.reader.counted(4)?),
            op::BINBYTES8 | op::BYTEARRAY8 => opaque(self.reader.counted(8)?),
            _ => return Ok(false),
        };
        self.push(object)?;
        Ok(true)
    }

    fn stack(&mut self, code: u8) -> Result<bool, PickleError> {
        match code {
            op::MARK => self.marks.push(self.stack.len()),
            op::POP => {
                // On a mark it takes that.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            op::POP_MARK => drop(self.items()?),
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn container(&mut self, code: u8) -> Result<bool, PickleError> {
        match code {
            op::EMPTY_TUPLE => self.push(Object::Tuple(Vec::new()))?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.items()?;
                self.push(Object::Tuple(items))?;
            }
            op::EMPTY_LIST => self.push(Object::List(Vec::new()))?,
            op::APPEND => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            op::APPENDS => {
                let items = self.items()?;
                self.append(&items)?;
            }
            op::EMPTY_DICT => self.push(Object::Dict(Vec::new()))?,
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.items()?;
                self.set(&items)?;
            }
            op::EMPTY_SET => self.push(Object::Opaque)?,
            op::ADDITEMS => {
                self.items()?;
                self.top()?;
            }
            op::FROZENSET => {
                self.items()?;
                self.push(Object::Opaque)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memo(&mut self, code: u8) -> Result<bool, PickleError> {
        let (width, is_get) = match code {
            op::BINGET => (1, true),
            op::LONG_BINGET => (4, true),
            op::BINPUT => (1, false),
            op::LONG_BINPUT => (4, false),
            op::MEMOIZE => (0, false),
            _ => return Ok(false),
        };
        let index = match code {
            op::MEMOIZE => self.memo.len() as u64,
            _ => self.reader.number(width)?,
        };
        if is_get {
            let found = self.memo.get(&index).copied();
            let found = found.ok_or_else(|| self.misfit(&format!("nothing is memo {index}")))?;
            self.stack.push(found);
        } else {
            let top = self.top()?;
            if self.memo.len() >= MAX_OBJECTS {
                return Err(PickleError::TooLarge);
            }
            self.memo.insert(index, top);
        }
        Ok(true)
    }

    /// Names, and what a pickle would have them do.
    fn name(&mut self, code: u8) -> Result<bool, PickleError> {
        match code {
            op::GLOBAL => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                let decoded = [module, name].map(String::from_utf8_lossy);
                let global = Global::named(&decoded[0], &decoded[1])?;
                self.push(Object::Global(global))?;
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.heap.text(module), self.heap.text(name))
                else {
                    return Err(self.misfit("a name is no text"));
                };
                self.push(Object::Global(Global::named(module, name)?))?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = persistent(&self.heap, id).map_err(|what| self.misfit(what))?;
                self.push(Object::Storage(storage))?;
            }
            op::REDUCE => {
                let (args, callable) = (self.pop()?, self.pop()?);
                match reduce(&self.heap, callable, args).map_err(|what| self.misfit(what))? {
                    Made::Known(id) => self.stack.push(id),
                    Made::New(object) => self.push(object)?,
                }
            }
            op::NEWOBJ => {
                let (_, class) = (self.pop()?, self.pop()?);
                self.construct(class)?;
            }
            op::NEWOBJ_EX => {
                let (_, _, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.construct(class)?;
            }
            op::BUILD => {
                // The state of a dictionary is torch's own version numbers; of the rest nothing is kept.
                self.pop()?;
                let object = self.top()?;
                if !matches!(self.heap.get(object), Object::Opaque | Object::Dict(_)) {
                    return Err(self.misfit("it would change what is no plain object"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn construct(&mut self, class: Id) -> Result<(), PickleError> {
        let made = construct(&self.heap, class).map_err(|what| self.misfit(what))?;
        self.push(made)
    }

    fn misfit(&self, what: &str) -> PickleError {
        PickleError::Misfit {
            at: self.reader.position(),
            what: what.into(),
        }
    }

    fn push(&mut self, object: Object<'a>) -> Result<(), PickleError> {
        let id = self.heap.add(object)?;
        self.stack.push(id);
        Ok(())
    }

    /// The height below which the operations since the last mark must not reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, PickleError> {
        let above = self.stack.get(self.floor()..).and_then(<[Id]>::last);
        above
            .copied()
            .ok_or_else(|| self.misfit("the stack is empty"))
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// What was pushed since the last mark, which is taken too.
    fn items(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.misfit("there is no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), PickleError> {
        let start = self.stack.len().checked_sub(count);
        let start = start.filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| self.misfit("the stack is empty"))?;
        let items = self.stack.split_off(start);
        self.push(Object::Tuple(items))
    }

    fn append(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let list = self.top()?;
        self.heap.charge(items.len())?;
        match self.heap.get_mut(list) {
            Object::List(list) => list.extend(items),
            _ => return Err(self.misfit("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let dict = self.top()?;
        self.heap.charge(items.len())?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.heap.get_mut(dict) {
            Object::Dict(dict) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            _ => return Err(self.misfit("it sets items of what is no dictionary")),
        }
        Ok(())
    }
}

/// A little-endian number of two's complement, of any length.
fn long<'a>(bytes: &[u8]) -> Object<'a> {
    let Some(&last) = bytes.last() else {
        return Object::Int(0);
    };
    if bytes.len() > 8 {
        return Object::Opaque;
    }
    let mut whole = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Object::Int(i64::from_le_bytes(whole))
}

/// A text; what is no UTF-8, as Python allows, names nothing that is looked for.
fn text(bytes: &[u8]) -> Object<'_> {
    std::str::from_utf8(bytes).map_or(Object::Opaque, Object::Text)
}

fn opaque<'a>(_: &[u8]) -> Object<'a> {
    Object::Opaque
}
