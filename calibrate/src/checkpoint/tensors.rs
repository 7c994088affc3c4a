//! The tensors of a safetensors file, as f32.

use super::error::Defect;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Where the assembly of a model's weights asks for tensors by name.
pub(super) trait Source {
    /// Whether there is a tensor of this name.
    fn has(&self, name: &str) -> bool;

    /// The values of a tensor, row-major, which must have exactly this shape.
    fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Defect>;
}

/// Hands out values.
pub(super) struct Tensors<'a> {
    file: SafeTensors<'a>,
}

impl<'a> Tensors<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Defect> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| Defect::Format(e.to_string()))?;
        Ok(Self { file })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.file.names().into_iter()
    }

    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, Defect> {
        let tensor = self.file.tensor(name).map_err(|_| absent(name))?;
        Ok(tensor.shape().to_vec())
    }
}

fn absent(name: &str) -> Defect {
    Defect::Names {
        missing: vec![name.into()],
        unknown: Vec::new(),
    }
}

/// Passes finite values on.
pub(super) fn finite(name: &str, values: Vec<f32>) -> Result<Vec<f32>, Defect> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(Defect::NonFinite {
            tensor: name.into(),
            index,
            value: values[index],
        }),
        None => Ok(values),
    }
}

impl Source for Tensors<'_> {
    fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_ok()
    }

    fn take(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Defect> {
        let tensor = self.file.tensor(name).map_err(|_| absent(name))?;
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
        finite(name, values)
    }
}

/// Hands out nothing, and notes which tensors were asked for: so every missing and every unknown name is
/// known before the first shape is looked at.
pub(super) struct Inventory<'a> {
    tensors: &'a Tensors<'a>,
    left: RefCell<BTreeSet<&'a str>>,
    missing: RefCell<BTreeSet<String>>,
}

impl<'a> Inventory<'a> {
    pub(super) fn new(tensors: &'a Tensors<'a>) -> Self {
        Self {
            tensors,
            left: RefCell::new(tensors.names().collect()),
            missing: RefCell::default(),
        }
    }

    /// Fails if a tensor that was asked for is missing, or one was never asked for.
    pub(super) fn finish(self) -> Result<(), Defect> {
        let missing = Vec::from_iter(self.missing.into_inner());
        let unknown = Vec::from_iter(self.left.into_inner().into_iter().map(str::to_owned));
        if missing.is_empty() && unknown.is_empty() {
            Ok(())
        } else {
            Err(Defect::Names { missing, unknown })
        }
    }
}

impl Source for Inventory<'_> {
    fn has(&self, name: &str) -> bool {
        self.tensors.has(name)
    }

    fn take(&self, name: &str, _: &[usize]) -> Result<Vec<f32>, Defect> {
        if !self.left.borrow_mut().remove(name) && !self.has(name) {
            self.missing.borrow_mut().insert(name.into());
        }
        Ok(Vec::new())
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
