//! What shapes launches.

/// Bytes of an SM's shared memory that the system takes for each block.
pub(super) const RESERVED_BYTES: u32 = 1 << 10;

/// What a device offers: launches depend on it in shape, never in result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Most shared memory of a block, in bytes (`CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`).
    pub shared_bytes: u32,
    /// Second-level cache in bytes (`CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE`).
    pub l2_bytes: u32,
}

impl Target {
    /// Orin Nano 8 GB, NX: compute capability 8.7. Sources differ on their L2, 2 or 4 MB: the driver knows.
    pub const ORIN_NANO: Self = Self {
        multiprocessors: 8,
        shared_bytes: 163 * 1024,
        l2_bytes: 2 << 20,
    };

    /// AGX Orin 64 GB.
    pub const AGX_ORIN: Self = Self {
        multiprocessors: 16,
        shared_bytes: 163 * 1024,
        l2_bytes: 4 << 20,
    };
}
