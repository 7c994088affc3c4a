//! A suite: operations at their shapes, and the backends that run them.

use super::measure::{self, Budget, Timing};
use mergevit_kernels::cuda::DeviceError;
use std::time::Instant;
use thiserror::Error;

/// What a run costs, whichever backend does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Multiply-accumulates of dot products, 8 bits by 8; 0 for an operation that mostly moves data.
    pub(crate) macs: u64,
    /// Bytes of operands read and of results written, each once.
    pub(crate) bytes: u64,
}

/// An operation with its operands and room for its results.
pub(crate) trait Measured {
    fn work(&self) -> Work;

    /// The bytes that a run writes.
    fn results(&mut self) -> Vec<&mut [u8]>;

    /// Resets what a run changes in place.
    fn restore(&mut self) {}
}

/// An operation of kind `O` at one shape. `make` makes its operands only when it is measured, to hold
/// little memory.
pub(crate) struct Case<O: ?Sized> {
    /// Name of the operation, e.g. `qkv`.
    pub(crate) operation: &'static str,
    /// Its shape, e.g. `197x2304x768` for (M, N, K).
    pub(crate) shape: String,
    pub(crate) make: Box<dyn Fn() -> Box<O>>,
}

/// An implementation of operations of kind `O`.
pub(crate) trait Backend<O: ?Sized> {
    /// Its name, e.g. `cpu/avx2`.
    fn name(&self) -> &'static str;

    /// Threads that it spreads an operation over, the caller's included.
    fn threads(&self) -> usize {
        1
    }

    /// Most multiply-accumulates a second that it can reach, if that was measured.
    fn peak(&self) -> Option<f64> {
        None
    }

    /// Runs the operation once.
    fn run(&mut self, operation: &mut O) -> Result<(), DeviceError>;

    /// Nanoseconds of a run, on average over `repeats` in a row. The operation is the one that ran last.
    fn time(&mut self, operation: &mut O, repeats: u32) -> Result<f64, DeviceError> {
        let start = Instant::now();
        for _ in 0..repeats {
            self.run(operation)?;
        }
        Ok(start.elapsed().as_nanos() as f64 / f64::from(repeats))
    }
}

/// Why measuring stopped.
#[derive(Debug, Error)]
pub(crate) enum SuiteError {
    /// A backend has other bits than the scalar reference.
    #[error("{operation} {shape}: {backend} differs from the reference")]
    Differs {
        operation: &'static str,
        shape: String,
        backend: &'static str,
    },
    /// A device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Operations of one kind, what judges their results, and what is measured.
pub(crate) struct Suite<O: ?Sized> {
    pub(crate) cases: Vec<Case<O>>,
    pub(crate) judge: Box<dyn Backend<O>>,
    pub(crate) backends: Vec<Box<dyn Backend<O>>>,
}

/// Checks, then times, a case on every backend.
///
/// # Errors
/// [`SuiteError`]: results that differ from the judge's, or a device that failed.
pub(crate) fn measure<O: Measured + ?Sized>(
    case: &Case<O>,
    judge: &mut dyn Backend<O>,
    backends: &mut [Box<dyn Backend<O>>],
    budget: &Budget,
) -> Result<(Work, Vec<Timing>), SuiteError> {
    let mut operation = (case.make)();
    let want = results(&mut *operation, judge)?;
    for backend in &mut *backends {
        if results(&mut *operation, &mut **backend)? != want {
            return Err(SuiteError::Differs {
                operation: case.operation,
                shape: case.shape.clone(),
                backend: backend.name(),
            });
        }
    }
    let timings = measure::interleaved(&mut *operation, backends, budget)?;
    Ok((operation.work(), timings))
}

/// What a backend writes over stale bytes.
fn results<O: Measured + ?Sized>(
    operation: &mut O,
    backend: &mut dyn Backend<O>,
) -> Result<Vec<u8>, DeviceError> {
    for part in operation.results() {
        part.fill(77);
    }
    operation.restore();
    backend.run(operation)?;
    Ok(operation.results().concat())
}
