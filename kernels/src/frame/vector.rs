//! What the passes need of a vector unit.

/// A pair of coefficients, split as in [`Table`](super::table::Table): both low halves, then both high ones.
pub(super) type Pair = [[i16; 2]; 2];

/// `LANES` sums of samples times coefficients, exact modulo 2³².
///
/// Samples come in pairs, two to a lane: `2 LANES` of them are one `Samples`, in an order that is the unit's own. Every
/// operation that writes samples for [`load`](Self::load) writes that order.
pub(super) trait Vector: Copy {
    const LANES: usize;

    /// `LANES` pairs of samples.
    type Samples: Copy;

    /// A pair of coefficients, for every lane.
    type Weights: Copy;

    /// `LANES` sums rounded to whole numbers.
    type Rounded: Copy;

    fn zero() -> Self;

    /// The first `2 LANES` of `samples`, in the unit's order.
    fn load(samples: &[i16]) -> Self::Samples;

    fn weights(pair: &Pair) -> Self::Weights;

    /// In each lane `self + s[0] w[0] + s[1] w[1]`, where s is the lane's pair of samples and w that of weights.
    fn multiply_add(self, samples: Self::Samples, weights: Self::Weights) -> Self;

    /// Rounds half up from 22 fractional bits.
    fn round(self) -> Self::Rounded;

    /// Makes lanes of rows: `LANES` rows of `2 LANES` samples, `row` apart, become `LANES` vectors, `step` apart in
    /// `out`. Lane i of vector j is the j-th pair of row i.
    fn transpose(rows: &[i16], row: usize, out: &mut [i16], step: usize);

    /// Makes rows of lanes, clamped to 0..=255: lanes 2 i and 2 i + 1 of the four become four pairs, in the unit's order,
    /// at `i step` of `out`.
    fn store_pairs(vectors: [Self::Rounded; 4], out: &mut [i16], step: usize);

    /// The four vectors' lanes in order, clamped to 0..=255, into the first `4 LANES` bytes of `out`.
    fn store_bytes(vectors: [Self::Rounded; 4], out: &mut [u8]);
}
