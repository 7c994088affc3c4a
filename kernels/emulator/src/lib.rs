//! A sanitizer for PTX: runs CUDA kernels on the CPU and reports what a GPU keeps to itself.
//!
//! It finds
//! - races between warps in shared memory, and between warps or blocks in global memory,
//! - reads of memory that nothing wrote, accesses out of bounds or misaligned,
//! - `cp.async` copies that are used before their wait,
//! - barriers that some threads never reach, and warp-wide instructions whose member mask is wrong.
//!
//! The kernel below reverses 64 numbers in place. Its threads read their partner's number and overwrite their own,
//! with no barrier between: a thread may read what its partner has already overwritten. A GPU usually gets it right;
//! here it is a [`Fault`], whatever the schedule:
//!
//! ```
//! use mergevit_emulator::{Launch, Memory, Module, Options, Rule, run};
//!
//! let module = Module::parse(
//!     ".version 8.5
//!      .target sm_80
//!      .address_size 64
//!      .visible .entry reverse(.param .u64 numbers)
//!      {
//!          .reg .b32 %r<6>;
//!          .reg .b64 %rd<5>;
//!          ld.param.u64 %rd1, [numbers];
//!          mov.u32 %r1, %tid.x;
//!          mul.wide.u32 %rd2, %r1, 4;
//!          add.s64 %rd2, %rd1, %rd2;       // my number
//!          xor.b32 %r2, %r1, 63;
//!          mul.wide.u32 %rd3, %r2, 4;
//!          add.s64 %rd3, %rd1, %rd3;       // my partner's
//!          ld.global.u32 %r3, [%rd3];
//!                                          // bar.sync 0; is missing
//!          st.global.u32 [%rd2], %r3;
//!          ret;
//!      }",
//! )?;
//! let mut memory = Memory::new();
//! let numbers: Vec<u8> = (0..64u32).flat_map(u32::to_le_bytes).collect();
//! let numbers = memory.upload(&numbers);
//! let launch = Launch {
//!     kernel: "reverse",
//!     grid: [1, 1, 1],
//!     block: [64, 1, 1],
//!     shared_bytes: 0,
//!     params: &numbers.to_le_bytes(),
//! };
//! let fault = run(&module, &launch, &mut memory, &Options::default()).unwrap_err();
//! assert!(matches!(fault.rule, Rule::GlobalRace { .. }));
//! assert_eq!(
//!     fault.to_string(),
//!     "kernel reverse: global race: read at 0x100000007c, written by its warp 0 in the same launch, not \
//!      synchronised with it; PTX line 15 `ld.global.u32 %r3, [%rd3];`, block (0, 0, 0), thread 32"
//! );
//! # Ok::<(), mergevit_emulator::ParseError>(())
//! ```
//!
//! # How it works
//!
//! [`Module::parse`] reads the PTX that NVRTC or `nvcc` writes for compute capability 8.0 and refuses whatever it
//! doesn't know, by line. [`run`] executes a grid of one kernel: blocks one after another in the [`BlockOrder`] of
//! your choice, the warps of a block in turns at random but reproducibly, the 32 lanes of a warp together. [`Memory`]
//! is what the device's memory is to a GPU; it records for each byte who wrote and read it last. What [`run`] returns
//! is the first broken [`Rule`] and where it was broken, or [`Counts`]: instructions, memory traffic, bank conflicts.
//!
//! Within a block, vector clocks over barriers decide whether two accesses are ordered, as in race detectors for
//! threads; between blocks, release and acquire through atomic operations and fences do. So a race shows whether or
//! not the schedule at hand gets the result wrong.
//!
//! Instructions mean what NVIDIA's "Parallel Thread Execution ISA, version 8.5" says; section names in this
//! crate refer to it. Arithmetic is exact IEEE-754; approximate instructions are refused. The `README.md` lists what
//! is supported and what is missed.

mod block;
mod counts;
mod decode;
mod device;
mod exec;
mod fault;
mod launch;
mod module;
mod op;
mod options;
mod run;
mod syntax;
mod warp;

pub use counts::{Class, Counts, Executed, Instructions, Matrix, ReadWrite, Traffic};
pub use device::memory::Memory;
pub use fault::{Fault, MemoryError, Other, Rule, Space};
pub use launch::Launch;
pub use module::Module;
pub use options::{BlockOrder, Checks, Options};
pub use run::run;
pub use syntax::ParseError;

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
