//! Memory that the host fills and launches read.

use mergevit_kernels::cuda::{Address, Device, DeviceError, Shared};

/// A device that shares the processor's memory reads what the host wrote in place; to another it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inbox {
    host: Shared,
    /// Where launches read.
    pub(super) address: Address,
    in_place: bool,
}

impl Inbox {
    pub(super) fn new(bytes: usize, device: &mut dyn Device) -> Result<Self, DeviceError> {
        let host = device.allocate_shared(bytes)?;
        let in_place = device.integrated();
        let address = match in_place {
            true => device.shared_address(host),
            false => device.allocate(bytes)?,
        };
        Ok(Self {
            host,
            address,
            in_place,
        })
    }

    /// What the host fills, or has filled.
    pub(super) fn bytes<'d>(
        &self,
        device: &'d mut dyn Device,
    ) -> Result<&'d mut [u8], DeviceError> {
        device.shared_bytes(self.host)
    }

    /// Makes the first `len` bytes seen by later launches.
    pub(super) fn send(&self, len: usize, device: &mut dyn Device) -> Result<(), DeviceError> {
        match self.in_place {
            true => Ok(()),
            false => device.send(self.host, len, self.address),
        }
    }
}
