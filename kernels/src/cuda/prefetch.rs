//! What a launch asks memory for on behalf of the next one: `prefetch.cuh`.

use super::address::{Accesses, Address};
use super::params::params;

params! {
    /// `Prefetch` of `prefetch.cuh`
    Prefetch {
        /// Weights of the next launch; null: nothing
        from: Address,
        /// How many
        bytes: u32,
        /// Unused
        padding: u32,
    }
}

impl Prefetch {
    /// So many bytes from there.
    pub const fn new(from: Address, bytes: u32) -> Self {
        Self {
            from,
            bytes,
            padding: 0,
        }
    }

    /// Adds what is asked for: it has to be there.
    pub(super) const fn read(&self, accesses: Accesses) -> Accesses {
        accesses.read(self.from, self.bytes as usize)
    }
}
