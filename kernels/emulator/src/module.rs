//! A parsed and decoded PTX text.

use crate::decode::{Variables, decode};
use crate::op::Kernel;
use crate::syntax::{ParseError, parse};

/// A parsed PTX text: kernels, and variables with initial values.
#[derive(Debug)]
pub struct Module {
    pub(crate) kernels: Vec<Kernel>,
    /// Initial values of the variables outside kernels.
    pub(crate) variables: Vec<u8>,
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
        let variables = Variables::place(&syntax.variables)?;
        let kernels = syntax
            .kernels
            .iter()
            .map(|kernel| decode(kernel, &variables));
        Ok(Self {
            kernels: kernels.collect::<Result<_, _>>()?,
            lines: ptx
                .lines()
                .map(|line| line.trim().replace('\t', " "))
                .collect(),
            variables: variables.into_bytes(),
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
