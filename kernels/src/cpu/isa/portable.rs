//! Plain Rust, four lanes: for processors with none of the other sets, and to show that kernels do not
//! depend on a vector width.

use super::tile::{tile, tile_along};
use super::{Block, CHANNELS, Dot4, Flip, Isa, Sums};
use crate::cpu::peak::saturate;
use half::f16;

/// Available everywhere.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Portable;

impl Portable {
    pub(in crate::cpu) fn new() -> Option<Self> {
        Some(Self)
    }
}

const LANES: usize = 4;

#[inline(always)]
fn map<A: Copy, B>(a: [A; LANES], f: impl Fn(A) -> B) -> [B; LANES] {
    a.map(f)
}

#[inline(always)]
fn zip<A: Copy, B: Copy, C>(a: [A; LANES], b: [B; LANES], f: impl Fn(A, B) -> C) -> [C; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Isa for Portable {
    const LANES: usize = LANES;
    const VECTORS: usize = 1;
    const ALONG: usize = 2;
    const SIGNED: Flip = Flip::NONE;
    const UNSIGNED: Flip = Flip::TO_SIGNED;

    type I32 = [i32; LANES];
    type F32 = [f32; LANES];

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    unsafe fn block(self, block: &Block, _: usize, start: &[i32; CHANNELS], sums: &mut Sums) {
        // SAFETY: forwarded from the caller; `VECTORS` is 1.
        unsafe { tile::<_, 4, 1>(self, block, start, sums) }
    }

    #[inline(always)]
    unsafe fn along(self, block: &Block, _: usize, sums: &mut Sums) {
        // SAFETY: as above.
        unsafe { tile_along::<_, 4, 1>(self, block, sums) }
    }

    #[inline(always)]
    fn saturate(self, steps: usize) -> usize {
        saturate::<_, 4>(self, steps)
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> Self::I32 {
        std::array::from_fn(|i| from[i])
    }

    #[inline(always)]
    fn load_words(self, from: &[i8]) -> Self::I32 {
        let (words, _) = from.as_chunks::<4>();
        std::array::from_fn(|i| i32::from_le_bytes(words[i].map(|b| b as u8)))
    }

    #[inline(always)]
    fn store_i32(self, value: Self::I32, to: &mut [i32]) {
        to[..LANES].copy_from_slice(&value);
    }

    #[inline(always)]
    fn store_i8(self, value: Self::I32, to: &mut [i8]) {
        to[..LANES].copy_from_slice(&map(value, |v| v as i8));
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> Self::F32 {
        std::array::from_fn(|i| from[i])
    }

    #[inline(always)]
    fn store_f32(self, value: Self::F32, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&value);
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> Self::F32 {
        std::array::from_fn(|i| from[i].to_f32())
    }

    #[inline(always)]
    fn store_f16(self, value: Self::F32, to: &mut [f16]) {
        to[..LANES].copy_from_slice(&map(value, f16::from_f32));
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> Self::I32 {
        [value; LANES]
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> Self::F32 {
        [value; LANES]
    }

    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, |a, b| a ^ b)
    }

    #[inline(always)]
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, Ord::max)
    }

    #[inline(always)]
    fn shift_left<const BITS: u32>(self, a: Self::I32) -> Self::I32 {
        map(a, |a| a << BITS)
    }

    #[inline(always)]
    fn second_bytes(self, words: [Self::I32; 4]) -> Self::I32 {
        let byte = |word: Self::I32, lane: usize| word[lane].to_le_bytes()[1];
        std::array::from_fn(|lane| i32::from_le_bytes(words.map(|word| byte(word, lane))))
    }

    #[inline(always)]
    fn add_bytes(self, sum: Self::I32, bytes: Self::I32) -> Self::I32 {
        zip(sum, bytes, |sum, word| {
            sum + word.to_le_bytes().map(i32::from).iter().sum::<i32>()
        })
    }

    #[inline(always)]
    fn to_f32(self, a: Self::I32) -> Self::F32 {
        map(a, |a| a as f32)
    }

    #[inline(always)]
    fn to_i32(self, a: Self::F32) -> Self::I32 {
        map(a, |a| a.round_ties_even() as i32)
    }

    #[inline(always)]
    fn bits(self, a: Self::F32) -> Self::I32 {
        map(a, |a| a.to_bits() as i32)
    }

    #[inline(always)]
    fn float_of_bits(self, a: Self::I32) -> Self::F32 {
        map(a, |a| f32::from_bits(a as u32))
    }

    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn abs(self, a: Self::F32) -> Self::F32 {
        map(a, f32::abs)
    }

    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn fnma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| (-a[i]).mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn round(self, a: Self::F32) -> Self::F32 {
        map(a, f32::round_ties_even)
    }

    #[inline(always)]
    fn rotate(self, pairs: Self::F32, turns: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| {
            let (cos, sin) = (turns[i & !1], turns[i | 1]);
            let product = pairs[i ^ 1] * sin;
            let signed = if i % 2 == 0 { -product } else { product };
            pairs[i].mul_add(cos, signed)
        })
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [Self::I32]) {
        let from: [Self::I32; LANES] = std::array::from_fn(|i| rows[i]);
        for (i, row) in rows.iter_mut().enumerate() {
            *row = std::array::from_fn(|j| from[j][i]);
        }
    }
}

impl Dot4 for Portable {
    type Bytes = [[i8; 4]; LANES];

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> Self::Bytes {
        // SAFETY: the caller vouches for 16 readable bytes; any bytes are valid i8.
        unsafe { from.cast::<Self::Bytes>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat_bytes(self, from: *const i8) -> Self::I32 {
        // SAFETY: the caller vouches for 4 readable bytes.
        [unsafe { from.cast::<i32>().read_unaligned() }; LANES]
    }

    #[inline(always)]
    fn dot4(self, sum: Self::I32, bytes: Self::Bytes, weights: Self::I32) -> Self::I32 {
        let weights = map(weights, |w| w.to_ne_bytes().map(|b| b as i8));
        std::array::from_fn(|lane| {
            (0..4).fold(sum[lane], |sum, i| {
                sum + i32::from(bytes[lane][i]) * i32::from(weights[lane][i])
            })
        })
    }

    #[inline(always)]
    fn opaque(self, bytes: Self::Bytes) -> Self::Bytes {
        std::hint::black_box(bytes)
    }
}
