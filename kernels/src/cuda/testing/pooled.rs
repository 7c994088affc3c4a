//! GPUs for tests: opening one takes a second, so each test passes its own on to the next.

use crate::cuda::driver::{self, Driver, OpenOptions};
use crate::cuda::{Address, Device, DeviceError, Graph, Launch, Shared, Target};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The first failure: often the reason of those that follow, because a fault ends the context that all devices of
/// a process share.
static FIRST: OnceLock<String> = OnceLock::new();

/// Open devices that nobody uses.
static IDLE: Mutex<Vec<Driver>> = Mutex::new(Vec::new());

/// A borrowed device. Its allocations stay: the tests' operands are small.
pub(super) struct Pooled {
    /// `None` only while it is returned.
    driver: Option<Driver>,
}

impl Pooled {
    /// # Panics
    /// If the first GPU cannot be opened, or has been lost by a fault.
    pub(super) fn take() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut driver = idle.unwrap_or_else(|| {
            driver::open(0, &OpenOptions::default()).expect("a GPU was asked for")
        });
        if let Err(error) = driver.synchronize() {
            panic!("the GPU is lost: {error}; the first failure was: {FIRST:?}");
        }
        Self {
            driver: Some(driver),
        }
    }

    fn get(&self) -> &Driver {
        self.driver.as_ref().expect("a driver until the drop")
    }

    fn ask<'a, T>(
        &'a mut self,
        question: impl FnOnce(&'a mut Driver) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let driver = self.driver.as_mut().expect("a driver until the drop");
        question(driver).inspect_err(|error| {
            FIRST.get_or_init(|| error.to_string());
        })
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.driver.take());
    }
}

impl Device for Pooled {
    fn name(&self) -> &str {
        self.get().name()
    }

    fn target(&self) -> Target {
        self.get().target()
    }

    fn integrated(&self) -> bool {
        self.get().integrated()
    }

    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError> {
        self.ask(|driver| driver.allocate(bytes))
    }

    fn allocate_shared(&mut self, bytes: usize) -> Result<Shared, DeviceError> {
        self.ask(|driver| driver.allocate_shared(bytes))
    }

    fn shared_address(&self, shared: Shared) -> Address {
        self.get().shared_address(shared)
    }

    fn shared_bytes(&mut self, shared: Shared) -> Result<&mut [u8], DeviceError> {
        self.ask(|driver| driver.shared_bytes(shared))
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError> {
        self.ask(|driver| driver.write(to, bytes))
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.ask(|driver| driver.read(from, bytes))
    }

    fn send(&mut self, from: Shared, bytes: usize, to: Address) -> Result<(), DeviceError> {
        self.ask(|driver| driver.send(from, bytes, to))
    }

    fn copy(&mut self, from: Address, bytes: usize, to: Address) -> Result<(), DeviceError> {
        self.ask(|driver| driver.copy(from, bytes, to))
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), DeviceError> {
        self.ask(|driver| driver.launch(launch))
    }

    fn record(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError> {
        self.ask(|driver| driver.record(launches))
    }

    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError> {
        self.ask(|driver| driver.replay(graph))
    }

    fn synchronize(&mut self) -> Result<(), DeviceError> {
        self.ask(Driver::synchronize)
    }

    fn time(&mut self, launches: &[Launch], repeats: u32) -> Result<Duration, DeviceError> {
        self.ask(|driver| driver.time(launches, repeats))
    }
}
