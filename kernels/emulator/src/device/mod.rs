//! The parts of a device that outlive an instruction: memories, and who knows what of whom.

pub(crate) mod memory;
pub(crate) mod shared;
pub(crate) mod visibility;
