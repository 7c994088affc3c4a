//! Devices for tests: the emulator in place of a GPU, or a GPU that tests take in turn.

mod emulated;
mod isolation;
mod mutant;
mod pooled;

pub use emulated::{Emulated, Ledger, Record};
pub use mergevit_emulator::{BlockOrder, Checks, Counts, Options};
pub use mutant::{Mutant, unnoticed_mutants};

use super::{Device, Target};
use pooled::Pooled;

/// The device that tests run on: the emulator with these options, or with `MERGEVIT_TEST_DEVICE=cuda` the
/// first GPU.
///
/// # Panics
/// If a GPU was asked for and there is none.
pub fn test_device(options: Options) -> Box<dyn Device> {
    match std::env::var("MERGEVIT_TEST_DEVICE").as_deref() {
        Ok("cuda") => Box::new(Pooled::take()),
        Ok(other) => panic!("MERGEVIT_TEST_DEVICE={other}, expected cuda"),
        Err(_) => Box::new(Emulated::new(Target::ORIN_NANO, options)),
    }
}
