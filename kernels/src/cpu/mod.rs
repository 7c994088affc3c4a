//! The CPU backend: vector instructions chosen once, at load, and a small team of threads.
//!
//! [`implementations`] is the whole dispatch. Each kernel is written once over `isa::Isa`; a set of
//! instructions is a thin shell in `isa/`.

mod attention;
mod backend;
mod class_share;
mod epilogues;
mod error;
mod head;
mod head_memory;
mod isa;
mod layer_norm;
mod linear;
mod merge;
mod panel;
mod peak;
mod pool;
mod rotary;
mod scratch;
mod shared;
mod simd_math;
mod threads;

pub use error::MakeError;

use crate::ops::{Capacity, Kernels};
use backend::Cpu;

type Make = fn(&'static str, usize, &Capacity) -> Result<Box<dyn Kernels>, MakeError>;

/// One instruction set that the CPU backend can use.
#[derive(Clone, Copy, Debug)]
pub struct Implementation {
    /// Name as the command line and reports use it, `cpu/...`.
    pub name: &'static str,
    /// What the processor must have, for a refusal's message.
    pub needs: &'static str,
    available: fn() -> bool,
    make: Make,
    peak: fn(usize) -> Option<f64>,
}

impl Implementation {
    /// Whether this machine can run it.
    pub fn available(&self) -> bool {
        (self.available)()
    }

    /// Makes the backend, with `threads` threads (at least 1; the caller's is one of them) and scratch
    /// space for `capacity`.
    ///
    /// # Errors
    /// [`MakeError`] where it is not [`Implementation::available`], or the operating system refuses a thread or
    /// memory. It never makes do with fewer threads: what was asked for is what is measured and reported.
    pub fn make(&self, threads: usize, capacity: &Capacity) -> Result<Box<dyn Kernels>, MakeError> {
        (self.make)(self.name, threads, capacity)
    }

    /// Multiply-accumulates a second that this set reaches on `threads` threads at once, from registers
    /// alone: what no kernel can exceed. Takes some 50 ms. `None` where it is not
    /// [`Implementation::available`], or the threads cannot be started.
    pub fn measure_peak(&self, threads: usize) -> Option<f64> {
        (self.peak)(threads)
    }
}

/// One line of the list: the type of the set is its `new() -> Option<Self>`.
macro_rules! implementation {
    ($name:literal, $set:ty, $needs:literal) => {
        Implementation {
            name: $name,
            needs: $needs,
            available: || <$set>::new().is_some(),
            make: |name, threads, capacity| {
                let isa = <$set>::new().ok_or(MakeError::Unavailable)?;
                Ok(Box::new(Cpu::new(isa, name, threads, capacity)?))
            },
            peak: |threads| peak::measure(<$set>::new()?, threads),
        }
    };
}

/// Of [`implementations`]. A static, because the compiler would copy what a short function refers to into every crate that
/// calls it, and that is all kernels for all sets.
static IMPLEMENTATIONS: &[Implementation] = &[
    #[cfg(target_arch = "x86_64")]
    implementation!(
        "cpu/amx-int8",
        isa::amx::AmxInt8,
        "AMX-INT8, the system's permission to use it, and AVX-512 VNNI"
    ),
    #[cfg(target_arch = "x86_64")]
    implementation!(
        "cpu/avx512-vnni",
        isa::avx512::Avx512Vnni,
        "AVX-512 F, BW, VL and VNNI"
    ),
    #[cfg(target_arch = "x86_64")]
    implementation!(
        "cpu/avx-vnni",
        isa::avx2::Avx2<isa::avx2::Vnni>,
        "AVX-VNNI, AVX2, FMA and F16C"
    ),
    #[cfg(target_arch = "x86_64")]
    implementation!(
        "cpu/avx2",
        isa::avx2::Avx2<isa::avx2::Madd>,
        "AVX2, FMA and F16C"
    ),
    #[cfg(target_arch = "aarch64")]
    implementation!(
        "cpu/neon-dotprod",
        isa::neon::Neon<isa::neon::Sdot>,
        "NEON with dot product (Armv8.2)"
    ),
    #[cfg(target_arch = "aarch64")]
    implementation!("cpu/neon", isa::neon::Neon<isa::neon::Smull>, "NEON"),
    implementation!("cpu/portable", isa::portable::Portable, "nothing"),
];

/// Every implementation compiled into this program, best first. The last one runs anywhere.
pub fn implementations() -> &'static [Implementation] {
    IMPLEMENTATIONS
}

/// The best implementation that this machine can run.
///
/// # Errors
/// As [`Implementation::make`], which does not fall back to another one for lack of threads or memory.
pub fn best(threads: usize, capacity: &Capacity) -> Result<Box<dyn Kernels>, MakeError> {
    implementations()
        .iter()
        .find(|implementation| implementation.available())
        .ok_or(MakeError::Unavailable)?
        .make(threads, capacity)
}

/// [`Implementation::measure_peak`] of the best implementation that this machine can run.
pub fn measure_peak(threads: usize) -> Option<f64> {
    implementations()
        .iter()
        .find(|implementation| implementation.available())?
        .measure_peak(threads)
}
