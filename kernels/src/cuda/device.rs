//! What a device offers: memory, launches, recorded graphs.
//!
//! NVIDIA's driver is one implementation; the tests' emulator is another, so that everything above this
//! interface runs in tests as it runs on a GPU.

use super::address::Address;
use super::error::DeviceError;
use super::launch::Launch;
use super::target::Target;
use std::time::{Duration, Instant};

/// A recorded list of launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graph(pub usize);

/// Memory that both the host and the device see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared(pub usize);

/// A device with one stream: everything asked of it happens in order. Launches rely on it: those of a plan share their
/// scratch space, in which one may not start before another has ended.
pub trait Device: Send {
    /// Its name, e.g. `NVIDIA Orin`.
    fn name(&self) -> &str;

    /// What shapes the launches for it.
    fn target(&self) -> Target;

    /// Whether it shares the processor's memory, so that it reads [`Shared`] memory as fast as its own.
    fn integrated(&self) -> bool {
        true
    }

    /// `bytes` of device memory, all zero, at a multiple of 256, until the device is dropped.
    ///
    /// # Errors
    /// [`DeviceError`], in particular when memory runs out.
    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError>;

    /// `bytes` of memory that the device reads and writes in place and the host sees too, all zero, at a
    /// multiple of 64 on both sides, until the device is dropped.
    ///
    /// # Errors
    /// [`DeviceError`], in particular when memory runs out.
    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError>;

    /// Where the device sees shared memory.
    fn shared_address(&self, shared: Shared) -> Address;

    /// Where the host sees shared memory. After [`synchronize`](Self::synchronize) it holds what earlier
    /// launches wrote; what is written here is seen by later launches.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError>;

    /// Copies to device memory, before anything that is asked later.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies from device memory, after everything that was asked before.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Copies the first bytes of shared memory to device memory, before anything that is asked later. Does not
    /// allocate.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn send(&mut self, from: Shared, bytes: usize, to: Address) -> Result<(), DeviceError> {
        let mut piece = [0; 1024];
        for start in (0..bytes).step_by(piece.len()) {
            let piece = &mut piece[..(bytes - start).min(1024)];
            piece.copy_from_slice(&self.shared_bytes(from)?[start..][..piece.len()]);
            self.write(to.offset(start), piece)?;
        }
        Ok(())
    }

    /// Copies within device memory, after everything that was asked before and before anything that is asked later.
    /// The two ranges share no byte. Does not allocate.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn copy(&mut self, from: Address, bytes: usize, to: Address) -> Result<(), DeviceError> {
        let mut piece = [0; 1024];
        for start in (0..bytes).step_by(piece.len()) {
            let piece = &mut piece[..(bytes - start).min(1024)];
            self.read(from.offset(start), piece)?;
            self.write(to.offset(start), piece)?;
        }
        Ok(())
    }

    /// Starts one kernel. Does not allocate.
    ///
    /// # Errors
    /// [`DeviceError`] if the device refused it.
    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError>;

    /// Records launches, to be started together.
    ///
    /// # Errors
    /// [`DeviceError`] if the device refused one.
    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError>;

    /// Starts recorded launches. Does not allocate.
    ///
    /// # Errors
    /// [`DeviceError`] if the device refused.
    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError>;

    /// Waits until everything asked so far has happened.
    ///
    /// # Errors
    /// [`DeviceError`] if anything of it failed.
    fn synchronize(&mut self) -> Result<(), DeviceError>;

    /// How long these launches take one after the other once `before` have run: the median of `repeats` such runs. What
    /// `before` leaves in caches is what they find there.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn time_after(
        &mut self,
        before: &[Launch],
        launches: &[Launch],
        repeats: u32,
    ) -> Result<Duration, DeviceError> {
        let all = |device: &mut Self, launches: &[Launch]| {
            let mut launches = launches.iter();
            launches.try_for_each(|launch| device.launch(launch))?;
            device.synchronize()
        };
        let mut times = Vec::new();
        for _ in 0..repeats.max(1) {
            all(self, before)?;
            let start = Instant::now();
            all(self, launches)?;
            times.push(start.elapsed());
        }
        Ok(median(&mut times))
    }

    /// How long these launches take one after the other, on average over `repeats` in a row after one that is not
    /// counted.
    ///
    /// # Errors
    /// [`DeviceError`] if the device failed.
    fn time(&mut self, launches: &[Launch], repeats: u32) -> Result<Duration, DeviceError> {
        let all = |device: &mut Self| launches.iter().try_for_each(|launch| device.launch(launch));
        all(self)?;
        self.synchronize()?;
        let start = Instant::now();
        (0..repeats).try_for_each(|_| all(self))?;
        self.synchronize()?;
        Ok(start.elapsed() / repeats.max(1))
    }
}

/// The middle one of at least one.
pub(super) fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}
