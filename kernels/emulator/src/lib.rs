//! Runs PTX on the CPU: what a GPU would compute, and what it would not tell.
//!
//! [`Module::parse`] reads the PTX that NVRTC writes (ISA 8.5, compute capability 8.0); [`run`] executes a grid of a
//! kernel on a [`Memory`] and returns [`Counts`], or the [`Fault`] that a kernel committed: an access out of
//! bounds or misaligned, a read of bytes that nothing wrote, a race between warps or between blocks, a barrier
//! that not all threads reach, a wrong member mask, a `cp.async` that was not waited for.
//!
//! [`Emulated`] is all of it as a device of the kernels' crate: what drives a GPU drives it too.
//!
//! Instructions mean what NVIDIA's "Parallel Thread Execution ISA, version 8.5" says; section names in this
//! crate refer to it. Arithmetic is exact IEEE-754; approximate instructions are refused.
//!
//! ```
//! use mergevit_emulator::{Launch, Memory, Module, Options, run};
//!
//! let module = Module::parse(
//!     ".version 8.5
//!      .target sm_80
//!      .address_size 64
//!      .visible .entry twice(.param .u64 to)
//!      {
//!          .reg .b32 %r<3>;
//!          .reg .b64 %rd<3>;
//!          ld.param.u64 %rd1, [to];
//!          mov.u32 %r1, %tid.x;
//!          mul.wide.u32 %rd2, %r1, 4;
//!          add.s64 %rd1, %rd1, %rd2;
//!          shl.b32 %r2, %r1, 1;
//!          st.global.u32 [%rd1], %r2;
//!          ret;
//!      }",
//! )?;
//! let mut memory = Memory::new();
//! let to = memory.allocate(64 * 4);
//! let launch = Launch {
//!     kernel: "twice",
//!     grid: [1, 1, 1],
//!     block: [64, 1, 1],
//!     shared_bytes: 0,
//!     params: &to.to_le_bytes(),
//! };
//! let counts = run(&module, &launch, &mut memory, &Options::default())?;
//! assert_eq!(memory.read(to + 4 * 21, 4)?, [42, 0, 0, 0]);
//! assert_eq!(counts.global.write.sectors, 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod counts;
mod decode;
mod device;
mod emulated;
mod exec;
mod fault;
mod launch;
mod module;
mod mutant;
mod op;
mod options;
mod pooled;
mod run;
mod syntax;
mod warp;

pub use counts::{Class, Counts, Executed, Instructions, Matrix, ReadWrite, Traffic};
pub use device::memory::Memory;
pub use emulated::{Emulated, Ledger, Record, test_device};
pub use fault::{Fault, MemoryError, Other, Rule, Space};
pub use launch::Launch;
pub use module::Module;
pub use mutant::{Mutant, unnoticed_mutants};
pub use options::{BlockOrder, Checks, Options};
pub use run::run;
pub use syntax::ParseError;
