//! The choice among the vector units that a machine has.
//!
//! SSE2 and NEON belong to every x86-64 and AArch64 processor; AVX2 and AVX-512 are asked for at run time.

/// A vector unit that a [`Preprocessor`](crate::frame::Preprocessor) can use. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VectorUnit {
    /// AVX-512 F and BW with VNNI, of x86-64.
    Avx512Vnni,
    /// AVX2 of x86-64.
    Avx2,
    /// SSE2, the baseline of x86-64.
    Sse2,
    /// NEON, the baseline of AArch64.
    Neon,
    /// No vector instructions; every machine has it.
    Portable,
}

impl VectorUnit {
    /// Every vector unit, best first.
    pub const ALL: [Self; 5] = [
        Self::Avx512Vnni,
        Self::Avx2,
        Self::Sse2,
        Self::Neon,
        Self::Portable,
    ];

    /// Whether this machine has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => true,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon => true,
            Self::Portable => true,
            _ => false,
        }
    }

    /// The best that this machine has.
    #[must_use]
    pub fn best() -> Self {
        let mut found = Self::ALL.into_iter().filter(|unit| unit.is_available());
        found.next().unwrap_or(Self::Portable)
    }

    /// Sums of 32 bits that one vector holds: as many source rows are resampled together.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::Avx512Vnni => 16,
            Self::Avx2 => 8,
            Self::Sse2 | Self::Neon | Self::Portable => 4,
        }
    }
}
