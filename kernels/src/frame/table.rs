//! Coefficient tables of the fast version: a window and its 22-bit coefficients for every output sample kept.
//!
//! A coefficient k is stored as two 16-bit halves, k = 2¹¹ high + low with 0 ≤ low < 2¹¹, because
//! 16 × 16-bit multiply-and-add-pairs is what every SIMD unit has. The sums Σ p high and Σ p low are formed in
//! wrapping i32 arithmetic and joined as 2¹¹ Σ p high + Σ p low: exact modulo 2³², hence exact, since the true
//! sum fits (a test of the filter shows it).

use super::filter::Axis;
use super::geometry::Span;

/// Bits of the low half.
pub(super) const LOW_BITS: u32 = 11;

/// Windows are padded with zero coefficients to a multiple of at most this many taps: the widest vector.
pub(super) const MAX_TAP_BLOCK: usize = 16;

/// Windows and split coefficients of one axis.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// First source sample of each output sample, a multiple of the alignment.
    starts: Vec<u32>,
    /// One past the last source sample of each.
    ends: Vec<u32>,
    /// Coefficients stored for each output sample.
    taps: usize,
    low: Vec<i16>,
    high: Vec<i16>,
}

/// The window and coefficients of one output sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) low: &'a [i16],
    pub(super) high: &'a [i16],
}

impl Table {
    /// Makes room for any axis of at most `input` source samples of which at most `kept` outputs are kept.
    pub(super) fn reserve(&mut self, radius: usize, input: usize, kept: usize) {
        // A window has at most 2 radius max(1, scale) + 1 taps, plus alignment and padding. `kept`
        // outputs lie side by side in the source, so kept × scale is at most `input`.
        let coefficients = (MAX_TAP_BLOCK + 2) * kept + 2 * radius * kept.max(input);
        reserve_to(&mut self.starts, kept);
        reserve_to(&mut self.ends, kept);
        reserve_to(&mut self.low, coefficients);
        reserve_to(&mut self.high, coefficients);
    }

    /// Computes the windows of the outputs in `span`. Starts are rounded down to a multiple of `align`, counts
    /// up to a multiple of `block`, itself one of `align`; no padded window reaches beyond the source's length
    /// rounded up to `block`.
    pub(super) fn build(&mut self, axis: &Axis, span: Span, align: usize, block: usize) {
        self.starts.clear();
        self.ends.clear();
        self.taps = 0;
        for index in 0..span.count {
            let window = axis.window(span.first + index);
            let start = window.start / align * align;
            let end = window.start + window.len;
            self.starts.push(start as u32);
            self.ends.push(end as u32);
            self.taps = self.taps.max((end - start).next_multiple_of(block));
        }
        let last_start = axis.input().next_multiple_of(block) - self.taps;
        for start in &mut self.starts {
            *start = (*start).min(last_start as u32);
        }
        for half in [&mut self.low, &mut self.high] {
            half.clear();
            half.resize(span.count * self.taps, 0);
        }
        for index in 0..span.count {
            let window = axis.window(span.first + index);
            let at = index * self.taps + window.start - self.starts[index] as usize;
            for i in 0..window.len {
                let coefficient = window.coefficient(i);
                self.low[at + i] = (coefficient & ((1 << LOW_BITS) - 1)) as i16;
                self.high[at + i] = (coefficient >> LOW_BITS) as i16;
            }
        }
    }

    /// Number of output samples.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Coefficients stored for each output sample, a multiple of the block.
    pub(super) fn taps(&self) -> usize {
        self.taps
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
        let at = index * self.taps;
        Row {
            start: self.starts[index] as usize,
            end: self.ends[index] as usize,
            low: &self.low[at..][..self.taps],
            high: &self.high[at..][..self.taps],
        }
    }

    /// Heap bytes held.
    pub(super) fn bytes(&self) -> usize {
        4 * (self.starts.capacity() + self.ends.capacity())
            + 2 * (self.low.capacity() + self.high.capacity())
    }
}

/// Grows the capacity of `vec` to at least `capacity`, and by no more than that asks for.
pub(super) fn reserve_to<T>(vec: &mut Vec<T>, capacity: usize) {
    vec.reserve_exact(capacity.saturating_sub(vec.len()));
}
