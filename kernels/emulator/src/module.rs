//! A parsed image.

use crate::decode::decode;
use crate::op::{self, window};
use crate::syntax::types::VariableSpace;
use crate::syntax::{ParseError, Value, Variable, parse};
use std::collections::HashMap;

/// A parsed PTX text: kernels, and variables with initial values.
#[derive(Debug)]
pub struct Module {
    pub(crate) kernels: Vec<op::Kernel>,
    pub(crate) image: Vec<u8>,
    /// The text's lines, for faults.
    lines: Vec<String>,
}

impl Module {
    /// Parses PTX as NVRTC writes it.
    ///
    /// # Errors
    /// [`ParseError`] with the line of whatever is not known: nothing is skipped.
    pub fn parse(ptx: &str) -> Result<Self, ParseError> {
        let syntax = parse::parse(ptx)?;
        let image = Image::place(&syntax.variables)?;
        let kernels = syntax.kernels.iter().map(|kernel| decode(kernel, &image));
        Ok(Self {
            kernels: kernels.collect::<Result<_, _>>()?,
            lines: ptx
                .lines()
                .map(|line| line.trim().replace('\t', " "))
                .collect(),
            image: image.bytes,
        })
    }

    /// Names of the kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.iter().map(|kernel| kernel.name.as_str())
    }

    pub(crate) fn line(&self, line: u32) -> &str {
        let index = (line as usize).wrapping_sub(1);
        self.lines.get(index).map_or("", String::as_str)
    }
}

/// The variables outside kernels, placed.
pub(crate) struct Image<'a> {
    addresses: Vec<(&'a str, u64)>,
    shared: Vec<&'a Variable<'a>>,
    bytes: Vec<u8>,
}

impl<'a> Image<'a> {
    fn place(variables: &'a [Variable<'a>]) -> Result<Self, ParseError> {
        let (mut frame, mut addresses, mut shared) = (op::Frame::default(), Vec::new(), Vec::new());
        let mut valued = Vec::new();
        for variable in variables {
            match variable.space {
                VariableSpace::Shared => shared.push(variable),
                VariableSpace::Global | VariableSpace::Const if !variable.external => {
                    let bytes = variable
                        .bytes()
                        .ok_or_else(|| ParseError::new(variable.line, "size of a variable"))?;
                    let offset = frame.place(bytes, variable.align);
                    addresses.push((variable.name, window::IMAGE + u64::from(offset)));
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

    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'a str, u64)> {
        self.addresses.iter().copied()
    }

    pub(crate) fn shared(&self) -> impl Iterator<Item = &'a Variable<'a>> {
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
