//! The tensors of a safetensors file, as f32, taken one by one.

use super::error::Defect;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Hands out tensors by name, and remembers which were asked for.
pub(super) struct Tensors<'a> {
    file: SafeTensors<'a>,
    left: RefCell<BTreeSet<String>>,
    missing: RefCell<Vec<String>>,
}

impl<'a> Tensors<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Defect> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| Defect::Format(e.to_string()))?;
        let left = file.names().into_iter().map(str::to_owned).collect();
        Ok(Self {
            file,
            left: RefCell::new(left),
            missing: RefCell::default(),
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.file.names().into_iter()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_ok()
    }

    /// Shape of a tensor; empty, and remembered as missing, if it is not there.
    pub(super) fn shape(&self, name: &str) -> Vec<usize> {
        match self.file.tensor(name) {
            Ok(tensor) => tensor.shape().to_vec(),
            Err(_) => {
                self.missing.borrow_mut().push(name.into());
                Vec::new()
            }
        }
    }

    /// A tensor of exactly this shape. If it is missing, that is remembered, and zeros stand for it until
    /// [`Tensors::finish`] fails.
    pub(super) fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Defect> {
        let Ok(tensor) = self.file.tensor(name) else {
            self.missing.borrow_mut().push(name.into());
            return Ok(Vec::new());
        };
        self.left.borrow_mut().remove(name);
        if tensor.shape() != shape {
            return Err(Defect::Shape {
                tensor: name.into(),
                found: tensor.shape().to_vec(),
                expected: shape.to_vec(),
            });
        }
        let values = decode(tensor.dtype(), tensor.data()).ok_or_else(|| Defect::Type {
            tensor: name.into(),
            found: format!("{:?}", tensor.dtype()),
        })?;
        match values.iter().position(|x| !x.is_finite()) {
            Some(index) => Err(Defect::NonFinite {
                tensor: name.into(),
                index,
                value: values[index],
            }),
            None => Ok(values),
        }
    }

    /// Fails if a tensor was missing or was never asked for.
    pub(super) fn finish(&self) -> Result<(), Defect> {
        let mut missing = self.missing.take();
        missing.sort();
        missing.dedup();
        let unknown: Vec<String> = self.left.take().into_iter().collect();
        if missing.is_empty() && unknown.is_empty() {
            Ok(())
        } else {
            Err(Defect::Names { missing, unknown })
        }
    }
}

fn decode(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let (pairs, _) = data.as_chunks::<2>();
    let (words, _) = data.as_chunks::<4>();
    match dtype {
        Dtype::F32 => Some(words.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        Dtype::F16 => Some(
            pairs
                .iter()
                .map(|&b| f16::from_le_bytes(b).to_f32())
                .collect(),
        ),
        Dtype::BF16 => Some(
            pairs
                .iter()
                .map(|&b| bf16::from_le_bytes(b).to_f32())
                .collect(),
        ),
        _ => None,
    }
}
