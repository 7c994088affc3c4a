//! `cvt` (PTX ISA 9.7.9 "Data Movement and Conversion Instructions").

use super::decoder::{Decoded, Decoder};
use crate::counts::Class;
use crate::op::{Conversion, Op, Rounding};
use crate::syntax::Operand;
use crate::syntax::types::Type;

impl<'a> Decoder<'a> {
    pub(super) fn convert(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let [_, modifiers @ .., to, from] = parts else {
            return self.unknown(parts);
        };
        let (Some(to), Some(from)) = (Type::named(to), Type::named(from)) else {
            return self.unknown(parts);
        };
        let (mut rounding, mut saturate) = (Rounding::None, false);
        for modifier in modifiers {
            match *modifier {
                "sat" => saturate = true,
                "rn" => rounding = Rounding::Nearest,
                "rz" => rounding = Rounding::Zero,
                "rni" => rounding = Rounding::IntegerNearest,
                "rzi" => rounding = Rounding::IntegerZero,
                "rmi" => rounding = Rounding::IntegerDown,
                "rpi" => rounding = Rounding::IntegerUp,
                _ => return self.unknown(parts),
            }
        }
        let to_integer = matches!(
            rounding,
            Rounding::IntegerNearest
                | Rounding::IntegerZero
                | Rounding::IntegerDown
                | Rounding::IntegerUp
        );
        let narrows = from.bytes() > to.bytes();
        let known = match (from.is_float(), to.is_float()) {
            (false, false) => rounding == Rounding::None,
            (true, false) => to_integer,
            (false, true) => rounding == Rounding::Nearest && !saturate,
            // From f64 straight to f16 is left out, and so is rounding f64 to zero.
            (true, true) if narrows => match rounding {
                Rounding::Nearest => from.bytes() == 2 * to.bytes(),
                Rounding::Zero => from == Type::F32 && !saturate,
                _ => false,
            },
            (true, true) if from == to => to_integer || rounding == Rounding::None,
            (true, true) => rounding == Rounding::None,
        };
        let scalar = ![from, to]
            .iter()
            .any(|ty| matches!(ty, Type::F16x2 | Type::Pred));
        if !known || !scalar || (saturate && to == Type::F16) {
            return self.unknown(parts);
        }
        let [d, a] = self.exactly(operands)?;
        let (d, a) = (
            self.names.place(d)?,
            self.names.value(a, from.bytes().max(2))?,
        );
        let conversion = Conversion {
            from,
            to,
            rounding,
            saturate,
            d,
            a,
        };
        Ok((Class::Convert, Op::Convert(conversion)))
    }
}
