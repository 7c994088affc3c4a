//! What decoding a kernel keeps from one statement to the next.

use super::names::Names;
use super::variables::Variables;
use crate::counts::Class;
use crate::op::{Instruction, Kernel, Op};
use crate::syntax::types::VariableSpace;
use crate::syntax::{self, Item, Operand, ParseError};

/// Decodes one kernel.
pub(super) struct Decoder<'a> {
    pub(super) names: Names<'a>,
    /// Which bytes of the next load matter.
    pub(super) used: u64,
}

/// What an instruction becomes.
pub(super) type Decoded = Result<(Class, Op), ParseError>;

impl<'a> Decoder<'a> {
    /// Variables of the module, then parameters. Dynamic shared memory begins after all static shared memory.
    pub(super) fn place_variables(
        &mut self,
        syntax: &syntax::Kernel<'a>,
        variables: &Variables<'a>,
    ) -> Result<(), ParseError> {
        for (name, address) in variables.addresses() {
            self.names.declare_variable(name, address);
        }
        let inner = syntax.items.iter().filter_map(|item| match item {
            Item::Variable(variable) if variable.space == VariableSpace::Shared => Some(variable),
            _ => None,
        });
        let (mut bytes, mut align) = (0u32, 16u32);
        for variable in variables.shared().chain(inner) {
            align = align.max(variable.align);
            if let (false, Some(size)) = (variable.external, variable.bytes()) {
                bytes = bytes.next_multiple_of(variable.align).saturating_add(size);
            }
        }
        let dynamic = bytes.next_multiple_of(align);
        for variable in variables.shared() {
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

    pub(super) fn declare(&mut self, variable: &syntax::Variable<'a>) -> Result<(), ParseError> {
        let Some(bytes) = variable.bytes() else {
            return self.names.fail(format!("size of {}", variable.name));
        };
        let kernel = &mut self.names.kernel;
        let frame = match variable.space {
            VariableSpace::Shared => &mut kernel.shared,
            VariableSpace::Local => &mut kernel.local,
            VariableSpace::Param => &mut kernel.params,
            VariableSpace::Global | VariableSpace::Const => {
                return self.names.fail("a variable of the module inside a kernel");
            }
        };
        let Some(address) = frame.place(bytes, variable.align) else {
            return self.names.fail("size of all variables together");
        };
        self.names.declare_variable(variable.name, address.into());
        Ok(())
    }

    pub(super) fn unknown<T>(&self, parts: &[&str]) -> Result<T, ParseError> {
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
    pub(super) fn exactly<'o, const N: usize>(
        &self,
        operands: &'o [Operand<'a>],
    ) -> Result<&'o [Operand<'a>; N], ParseError> {
        operands.try_into().or_else(|_| {
            let found = operands.len();
            self.names.fail(format!("{found} operands, expected {N}"))
        })
    }

    /// A kernel that runs off its end exits there.
    pub(super) fn finish(self) -> Kernel {
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
