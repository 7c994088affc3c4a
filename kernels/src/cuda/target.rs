//! What shapes launches.

/// What a device offers: launches depend on it in shape, never in result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Most shared memory of a block, in bytes (`CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`).
    pub shared_bytes: u32,
}

impl Target {
    /// Orin Nano 8 GB, NX: compute capability 8.7.
    pub const ORIN_NANO: Self = Self {
        multiprocessors: 8,
        shared_bytes: 163 * 1024,
    };

    /// AGX Orin 64 GB.
    pub const AGX_ORIN: Self = Self {
        multiprocessors: 16,
        shared_bytes: 163 * 1024,
    };
}
