//! The arithmetic of an INT8 Vision Transformer with token merging.
//!
//! One operation, one meaning, several implementations. [`ops`] names the operations and their shapes;
//! [`mod@reference`] says what they mean, in scalar code written for reading; [`cpu`] computes the same bits
//! with vector instructions and threads, [`cuda`] on Tensor Cores. `NUMERICS.md` in this folder is the contract that all of them
//! follow: the same pack and frame give the same logits everywhere, so tests compare with `==`.
//!
//! This crate knows hardware and nothing else: no files, no models, no cameras. [`frame`] turns what a
//! camera or a file delivers into the network's input pixels.

pub mod cpu;
pub mod cuda;
pub mod frame;
pub mod math;
pub mod ops;
pub mod reference;
#[doc(hidden)]
pub mod testing;

pub use ops::Kernels;

// The equality tests once more, inside the crate, where a set may run on an emulator.
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
#[path = "../tests/equality.rs"]
mod equality;
#[cfg(test)]
extern crate self as mergevit_kernels;
