//! The pack's tensors in device memory.

use crate::pack::{DType, Pack, TensorKind};
use mergevit_kernels::cuda::{Address, Device, DeviceError};

/// Where tensors start: what the widest loads need, and what an allocation of its own would give.
pub(super) const ALIGN: usize = 256;

/// Where each tensor lies.
#[derive(Debug)]
pub(super) struct DeviceWeights {
    depth: usize,
    /// By section of the pack.
    addresses: Box<[Address]>,
}

/// The tensors of a pack: kind, layer, bytes.
fn tensors(pack: &Pack) -> impl Iterator<Item = (TensorKind, Option<usize>, &[u8])> {
    let depth = pack.config().depth;
    let all = TensorKind::all().flat_map(move |kind| {
        let layers = if kind.is_layer() { depth } else { 1 };
        (0..layers).map(move |layer| (kind, kind.is_layer().then_some(layer)))
    });
    all.filter_map(|(kind, layer)| {
        let bytes = match kind.dtype() {
            DType::I8 => bytemuck::cast_slice(pack.tensor_i8(kind, layer)?),
            _ => bytemuck::cast_slice(pack.tensor_f32(kind, layer)?),
        };
        Some((kind, layer, bytes))
    })
}

impl DeviceWeights {
    /// Copies all tensors from the map into one piece of device memory.
    pub(super) fn upload(pack: &Pack, device: &mut dyn Device) -> Result<Self, DeviceError> {
        let sizes = tensors(pack).map(|(_, _, bytes)| bytes.len().next_multiple_of(ALIGN));
        let mut address = device.allocate(sizes.sum())?;
        let mut weights = Self::nowhere(pack);
        for (kind, layer, bytes) in tensors(pack) {
            device.write(address, bytes)?;
            weights.addresses[kind.index(layer.unwrap_or(0), weights.depth)] = address;
            address = address.offset(bytes.len().next_multiple_of(ALIGN));
        }
        Ok(weights)
    }

    /// Weights without a place.
    pub(super) fn nowhere(pack: &Pack) -> Self {
        Self {
            depth: pack.config().depth,
            addresses: vec![Address::NULL; pack.sections().len()].into(),
        }
    }

    /// Where a tensor lies.
    pub(super) fn address(&self, kind: TensorKind, layer: Option<usize>) -> Address {
        self.addresses[kind.index(layer.unwrap_or(0), self.depth)]
    }
}
