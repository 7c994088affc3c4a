//! What the CPU kernels need from an instruction set, and the sets there are.
//!
//! Every kernel is written once, generic over [`Isa`]; a set is a thin shell of single instructions.
//! A value of an `Isa` type is the proof that this processor has the instructions: only `new` makes one.

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod amx_emulator;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;
mod tile;

use half::f16;

/// Fewest and most lanes of a vector, over all sets.
pub(super) const MIN_LANES: usize = 4;
pub(super) const MAX_LANES: usize = 16;

/// Most vectors of tokens that one call of [`Isa::block`] covers, over all sets.
pub(super) const MAX_VECTORS: usize = 3;

/// Output channels of one call of [`Isa::block`].
pub(super) const CHANNELS: usize = 16;

/// Sums of one block: `[channel][vector][lane]`, `I::LANES` lanes and `I::VECTORS` vectors apart.
#[derive(Clone, Copy, Debug, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Sums(pub(super) [i32; CHANNELS * MAX_VECTORS * MAX_LANES]);

impl Sums {
    pub(super) const ZERO: Self = Self([0; CHANNELS * MAX_VECTORS * MAX_LANES]);
}

/// Whether a panel's bytes stand for i8 or u8 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Signed,
    Unsigned,
}

/// How a set wants a panel's bytes, and what that adds to each sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flip {
    /// XORed into every byte: 0 or 0x80, which adds or subtracts 128.
    pub(super) mask: u8,
    /// The sums come out too large by `-correction * (sum of the weight row)`.
    pub(super) correction: i32,
}

impl Flip {
    pub(super) const NONE: Self = Self {
        mask: 0,
        correction: 0,
    };
    /// For instructions that take unsigned bytes only, on signed values.
    #[cfg(target_arch = "x86_64")]
    pub(super) const TO_UNSIGNED: Self = Self {
        mask: 0x80,
        correction: -128,
    };
    /// For instructions that take signed bytes only, on unsigned values.
    pub(super) const TO_SIGNED: Self = Self {
        mask: 0x80,
        correction: 128,
    };
}

/// Operands of [`Isa::block`], [`CHANNELS`] weight rows against vectors of tokens, and of [`Isa::along`], against single
/// tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// `[vector][K / 4][lane][4]` bytes: the panel's first vector of this block; or the first token's K bytes.
    pub(super) panel: *const u8,
    /// Bytes from one vector of the panel to the next, `K * LANES`; or from one token to the next.
    pub(super) vector_stride: usize,
    /// First of [`CHANNELS`] rows of K bytes.
    pub(super) weights: *const i8,
    /// Bytes from one weight row to the next.
    pub(super) weight_stride: usize,
    /// How many of the weight rows count, from the first on; what becomes of the others' sums is open.
    pub(super) rows: usize,
    /// K, a multiple of `INNER_STEP`.
    pub(super) inner: usize,
    /// Memory to ask for while the block computes.
    pub(super) ahead: Ahead,
    /// What the panel's bytes stand for; asked by sets that have an instruction for each sign.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub(super) sign: Sign,
}

/// Memory that is needed soon. A core waits for no more than some tens of cache lines at once, so that asking for all of
/// them in one go would hold up whatever comes next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    start: *const i8,
    lines: usize,
}

impl Ahead {
    pub(super) const NONE: Self = Self {
        start: std::ptr::null(),
        lines: 0,
    };

    /// `bytes` from `start` on, which need not be readable.
    pub(super) const fn new(start: *const i8, bytes: usize) -> Self {
        Self {
            start,
            lines: bytes.div_ceil(64),
        }
    }

    /// Asks for all of it.
    #[inline(always)]
    pub(super) fn request<I: Isa>(self, isa: I) {
        for line in 0..self.lines {
            isa.prefetch(self.start.wrapping_add(64 * line));
        }
    }
}

