//! Coefficient tables of the fast version: a window and its 22-bit coefficients for every output sample kept.
//!
//! A coefficient k is stored as two 16-bit halves, k = 2¹¹ high + low with 0 ≤ low < 2¹¹, because
//! 16 × 16-bit multiply-and-add-pairs is what every SIMD unit has. The sums Σ p high and Σ p low are formed in
//! wrapping i32 arithmetic and joined as 2¹¹ Σ p high + Σ p low: exact modulo 2³², hence exact, since the true
//! sum fits (a test of the filter shows it). The halves of two coefficients lie together, because a lane takes two.

use super::filter::Axis;
use super::geometry::Span;
use super::vector::Pair;

/// Bits of the low half.
pub(super) const LOW_BITS: u32 = 11;

/// Windows start at an even sample and have an even number of taps, padded with zero coefficients.
const PAIR: usize = 2;

/// Windows and split coefficients of one axis.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// First source sample of each output sample, even.
    starts: Vec<u32>,
    /// One past the last source sample of each.
    ends: Vec<u32>,
    /// Pairs of coefficients stored for each output sample.
    pairs: usize,
    coefficients: Vec<Pair>,
}

/// The window and coefficients of one output sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) coefficients: &'a [Pair],
}

impl Table {
    /// Makes room for any axis of at most `input` source samples of which at most `kept` outputs are kept.
    pub(super) fn reserve(&mut self, radius: usize, input: usize, kept: usize) {
        // A window has at most 2 radius max(1, scale) + 1 taps, plus one on either side that makes its ends even.
        // `kept` outputs lie side by side in the source, so kept × scale is at most `input`.
        let coefficients = (1 + PAIR) * kept + 2 * radius * kept.max(input);
        reserve_to(&mut self.starts, kept);
        reserve_to(&mut self.ends, kept);
        reserve_to(&mut self.coefficients, coefficients.div_ceil(PAIR));
    }

    /// Computes the windows of the outputs in `span`. No padded window reaches beyond the source's length rounded up to
    /// even.
    pub(super) fn build(&mut self, axis: &Axis, span: Span) {
        self.starts.clear();
        self.ends.clear();
        self.pairs = 0;
        for index in 0..span.count {
            let window = axis.window(span.first + index);
            let start = window.start / PAIR * PAIR;
            let end = window.start + window.len;
            self.starts.push(start as u32);
            self.ends.push(end as u32);
            self.pairs = self.pairs.max((end - start).div_ceil(PAIR));
        }
        let last_start = axis.input().next_multiple_of(PAIR) - PAIR * self.pairs;
        for start in &mut self.starts {
            *start = (*start).min(last_start as u32);
        }
        self.coefficients.clear();
        let zero = [[0; PAIR]; 2];
        self.coefficients.resize(span.count * self.pairs, zero);
        for index in 0..span.count {
            let window = axis.window(span.first + index);
            let at = window.start - self.starts[index] as usize;
            let pairs = &mut self.coefficients[index * self.pairs..][..self.pairs];
            for i in 0..window.len {
                let coefficient = window.coefficient(i);
                let [low, high] = &mut pairs[(at + i) / PAIR];
                low[(at + i) % PAIR] = (coefficient & ((1 << LOW_BITS) - 1)) as i16;
                high[(at + i) % PAIR] = (coefficient >> LOW_BITS) as i16;
            }
        }
    }

    /// Number of output samples.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Pairs of coefficients stored for each output sample.
    pub(super) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Source samples that all windows together read: first, one past the last (padding after it not counted).
    pub(super) fn extent(&self) -> (usize, usize) {
        // Ends ascend; so do starts, but where the last ones are all moved left to the same one.
        match (self.starts.first(), self.ends.last()) {
            (Some(&first), Some(&last)) => (first as usize, last as usize),
            _ => (0, 0),
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> Row<'_> {
        let at = index * self.pairs;
        Row {
            start: self.starts[index] as usize,
            end: self.ends[index] as usize,
            coefficients: &self.coefficients[at..][..self.pairs],
        }
    }

    /// Heap bytes held.
    pub(super) fn bytes(&self) -> usize {
        let windows = 4 * (self.starts.capacity() + self.ends.capacity());
        windows + size_of::<Pair>() * self.coefficients.capacity()
    }
}

/// Grows the capacity of `vec` to at least `capacity`, and by no more than that asks for.
pub(super) fn reserve_to<T>(vec: &mut Vec<T>, capacity: usize) {
    vec.reserve_exact(capacity.saturating_sub(vec.len()));
}
