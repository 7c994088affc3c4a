//! Variables outside kernels: where they lie and what they hold at first.

use crate::op::{Frame, window};
use crate::syntax::types::VariableSpace;
use crate::syntax::{ParseError, Value, Variable};
use std::collections::HashMap;

/// The variables of a module, placed.
pub(crate) struct Variables<'a> {
    addresses: Vec<(&'a str, u64)>,
    shared: Vec<&'a Variable<'a>>,
    bytes: Vec<u8>,
}

impl<'a> Variables<'a> {
    pub(crate) fn place(variables: &'a [Variable<'a>]) -> Result<Self, ParseError> {
        let (mut frame, mut addresses, mut shared) = (Frame::default(), Vec::new(), Vec::new());
        let mut valued = Vec::new();
        for variable in variables {
            match variable.space {
                VariableSpace::Shared => shared.push(variable),
                VariableSpace::Global | VariableSpace::Const if !variable.external => {
                    let bytes = variable
                        .bytes()
                        .ok_or_else(|| ParseError::new(variable.line, "size of a variable"))?;
                    let offset = frame.place(bytes, variable.align).ok_or_else(|| {
                        ParseError::new(variable.line, "size of all variables together")
                    })?;
                    addresses.push((variable.name, window::VARIABLES + u64::from(offset)));
                    valued.push((variable, offset as usize));
                }
                _ => {
                    let what = format!("variable {} outside a kernel", variable.name);
                    return Err(ParseError::new(variable.line, what));
                }
            }
        }
        let mut bytes = vec![0; frame.bytes as usize];
        let known: HashMap<&str, u64> = addresses.iter().copied().collect();
        for (variable, offset) in valued {
            write_values(variable, &known, &mut bytes[offset..])?;
        }
        Ok(Self {
            addresses,
            shared,
            bytes,
        })
    }

    /// Their initial values, at the offsets that [`addresses`](Self::addresses) has from [`window::VARIABLES`].
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'a str, u64)> {
        self.addresses.iter().copied()
    }

    pub(super) fn shared(&self) -> impl Iterator<Item = &'a Variable<'a>> {
        self.shared.iter().copied()
    }
}

fn write_values(
    variable: &Variable<'_>,
    known: &HashMap<&str, u64>,
    into: &mut [u8],
) -> Result<(), ParseError> {
    let size = variable.ty.bytes() as usize;
    if size * variable.values.len() > variable.bytes().unwrap_or(0) as usize {
        return Err(ParseError::new(
            variable.line,
            format!("too many values for {}", variable.name),
        ));
    }
    for (value, slot) in variable
        .values
        .iter()
        .zip(into.chunks_exact_mut(size.max(1)))
    {
        let bits = match *value {
            Value::Bits(bits) => bits,
            Value::Address(name, offset) => match known.get(name) {
                Some(address) => address.wrapping_add(offset),
                None => {
                    return Err(ParseError::new(
                        variable.line,
                        format!("unknown name {name}"),
                    ));
                }
            },
        };
        slot.copy_from_slice(&bits.to_le_bytes()[..size]);
    }
    Ok(())
}
