//! The tensors of one safetensors file.

use super::element::Element;
use super::set::TensorSet;
use super::stored::Stored;
use crate::checkpoint::error::Defect;
use safetensors::{Dtype, SafeTensors};

impl<'a> TensorSet<'a> {
    /// Checks the header and finds every tensor.
    ///
    /// # Errors
    /// [`Defect::Format`].
    pub(in crate::checkpoint) fn parse(bytes: &'a [u8]) -> Result<Self, Defect> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| Defect::Format(e.to_string()))?;
        let mut set = Self::default();
        for (name, view) in file.tensors() {
            let element = element(view.dtype());
            if element.is_read() {
                let tensor = Stored::row_major(element, view.shape().to_vec(), view.data());
                set.insert(name, tensor)?;
            } else {
                set.insert_other(name, element)?;
            }
        }
        Ok(set)
    }
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::BOOL => Element::Other("BOOL"),
        Dtype::U8 => Element::Other("U8"),
        Dtype::I8 => Element::Other("I8"),
        Dtype::I16 => Element::Other("I16"),
        Dtype::U16 => Element::Other("U16"),
        Dtype::I32 => Element::Other("I32"),
        Dtype::U32 => Element::Other("U32"),
        Dtype::I64 => Element::Other("I64"),
        Dtype::U64 => Element::Other("U64"),
        Dtype::F8_E4M3 => Element::Other("F8_E4M3"),
        Dtype::F8_E5M2 => Element::Other("F8_E5M2"),
        _ => Element::Other("another"),
    }
}
