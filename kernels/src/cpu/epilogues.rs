//! What becomes of a linear layer's sums: [`crate::ops::Epilogue`], a vector at a time.

use super::isa::{Isa, MAX_LANES};
use super::shared::SharedMut;
use super::simd_math::Activator;
use crate::math::Activation;
use crate::ops::{Embed, LinearWeights, Rotation, Steps};
use half::f16;

/// `LANES` output channels' scales and biases, from `n` on, of each of the `PARTS` columns of a channel.
#[derive(Clone, Copy)]
pub(super) struct Scaling<I: Isa, const PARTS: usize> {
    scale: [I::F32; PARTS],
    bias: [I::F32; PARTS],
}

impl<I: Isa, const PARTS: usize> Scaling<I, PARTS> {
    #[inline(always)]
    pub(super) fn new(isa: I, weights: &LinearWeights<'_>, n: usize) -> Self {
        let mut scaling = Self {
            scale: [isa.splat_f32(0.0); PARTS],
            bias: [isa.splat_f32(0.0); PARTS],
        };
        for part in 0..PARTS {
            scaling.scale[part] = every::<I, PARTS>(isa, &weights.scale[n * PARTS + part..]);
            scaling.bias[part] = every::<I, PARTS>(isa, &weights.bias[n * PARTS + part..]);
        }
        scaling
    }

    #[inline(always)]
    pub(super) fn apply(&self, isa: I, sums: [I::I32; PARTS]) -> [I::F32; PARTS] {
        let mut y = self.bias;
        for part in 0..PARTS {
            y[part] = isa.fma(isa.to_f32(sums[part]), self.scale[part], self.bias[part]);
        }
        y
    }
}

/// A vector of every `STEP`-th element.
#[inline(always)]
fn every<I: Isa, const STEP: usize>(isa: I, from: &[f32]) -> I::F32 {
    if STEP == 1 {
        return isa.load_f32(from);
    }
    let mut lanes = [0.0; MAX_LANES];
    for (lane, &x) in lanes[..I::LANES].iter_mut().zip(from.iter().step_by(STEP)) {
        *lane = x;
    }
    isa.load_f32(&lanes)
}

/// What happens to a vector of `LANES` output channels, starting at `n`, of token row `m`. Each channel is made of
/// `PARTS` neighbouring columns.
pub(super) trait Finish<const PARTS: usize>: Sync {
    /// Vectors that many calls of `row` need.
    type Ready<I: Isa>: Copy;

    fn ready<I: Isa>(&self, isa: I) -> Self::Ready<I>;

    /// # Safety
    /// No other thread writes these elements.
    unsafe fn row<I: Isa>(
        &self,
        isa: I,
        ready: &Self::Ready<I>,
        m: usize,
        n: usize,
        y: [I::F32; PARTS],
    );
}

/// A [`Finish`] without vectors of its own.
macro_rules! nothing_ready {
    () => {
        type Ready<I: Isa> = ();

        fn ready<I: Isa>(&self, _: I) {}
    };
}

/// See [`crate::ops::Epilogue::Requantize`].
pub(super) struct Requantize<'a> {
    output: SharedMut<'a, i8>,
    stride: usize,
}

impl<'a> Requantize<'a> {
    /// `output` is (`rows`, `outputs`).
    pub(super) fn new(output: &'a mut [i8], rows: usize, outputs: usize) -> Self {
        assert_eq!(output.len(), rows * outputs);
        Self {
            output: SharedMut::new(output),
            stride: outputs,
        }
    }
}

impl Finish<1> for Requantize<'_> {
    nothing_ready!();

    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, _: &(), m: usize, n: usize, [y]: [I::F32; 1]) {
        let at = m * self.stride + n;
        // SAFETY: the caller's.
        let to = unsafe { self.output.part(at..at + I::LANES) };
        isa.store_i8(isa.sat8(y), to);
    }
}

/// See [`crate::ops::Epilogue::Rotate`].
pub(super) struct Rotate<'a> {
    rotation: Rotation<'a>,
    /// Tables of a row.
    tables: usize,
    /// Columns of queries and keys.
    turned: usize,
    requantize: Requantize<'a>,
}

impl<'a> Rotate<'a> {
    pub(super) fn new(
        rotation: Rotation<'a>,
        output: &'a mut [i8],
        rows: usize,
        outputs: usize,
    ) -> Self {
        let (heads, width) = (rotation.heads, rotation.head_width);
        let tables = if rotation.shared { 1 } else { heads };
        assert!(width.is_multiple_of(MAX_LANES), "a vector is in one head");
        assert_eq!(outputs, 3 * heads * width);
        assert_eq!(rotation.table.len(), rows * tables * width);
        Self {
            rotation,
            tables,
            turned: 2 * heads * width,
            requantize: Requantize::new(output, rows, outputs),
        }
    }
}

impl Finish<1> for Rotate<'_> {
    nothing_ready!();

    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, _: &(), m: usize, n: usize, [y]: [I::F32; 1]) {
        let width = self.rotation.head_width;
        let y = if n < self.turned {
            let table = n / width % self.tables;
            let at = (m * self.tables + table) * width + n % width;
            isa.rotate(y, isa.load_f32(&self.rotation.table[at..]))
        } else {
            y
        };
        // SAFETY: the caller's.
        unsafe { self.requantize.row(isa, &(), m, n, [y]) };
    }
}

