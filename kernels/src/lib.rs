//! The arithmetic of an INT8 Vision Transformer with token merging.
//!
//! The idea: one operation, one meaning, several implementations. The trait [`Kernels`] names the operations; each is
//! defined down to the last bit, so that every implementation gives the same pack and frame the same logits, and tests
//! compare with `==`:
//!
//! ```
//! use mergevit_kernels::ops::{Capacity, Epilogue, Kernels, LinearWeights, row_sums};
//! use mergevit_kernels::{cpu, reference::Reference};
//!
//! // A linear layer from 64 to 16 channels, on 5 tokens.
//! let (rows, inputs, outputs) = (5, 64, 16);
//! let input: Vec<i8> = (0..rows * inputs).map(|i| (i * 37 % 255) as u8 as i8).collect();
//! let data: Vec<i8> = (0..outputs * inputs).map(|i| (i * 29 % 255) as i8 / 2).collect();
//! let sums: Vec<i32> = row_sums(&data, inputs).collect();
//! let weights = LinearWeights {
//!     outputs,
//!     inputs,
//!     data: &data,
//!     scale: &vec![0.001; outputs],
//!     bias: &vec![0.25; outputs],
//!     sums: &sums,
//! };
//! let mut judge = vec![0; rows * outputs];
//! Reference::new().linear(rows, &input, &weights, Epilogue::Requantize { output: &mut judge });
//!
//! // The same with the best vector instructions of this machine, on two threads.
//! let capacity = Capacity { batch: 1, tokens: rows, width: inputs, head_width: 64, inner: inputs };
//! let mut fast = vec![0; rows * outputs];
//! let mut cpu = cpu::best(2, &capacity)?;
//! cpu.linear(rows, &input, &weights, Epilogue::Requantize { output: &mut fast });
//! assert_eq!(fast, judge);
//! # Ok::<(), cpu::MakeError>(())
//! ```
//!
//! Where to read on:
//! - [`numerics`] is the contract: which bits, and why;
//! - [`ops`] has the operations and their shapes;
//! - [`mod@reference`] says what they mean, in scalar code written for reading;
//! - [`cpu`] computes the same with vector instructions and threads, [`cuda`] on Tensor Cores;
//! - [`frame`] turns what a camera or a file delivers into the network's input pixels;
//! - [`readme`] explains the folders beside the crate: the CUDA sources, how they are compiled, and how they are
//!   tested without a GPU.
//!
//! This crate knows hardware and nothing else: no files, no models, no cameras.

pub mod cpu;
pub mod cuda;
pub mod frame;
pub mod math;
pub mod memory;
pub mod ops;
pub mod reference;
#[doc(hidden)]
pub mod testing;
pub mod thread;

#[doc = include_str!("../NUMERICS.md")]
pub mod numerics {}

#[doc = include_str!("../README.md")]
pub mod readme {}

pub use ops::Kernels;

// The equality tests once more, inside the crate, where a set may run on an emulator.
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
#[path = "../tests/equality.rs"]
mod equality;
#[cfg(test)]
extern crate self as mergevit_kernels;
