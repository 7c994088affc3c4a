//! The CPU backend: vector instructions chosen once, at load, and a small thread pool.

use crate::ops::{Capacity, Kernels};

/// One instruction set that the CPU backend can use.
#[derive(Clone, Copy, Debug)]
pub struct Implementation {
    /// Name as the command line and reports use it, `cpu/...`.
    pub name: &'static str,
    /// `None` if this machine can run it, else why not.
    pub refused: fn() -> Option<&'static str>,
    make: fn(usize, &Capacity) -> Option<Box<dyn Kernels>>,
}

impl Implementation {
    /// Makes the backend, with `threads` threads (at least 1; the caller's is one of them) and scratch
    /// space for `capacity`. `None` where [`Implementation::refused`] gives a reason.
    pub fn make(&self, threads: usize, capacity: &Capacity) -> Option<Box<dyn Kernels>> {
        (self.make)(threads, capacity)
    }
}

/// Every implementation compiled into this program, best first. The last one runs anywhere.
pub fn implementations() -> &'static [Implementation] {
    &[]
}

/// The best implementation that this machine can run.
pub fn best(threads: usize, capacity: &Capacity) -> Box<dyn Kernels> {
    implementations()
        .iter()
        .find_map(|implementation| implementation.make(threads, capacity))
        .expect("the last implementation needs nothing")
}
