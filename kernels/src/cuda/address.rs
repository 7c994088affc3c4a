//! Addresses in device memory.

/// An address in device memory.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct Address(pub u64);

impl Address {
    /// No memory: what an optional parameter holds.
    pub const NULL: Self = Self(0);

    /// `bytes` further on.
    #[must_use]
    pub const fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}
