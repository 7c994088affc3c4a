//! The pack's tensors in device memory.

use crate::pack::{DType, Layout, PRESENT, Pack, TensorKind};
use mergevit_kernels::cuda::{Address, Device, DeviceError};

/// Where tensors start: what the widest loads need, and what an allocation of its own would give.
pub(super) const ALIGN: usize = 256;

/// Where each tensor lies.
#[derive(Debug)]
pub(super) struct DeviceWeights {
    layout: Layout,
    /// By section of the pack.
    addresses: Box<[Address]>,
}

/// The tensors of a pack that launches read: index of the section, bytes. The classifier of
/// embeddings, which may be large, is the host's.
fn tensors(pack: &Pack) -> impl Iterator<Item = (usize, &[u8])> {
    let tensors = pack.layout().tensors().enumerate();
    let read = tensors.filter(|(_, (kind, _))| !kind.is_classifier());
    read.map(|(position, (kind, layer))| {
        let bytes = match kind.dtype() {
            DType::I8 => pack.tensor_i8(kind, layer).map(bytemuck::cast_slice),
            _ => pack.tensor_f32(kind, layer).map(bytemuck::cast_slice),
        };
        (1 + position, bytes.expect(PRESENT))
    })
}

impl DeviceWeights {
    /// Copies all tensors from the map into one piece of device memory.
    pub(super) fn upload(pack: &Pack, device: &mut dyn Device) -> Result<Self, DeviceError> {
        let sizes = tensors(pack).map(|(_, bytes)| bytes.len().next_multiple_of(ALIGN));
        let mut address = device.allocate(sizes.sum())?;
        let mut weights = Self::nowhere(pack);
        for (section, bytes) in tensors(pack) {
            device.write(address, bytes)?;
            weights.addresses[section] = address;
            address = address.offset(bytes.len().next_multiple_of(ALIGN));
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
