//! The passes in the instructions of each vector unit: the only folder of this module with `unsafe`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse2;

use super::filter::PRECISION_BITS;
use super::passes::{Output, Passes};
use super::vector_unit::VectorUnit;
use super::view::Frame;

/// Runs the passes of one frame. A unit that the machine lacks runs as [`VectorUnit::Portable`].
pub(super) fn run(
    unit: VectorUnit,
    passes: &mut Passes<'_>,
    frame: &Frame<'_>,
    output: &mut Output<'_>,
) {
    match unit {
        #[cfg(target_arch = "x86_64")]
        VectorUnit::Avx512Vnni if unit.is_available() => {
            // SAFETY: the machine has AVX-512 F and BW with VNNI.
            unsafe { avx512::run(passes, frame, output) }
        }
        #[cfg(target_arch = "x86_64")]
        VectorUnit::Avx2 if unit.is_available() => {
            // SAFETY: the machine has AVX2.
            unsafe { avx2::run(passes, frame, output) }
        }
        #[cfg(target_arch = "x86_64")]
        VectorUnit::Sse2 => passes.run::<sse2::Sse2>(frame, output),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        VectorUnit::Neon => passes.run::<neon::Neon>(frame, output),
        _ => passes.run::<portable::Portable>(frame, output),
    }
}

/// Half of the last place that a finished sum keeps.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Both samples of a pair as one word, the first in its low half: a pair as it lies in little-endian memory.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn word([a, b]: [i16; 2]) -> i32 {
    i32::from(b) << 16 | i32::from(a as u16)
}
