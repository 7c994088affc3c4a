//! What the passes need of a vector unit.

/// `LANES` sums of 32 bits, or twice as many samples of 16 bits. Sums wrap around.
pub(super) trait Vector: Copy {
    const LANES: usize;

    fn zero() -> Self;

    /// The first `2 LANES` samples.
    fn load(samples: &[i16]) -> Self;

    /// The pair in every lane.
    fn splat(pair: [i16; 2]) -> Self;

    /// In each lane `self + a[0] b[0] + a[1] b[1]`, where a and b are the lane's two samples.
    fn multiply_add(self, a: Self, b: Self) -> Self;

    /// In each lane `2¹¹ high + low`: the halves of [`Table`](super::table::Table)'s coefficients joined.
    fn join(low: Self, high: Self) -> Self;

    /// The four vectors' lane sums, each rounded from 22 fractional bits and clamped.
    fn finish_sums(vectors: [Self; 4]) -> [u8; 4];

    /// The four vectors' lanes in order, each rounded from 22 fractional bits and clamped, into the first
    /// `4 LANES` bytes of `out`.
    fn finish_lanes(vectors: [Self; 4], out: &mut [u8]);
}
