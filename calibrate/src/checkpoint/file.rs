//! The tensors of a safetensors file, as f32.

use super::error::Defect;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

/// A safetensors file whose header has been checked.
pub(super) struct TensorFile<'a> {
    file: SafeTensors<'a>,
}

impl<'a> TensorFile<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// [`Defect::Format`].
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Defect> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| Defect::Format(e.to_string()))?;
        Ok(Self { file })
    }

    /// The names of all tensors, in no particular order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.file.names().into_iter()
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_ok()
    }

    /// Whether the name of any tensor starts so.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.names().any(|name| name.starts_with(prefix))
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// [`Defect::Names`].
    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, Defect> {
        let tensor = self.file.tensor(name).map_err(|_| absent(name))?;
        Ok(tensor.shape().to_vec())
    }

    /// The values of a tensor, row-major, which must have exactly this shape.
    ///
    /// # Errors
    /// [`Defect::Names`], [`Defect::Shape`], [`Defect::Type`], [`Defect::NonFinite`].
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Defect> {
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
        check_finite(name, &values)?;
        Ok(values)
    }
}

fn absent(name: &str) -> Defect {
    Defect::Names {
        missing: vec![name.into()],
        unknown: Vec::new(),
    }
}

/// Fails at the first value that is NaN or infinite.
pub(super) fn check_finite(name: &str, values: &[f32]) -> Result<(), Defect> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(Defect::NonFinite {
            tensor: name.into(),
            index,
            value: values[index],
        }),
        None => Ok(()),
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
