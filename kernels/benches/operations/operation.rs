//! Operations of the [`Kernels`] trait, and the processor's implementations as backends.

use super::suite::{Backend, Measured};
use mergevit_kernels::Kernels;
use mergevit_kernels::cpu;
use mergevit_kernels::cuda::DeviceError;
use mergevit_kernels::ops::Capacity;
use mergevit_kernels::reference::Reference;

/// How often a peak is measured.
const PEAK_ROUNDS: u32 = 8;

/// An operation with its operands.
pub(crate) trait Operation: Measured {
    fn run(&mut self, kernels: &mut dyn Kernels);

    /// (M, N, K) of a linear layer, whose tiles on a GPU depend on it.
    fn product(&self) -> Option<[usize; 3]> {
        None
    }
}

/// Any of them.
pub(crate) type AnyOperation = dyn Operation;

/// An implementation that runs on the processor.
pub(crate) struct OnProcessor {
    kernels: Box<dyn Kernels>,
    peak: Option<f64>,
}

impl OnProcessor {
    pub(crate) fn reference() -> Self {
        Self {
            kernels: Box::new(Reference::new()),
            peak: None,
        }
    }

    /// Every instruction set that this machine has, best first, with its peak measured. The portable one has none:
    /// the compiler vectorizes its kernels, but not the loop that measures peaks.
    pub(crate) fn all(threads: usize, capacity: &Capacity) -> impl Iterator<Item = Self> {
        let implementations = cpu::implementations().iter();
        implementations.filter_map(move |implementation| {
            let kernels = implementation.make(threads, capacity).ok()?;
            let peak = match implementation.name {
                "cpu/portable" => None,
                // The best of some: other programs can only lower it.
                _ => (0..PEAK_ROUNDS)
                    .filter_map(|_| implementation.measure_peak(threads))
                    .max_by(f64::total_cmp),
            };
            Some(Self { kernels, peak })
        })
    }
}

impl Backend<AnyOperation> for OnProcessor {
    fn name(&self) -> &'static str {
        self.kernels.name()
    }

    fn threads(&self) -> usize {
        self.kernels.threads()
    }

    fn peak(&self) -> Option<f64> {
        self.peak
    }

    fn run(&mut self, operation: &mut AnyOperation) -> Result<(), DeviceError> {
        operation.run(&mut *self.kernels);
        Ok(())
    }
}