/// One instruction set. All methods are single instructions or short fixed sequences of them.
///
/// `max` and `min` return the second operand if the first is NaN.
pub(super) trait Isa: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// Lanes of `I32` and `F32`; divides [`MAX_LANES`].
    const LANES: usize;
    /// Vectors of tokens that fill the registers in [`Isa::block`]; at most [`MAX_VECTORS`].
    const VECTORS: usize;
    /// What `Block::inner` is a multiple of; divides 64.
    const INNER_STEP: usize = 16;
    /// Up to so many tokens, too few for a vector of them, [`Isa::along`] is faster than [`Isa::block`].
    const ALONG: usize = 0;
    /// How panels of signed values are stored.
    const SIGNED: Flip;
    /// How panels of unsigned values are stored.
    const UNSIGNED: Flip;

    type I32: Copy;
    type F32: Copy;

    /// Runs `f` compiled for this set.
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;

    /// Computes [`CHANNELS`] by `vectors` sums, starting from `start` (one value a channel; zeros where the
    /// panel's [`Flip`] asks for no correction).
    ///
    /// # Safety
    /// All of the panel's and the weights' bytes that `block` describes must be readable, and `vectors`
    /// in 1..=`VECTORS`.
    unsafe fn block(self, block: &Block, vectors: usize, start: &[i32; CHANNELS], sums: &mut Sums);

    /// Computes [`CHANNELS`] by `tokens` sums with K along the lanes: what is left of each, `[channel][token]` in
    /// `sums`, is to be summed over its lanes.
    ///
    /// # Safety
    /// All of the tokens' and the weights' bytes that `block` describes must be readable, `inner` a multiple of
    /// `4 * LANES`, and `tokens` in 1..=`VECTORS`.
    unsafe fn along(self, _block: &Block, _tokens: usize, _sums: &mut Sums) {
        unreachable!("a set whose ALONG is 0")
    }

    /// Keeps the multipliers busy, from registers alone; returns how many products that was, in proportion
    /// to `steps`.
    fn saturate(self, steps: usize) -> usize;

    /// Asks for the cache line of `at`; no effect on the program's meaning, and none by default.
    #[inline(always)]
    fn prefetch(self, _at: *const i8) {}

    fn load_i32(self, from: &[i32]) -> Self::I32;
    /// Loads `LANES` little-endian words.
    fn load_words(self, from: &[i8]) -> Self::I32;
    fn store_i32(self, value: Self::I32, to: &mut [i32]);
    /// Stores the low byte of every lane.
    fn store_i8(self, value: Self::I32, to: &mut [i8]);
    fn load_f32(self, from: &[f32]) -> Self::F32;
    fn store_f32(self, value: Self::F32, to: &mut [f32]);
    fn load_f16(self, from: &[f16]) -> Self::F32;
    fn store_f16(self, value: Self::F32, to: &mut [f16]);

    fn splat_i32(self, value: i32) -> Self::I32;
    fn splat_f32(self, value: f32) -> Self::F32;
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn shift_left<const BITS: u32>(self, a: Self::I32) -> Self::I32;
    /// The second lowest byte of every lane of four vectors, the first vector's lowest.
    fn second_bytes(self, words: [Self::I32; 4]) -> Self::I32;
    /// `sum[lane]` plus the lane's four bytes, each from 0 to 255.
    fn add_bytes(self, sum: Self::I32, bytes: Self::I32) -> Self::I32;
    fn to_f32(self, a: Self::I32) -> Self::F32;
    /// Rounds to the nearest integer, ties to even.
    fn to_i32(self, a: Self::F32) -> Self::I32;
    fn bits(self, a: Self::F32) -> Self::I32;
    fn float_of_bits(self, a: Self::I32) -> Self::F32;

    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn abs(self, a: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `-(a * b) + c`, rounded once.
    fn fnma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;

    /// [`crate::math::sat8`]: an i8 in every lane's low byte.
    #[inline(always)]
    fn sat8(self, x: Self::F32) -> Self::I32 {
        let low = self.max(x, self.splat_f32(-127.0));
        self.to_i32(self.min(low, self.splat_f32(127.0)))
    }

    /// The nearest integer as a float, ties to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// Turns pairs of lanes `(a, b)` by pairs `(cos, sin)`: `(fma(a, cos, -(b * sin)), fma(b, cos, a * sin))`, the
    /// products `b * sin` and `a * sin` rounded.
    fn rotate(self, pairs: Self::F32, turns: Self::F32) -> Self::F32;

    /// Transposes a square of `LANES` vectors.
    fn transpose(self, rows: &mut [Self::I32]);

    /// `LANES` vectors of values that an i8 holds, each lane's together: lane `l` of the `v`-th vector is byte `v` of row `l`.
    #[inline(always)]
    fn byte_rows(self, columns: &mut [Self::I32]) -> [[i8; MAX_LANES]; MAX_LANES] {
        self.transpose(columns);
        let mut rows = [[0; MAX_LANES]; MAX_LANES];
        for (row, &words) in rows.iter_mut().zip(&*columns) {
            self.store_i8(words, row);
        }
        rows
    }

    /// The sum over the lanes of each of `LANES` vectors.
    #[inline(always)]
    fn sum_lanes(self, vectors: &mut [Self::I32]) -> Self::I32 {
        self.transpose(vectors);
        let mut sum = self.splat_i32(0);
        for &vector in &*vectors {
            sum = self.add_i32(sum, vector);
        }
        sum
    }
}

