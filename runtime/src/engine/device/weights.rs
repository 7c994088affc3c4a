//! The pack's tensors in device memory.

use crate::pack::{DType, Layout, Linear, PRESENT, Pack, TensorKind};
use mergevit_kernels::cuda::{Address, Device, DeviceError, gemm};
use std::borrow::Cow;

/// Where tensors start: what the widest loads need, and what an allocation of its own would give.
pub(super) const ALIGN: usize = 256;

/// Where each tensor lies.
#[derive(Debug)]
pub(super) struct DeviceWeights {
    layout: Layout,
    /// By section of the pack.
    addresses: Box<[Address]>,
}

/// A tensor of a pack that launches read.
struct Tensor<'a> {
    /// Index in the pack.
    section: usize,
    bytes: &'a [u8],
    /// Of the weights of a linear layer, how many a column of its output has.
    inputs: Option<usize>,
}

impl Tensor<'_> {
    /// The bytes as the kernels read them.
    fn arranged(&self) -> Cow<'_, [u8]> {
        match self.inputs {
            Some(inputs) => {
                let arranged = gemm::arrange(bytemuck::cast_slice(self.bytes), inputs);
                Cow::Owned(bytemuck::allocation::cast_vec(arranged))
            }
            None => Cow::Borrowed(self.bytes),
        }
    }
}

/// The tensors of a pack that launches read. The classifier of embeddings, which may be large, is the host's.
fn tensors(pack: &Pack) -> impl Iterator<Item = Tensor<'_>> {
    let tensors = pack.layout().tensors().enumerate();
    let read = tensors.filter(|(_, (kind, _))| !kind.is_classifier());
    read.map(|(position, (kind, layer))| {
        let bytes = match kind.dtype() {
            DType::I8 => pack.tensor_i8(kind, layer).map(bytemuck::cast_slice),
            _ => pack.tensor_f32(kind, layer).map(bytemuck::cast_slice),
        };
        // The classifier's kernel reads rows as they are.
        let arranged = kind.dtype() == DType::I8 && kind != Linear::Head.tensors().weight;
        Tensor {
            section: 1 + position,
            bytes: bytes.expect(PRESENT),
            inputs: arranged.then(|| kind.shape(pack.config()).1),
        }
    })
}

impl DeviceWeights {
    /// Copies all tensors from the map into one piece of device memory, weights in the order of the kernels.
    pub(super) fn upload(pack: &Pack, device: &mut dyn Device) -> Result<Self, DeviceError> {
        let sizes = tensors(pack).map(|tensor| tensor.bytes.len().next_multiple_of(ALIGN));
        let mut address = device.allocate(sizes.sum())?;
        let mut weights = Self::nowhere(pack);
        for tensor in tensors(pack) {
            device.write(address, &tensor.arranged())?;
            weights.addresses[tensor.section] = address;
            address = address.offset(tensor.bytes.len().next_multiple_of(ALIGN));
        }
        Ok(weights)
    }

    /// Weights without a place.
    pub(super) fn nowhere(pack: &Pack) -> Self {
        Self {
            layout: pack.layout().clone(),
            addresses: vec![Address::NULL; pack.sections().len()].into(),
        }
    }

    /// Where a tensor lies.
    pub(super) fn address(&self, kind: TensorKind, layer: Option<usize>) -> Address {
        self.addresses[self.layout.index(kind, layer).expect(PRESENT)]
    }
}
