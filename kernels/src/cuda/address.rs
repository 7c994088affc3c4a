//! Device memory: addresses, and what a launch does with the bytes there.

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

/// What a launch, or an operation of a plan, does with a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads some or all of it.
    Read,
    /// Writes all of it, and reads nothing that was there before.
    Write,
    /// Reads and writes it.
    Update,
}

impl Access {
    /// Whether it needs what the range held before.
    pub const fn reads(self) -> bool {
        !matches!(self, Self::Write)
    }

    /// Whether it changes the range.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// A launch accesses so many ranges at most.
const MAX_ACCESSES: usize = 11;

/// The ranges of memory that a launch accesses, in bytes. Those of no bytes or at null are left out.
#[derive(Clone, Copy, Debug)]
pub struct Accesses {
    all: [(Access, Address, usize); MAX_ACCESSES],
    len: usize,
}

impl Accesses {
    /// None.
    pub(super) const fn new() -> Self {
        Self {
            all: [(Access::Read, Address::NULL, 0); MAX_ACCESSES],
            len: 0,
        }
    }

    /// Adds `bytes` that are read.
    pub(super) const fn read(self, from: Address, bytes: usize) -> Self {
        self.with(Access::Read, from, bytes)
    }

    /// Adds `bytes` that are written.
    pub(super) const fn write(self, to: Address, bytes: usize) -> Self {
        self.with(Access::Write, to, bytes)
    }

    /// Adds `bytes` that are read and written.
    pub(super) const fn update(self, at: Address, bytes: usize) -> Self {
        self.with(Access::Update, at, bytes)
    }

    const fn with(mut self, access: Access, at: Address, bytes: usize) -> Self {
        if at.0 != Address::NULL.0 && bytes != 0 {
            self.all[self.len] = (access, at, bytes);
            self.len += 1;
        }
        self
    }
}

impl std::ops::Deref for Accesses {
    type Target = [(Access, Address, usize)];

    fn deref(&self) -> &Self::Target {
        &self.all[..self.len]
    }
}