/// A set with a four-byte dot product, for those whose [`Isa::block`] is [`tile::tile`].
///
/// Exact for weights in [-127, 127], which is all that packs, keys and values hold; panel bytes may be
/// anything.
pub(super) trait Dot4: Isa {
    /// A vector of panel bytes, ready for [`Dot4::dot4`].
    type Bytes: Copy;

    /// Loads `LANES * 4` panel bytes.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn load_bytes(self, from: *const u8) -> Self::Bytes;
    /// Repeats 4 weight bytes in every lane.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn splat_bytes(self, from: *const i8) -> Self::I32;
    /// `sum[lane] += bytes[lane][0..4] . weights[lane][0..4]`, exact.
    fn dot4(self, sum: Self::I32, bytes: Self::Bytes, weights: Self::I32) -> Self::I32;
    /// Returns `bytes`, in the registers they are in; the compiler no longer knows what they are.
    fn opaque(self, bytes: Self::Bytes) -> Self::Bytes;
}

/// Calls a function that is generic over [`Isa`] with every set that is a shell of its own and that this processor has.
#[cfg(test)]
macro_rules! for_every_set {
    ($check:ident) => {{
        use $crate::cpu::isa;
        isa::portable::Portable::new().map($check);
        #[cfg(target_arch = "x86_64")]
        {
            isa::avx512::Avx512Vnni::new().map($check);
            isa::avx2::Avx2::<isa::avx2::Vnni>::new().map($check);
            isa::avx2::Avx2::<isa::avx2::Madd>::new().map($check);
        }
        #[cfg(target_arch = "aarch64")]
        {
            isa::neon::Neon::<isa::neon::Sdot>::new().map($check);
            isa::neon::Neon::<isa::neon::Smull>::new().map($check);
        }
    }};
}
#[cfg(test)]
pub(super) use for_every_set;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_sat8<I: Isa>(isa: I) {
        for x in [
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            126.5,
            127.0,
            127.5,
            -126.5,
            -127.5,
            -128.0,
            3e9,
            -3e9,
            1e30,
            -1e30,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            -f32::NAN,
        ] {
            let mut bytes = [0; MAX_LANES];
            isa.vectorize(
                #[inline(always)]
                || isa.store_i8(isa.sat8(isa.splat_f32(x)), &mut bytes[..I::LANES]),
            );
            assert_eq!(
                bytes[..I::LANES],
                vec![crate::math::sat8(x); I::LANES],
                "{isa:?}: {x}"
            );
        }
    }

    #[test]
    fn every_set_rounds_to_bytes_as_the_reference_does() {
        for_every_set!(check_sat8);
    }
}
