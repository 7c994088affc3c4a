//! The CPU backend: vector instructions chosen once, at load, and a small team of threads.
//!
//! [`implementations`] is the whole dispatch. Each kernel is written once over `isa::Isa`; a set of
//! instructions is a thin shell in `isa/`.

mod attention;
mod backend;
mod head;
mod isa;
mod layer_norm;
mod linear;
mod merge;
mod panel;
mod pool;
mod scratch;
mod shared;
mod simd_math;
mod threads;

use crate::ops::{Capacity, Kernels};
use backend::Cpu;

/// One instruction set that the CPU backend can use.
#[derive(Clone, Copy, Debug)]
pub struct Implementation {
    /// Name as the command line and reports use it, `cpu/...`.
    pub name: &'static str,
    /// What the processor must have, for a refusal's message.
    pub needs: &'static str,
    available: fn() -> bool,
    make: fn(&'static str, usize, &Capacity) -> Option<Box<dyn Kernels>>,
}

impl Implementation {
    /// Whether this machine can run it.
    pub fn available(&self) -> bool {
        (self.available)()
    }

    /// Makes the backend, with `threads` threads (at least 1; the caller's is one of them) and scratch
    /// space for `capacity`. `None` where it is not [`Implementation::available`].
    pub fn make(&self, threads: usize, capacity: &Capacity) -> Option<Box<dyn Kernels>> {
        (self.make)(self.name, threads, capacity)
    }
}

/// One line of the list: the type of the set is its `new() -> Option<Self>`.
macro_rules! implementation {
    ($name:literal, $set:path, $needs:literal) => {
        Implementation {
            name: $name,
            needs: $needs,
            available: || <$set>::new().is_some(),
            make: |name, threads, capacity| {
                let isa = <$set>::new()?;
                Some(Box::new(Cpu::new(isa, name, threads, capacity)))
            },
        }
    };
}

/// Every implementation compiled into this program, best first. The last one runs anywhere.
pub fn implementations() -> &'static [Implementation] {
    &[
        #[cfg(target_arch = "x86_64")]
        implementation!(
            "cpu/avx512-vnni",
            isa::avx512::Avx512Vnni,
            "AVX-512 F, BW, VL and VNNI"
        ),
        implementation!("cpu/portable", isa::portable::Portable, "nothing"),
    ]
}

/// The best implementation that this machine can run.
pub fn best(threads: usize, capacity: &Capacity) -> Box<dyn Kernels> {
    implementations()
        .iter()
        .find_map(|implementation| implementation.make(threads, capacity))
        .expect("the last implementation needs nothing")
}