/// See [`crate::ops::Epilogue::Activate`].
pub(super) struct Activate<'a> {
    pub(super) activation: Activation,
    pub(super) steps: Steps<'a>,
    pub(super) requantize: Requantize<'a>,
}

impl Finish<1> for Activate<'_> {
    type Ready<I: Isa> = Activator<I>;

    #[inline(always)]
    fn ready<I: Isa>(&self, isa: I) -> Activator<I> {
        Activator::new(isa, &self.activation)
    }

    #[inline(always)]
    unsafe fn row<I: Isa>(
        &self,
        isa: I,
        ready: &Activator<I>,
        m: usize,
        n: usize,
        [y]: [I::F32; 1],
    ) {
        let inverse = isa.load_f32(&self.steps.inverse[n..]);
        let zero = isa.load_f32(&self.steps.zero_point[n..]);
        let y = isa.fma(ready.apply(isa, y), inverse, zero);
        // SAFETY: the caller's.
        unsafe { self.requantize.row(isa, &(), m, n, [y]) };
    }
}

/// The activated gate times the value, then what `then` does: [`crate::ops::Epilogue::Gate`] and
/// [`crate::ops::Epilogue::GateHalf`].
pub(super) struct Gate<F> {
    pub(super) activation: Activation,
    pub(super) then: F,
}

impl<F: Finish<1>> Finish<2> for Gate<F> {
    type Ready<I: Isa> = (Activator<I>, F::Ready<I>);

    #[inline(always)]
    fn ready<I: Isa>(&self, isa: I) -> Self::Ready<I> {
        (Activator::new(isa, &self.activation), self.then.ready(isa))
    }

    #[inline(always)]
    unsafe fn row<I: Isa>(
        &self,
        isa: I,
        (activator, ready): &Self::Ready<I>,
        m: usize,
        n: usize,
        [gate, value]: [I::F32; 2],
    ) {
        let y = isa.mul(activator.apply(isa, gate), value);
        // SAFETY: the caller's.
        unsafe { self.then.row(isa, ready, m, n, [y]) };
    }
}

/// See [`crate::ops::Epilogue::Half`].
pub(super) struct Half<'a> {
    output: SharedMut<'a, f16>,
    stride: usize,
}

impl<'a> Half<'a> {
    /// `output` is (`rows`, `outputs`).
    pub(super) fn new(output: &'a mut [f16], rows: usize, outputs: usize) -> Self {
        assert_eq!(output.len(), rows * outputs);
        Self {
            output: SharedMut::new(output),
            stride: outputs,
        }
    }
}

impl Finish<1> for Half<'_> {
    nothing_ready!();

    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, _: &(), m: usize, n: usize, [y]: [I::F32; 1]) {
        let at = m * self.stride + n;
        // SAFETY: the caller's.
        isa.store_f16(y, unsafe { self.output.part(at..at + I::LANES) });
    }
}

/// See [`crate::ops::Epilogue::ResidualAdd`].
pub(super) struct ResidualAdd<'a> {
    residual: SharedMut<'a, f16>,
    stride: usize,
}

impl<'a> ResidualAdd<'a> {
    /// `residual` is (`rows`, `outputs`).
    pub(super) fn new(residual: &'a mut [f16], rows: usize, outputs: usize) -> Self {
        assert_eq!(residual.len(), rows * outputs);
        Self {
            residual: SharedMut::new(residual),
            stride: outputs,
        }
    }
}

impl Finish<1> for ResidualAdd<'_> {
    nothing_ready!();

    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, _: &(), m: usize, n: usize, [y]: [I::F32; 1]) {
        let at = m * self.stride + n;
        // SAFETY: the caller's.
        let x = unsafe { self.residual.part(at..at + I::LANES) };
        isa.store_f16(isa.add(isa.load_f16(x), y), x);
    }
}

/// See [`crate::ops::Epilogue::Embed`].
pub(super) struct Position<'a> {
    position: &'a [f32],
    residual: SharedMut<'a, f16>,
    first: usize,
    tokens: usize,
    stride: usize,
}

impl<'a> Position<'a> {
    /// Fills in the prefix's rows, which no product belongs to.
    pub(super) fn new(embed: Embed<'a>, rows: usize, outputs: usize) -> Self {
        let Embed {
            batch,
            prefix: first,
            position,
            residual,
        } = embed;
        let tokens = position.len() / outputs;
        assert_eq!(residual.len(), batch * tokens * outputs);
        assert_eq!(rows, batch * (tokens - first));
        for image in residual.chunks_exact_mut(tokens * outputs) {
            for (x, &p) in image.iter_mut().zip(&position[..first * outputs]) {
                *x = f16::from_f32(p);
            }
        }
        Self {
            position,
            residual: SharedMut::new(residual),
            first,
            tokens,
            stride: outputs,
        }
    }
}

impl Finish<1> for Position<'_> {
    nothing_ready!();

    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, _: &(), m: usize, n: usize, [y]: [I::F32; 1]) {
        let patches = self.tokens - self.first;
        let (image, token) = (m / patches, m % patches + self.first);
        let position = isa.load_f32(&self.position[token * self.stride + n..]);
        let at = (image * self.tokens + token) * self.stride + n;
        // SAFETY: the caller's.
        let to = unsafe { self.residual.part(at..at + I::LANES) };
        isa.store_f16(isa.add(y, position), to);
    }
}
