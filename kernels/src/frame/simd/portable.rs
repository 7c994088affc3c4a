//! Arrays, for machines without a unit of the other files.

use super::HALF;
use crate::frame::filter::PRECISION_BITS;
use crate::frame::table::LOW_BITS;
use crate::frame::vector::{Pair, Vector};

/// Four lanes.
#[derive(Clone, Copy)]
pub(super) struct Portable([i32; 4]);

impl Vector for Portable {
    const LANES: usize = 4;

    type Samples = [[i16; 2]; 4];
    type Weights = [i32; 2];
    type Rounded = [i32; 4];

    #[inline(always)]
    fn zero() -> Self {
        Self([0; 4])
    }

    #[inline(always)]
    fn load(samples: &[i16]) -> Self::Samples {
        let mut pairs = [[0; 2]; 4];
        pairs.as_flattened_mut().copy_from_slice(&samples[..8]);
        pairs
    }

    #[inline(always)]
    fn weights([low, high]: &Pair) -> Self::Weights {
        [0, 1].map(|i| i32::from(high[i]) << LOW_BITS | i32::from(low[i]))
    }

    #[inline(always)]
    fn multiply_add(self, samples: Self::Samples, weights: Self::Weights) -> Self {
        let mut sums = self.0;
        for (sum, pair) in sums.iter_mut().zip(samples) {
            for (sample, weight) in pair.into_iter().zip(weights) {
                *sum = sum.wrapping_add(i32::from(sample).wrapping_mul(weight));
            }
        }
        Self(sums)
    }

    #[inline(always)]
    fn round(self) -> [i32; 4] {
        self.0.map(|sum| sum.wrapping_add(HALF) >> PRECISION_BITS)
    }

    #[inline(always)]
    fn transpose(rows: &[i16], row: usize, out: &mut [i16], step: usize) {
        for (lane, samples) in rows.chunks(row).take(4).enumerate() {
            let (pairs, _) = samples[..8].as_chunks::<2>();
            for (pair, vector) in pairs.iter().zip(out.chunks_mut(step)) {
                vector[2 * lane..][..2].copy_from_slice(pair);
            }
        }
    }

    #[inline(always)]
    fn store_pairs(vectors: [[i32; 4]; 4], out: &mut [i16], step: usize) {
        for (element, vector) in vectors.iter().enumerate() {
            let (pairs, _) = vector.as_chunks::<2>();
            for (pair, out) in pairs.iter().zip(out.chunks_mut(step)) {
                out[2 * element..][..2]
                    .copy_from_slice(&pair.map(|value| value.clamp(0, 255) as i16));
            }
        }
    }

    #[inline(always)]
    fn store_bytes(vectors: [[i32; 4]; 4], out: &mut [u8]) {
        for (out, value) in out[..16].iter_mut().zip(vectors.as_flattened()) {
            *out = (*value).clamp(0, 255) as u8;
        }
    }
}
