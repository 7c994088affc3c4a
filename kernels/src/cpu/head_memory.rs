//! Keys and values of one image and head, copied out of all heads' rows: keys as rows, values transposed.

use super::isa::{CHANNELS, Isa, MAX_LANES, MIN_LANES};
use super::scratch::{SCRATCH, Scratch};
use crate::memory::{OutOfMemory, zeroed};
use crate::ops::MAX_HEAD_WIDTH;

/// Bytes of a row of keys, and of the panel's query: some sets multiply 64 at a time.
pub(super) const fn inner_width(head_width: usize) -> usize {
    head_width.next_multiple_of(64)
}

/// Bytes of a row of values, of which some sets store 64 at a time.
pub(super) const fn value_stride(tokens: usize) -> usize {
    tokens.next_multiple_of(64)
}

/// XORed into four i8, which adds 128 to each: [`Isa::add_bytes`] takes bytes without a sign.
const UNSIGN: i32 = i32::from_ne_bytes([0x80; 4]);

/// Where a head's keys and values are.
pub(super) struct HeadSource<'a> {
    /// (T, `stride`)
    pub(super) rows: &'a [i8],
    pub(super) stride: usize,
    /// Where in a row the head's key starts.
    pub(super) key: usize,
    /// Where in a row the head's value starts.
    pub(super) value: usize,
}

impl HeadSource<'_> {
    /// `D` channels of token `j`, from place `at` of its row on.
    #[inline(always)]
    fn row<const D: usize>(&self, j: usize, at: usize) -> &[i8; D] {
        let row = &self.rows[j * self.stride + at..];
        row.first_chunk().expect("a head's channels are in the row")
    }
}

/// Space for one head.
#[derive(Debug)]
pub(super) struct HeadMemory {
    /// (T rounded up to 16, [`inner_width`]) i8 keys, and their row sums.
    pub(super) keys: Box<[i8]>,
    pub(super) key_sums: Box<[i32]>,
    /// (D, [`value_stride`]) i8 values transposed, and their row sums.
    pub(super) values: Scratch,
    pub(super) value_sums: [i32; MAX_HEAD_WIDTH],
    /// (T) log2 of each key's size.
    pub(super) bias: Box<[f32]>,
}

impl HeadMemory {
    /// For up to `tokens` tokens, a multiple of [`CHANNELS`].
    pub(super) fn new(tokens: usize, head_width: usize) -> Result<Self, OutOfMemory> {
        Ok(Self {
            keys: zeroed(tokens * inner_width(head_width), SCRATCH)?,
            key_sums: zeroed(tokens, SCRATCH)?,
            values: Scratch::new(head_width * value_stride(tokens) / 4)?,
            value_sums: [0; MAX_HEAD_WIDTH],
            bias: zeroed(tokens, SCRATCH)?,
        })
    }

    /// Copies keys and values of a head of `D` channels, padded with zeros.
    #[inline(always)]
    pub(super) fn load<I: Isa, const D: usize>(
        &mut self,
        isa: I,
        source: &HeadSource<'_>,
        tokens: usize,
    ) {
        self.load_keys::<I, D>(isa, source, tokens);
        self.load_values::<I, D>(isa, source, tokens);
    }

    #[inline(always)]
    fn load_keys<I: Isa, const D: usize>(
        &mut self,
        isa: I,
        source: &HeadSource<'_>,
        tokens: usize,
    ) {
        let width = inner_width(D);
        let unsign = isa.splat_i32(UNSIGN);
        let excess = isa.splat_i32(-128 * width as i32);
        let rows = tokens.next_multiple_of(CHANNELS);
        let keys = self.keys[..rows * width].chunks_exact_mut(I::LANES * width);
        for (group, (keys, sums)) in keys
            .zip(self.key_sums.chunks_exact_mut(I::LANES))
            .enumerate()
        {
            let mut lanes = [isa.splat_i32(0); MAX_LANES];
            for (lane, (row, lanes)) in keys.chunks_exact_mut(width).zip(&mut lanes).enumerate() {
                let (key, padding) = row.split_at_mut(D);
                match group * I::LANES + lane {
                    j if j < tokens => key.copy_from_slice(source.row::<D>(j, source.key)),
                    _ => key.fill(0),
                }
                padding.fill(0);
                for words in row.chunks_exact(4 * I::LANES) {
                    let bytes = isa.xor_i32(isa.load_words(words), unsign);
                    *lanes = isa.add_bytes(*lanes, bytes);
                }
            }
            let sum = isa.sum_lanes(&mut lanes[..I::LANES]);
            isa.store_i32(isa.add_i32(sum, excess), sums);
        }
    }

    #[inline(always)]
    fn load_values<I: Isa, const D: usize>(
        &mut self,
        isa: I,
        source: &HeadSource<'_>,
        tokens: usize,
    ) {
        let stride = value_stride(tokens);
        let unsign = isa.splat_i32(UNSIGN);
        let excess = isa.splat_i32(-128 * stride as i32);
        let mut sums = [isa.splat_i32(0); MAX_HEAD_WIDTH / MIN_LANES];
        let sums = &mut sums[..D / I::LANES];
        let mut words = [[[0i8; 4]; D]; MAX_LANES];
        for j0 in (0..stride).step_by(4 * I::LANES) {
            // Of four tokens at a time one word of each of the D channels. First all words, then all stores, so that the
            // words are made by vectors.
            for (group, words) in words[..I::LANES].iter_mut().enumerate() {
                let mut rows = [[0i8; D]; 4];
                for (j, row) in (j0 + 4 * group..tokens).zip(&mut rows) {
                    *row = *source.row::<D>(j, source.value);
                }
                for (d, word) in words.iter_mut().enumerate() {
                    *word = [rows[0][d], rows[1][d], rows[2][d], rows[3][d]];
                }
            }
            let values = &mut self.values.words()[..D * stride / 4];
            let parts = values.chunks_exact_mut(I::LANES * stride / 4);
            for (part, (rows, sum)) in parts.zip(&mut *sums).enumerate() {
                let mut square = [isa.splat_i32(0); MAX_LANES];
                for (square, words) in square[..I::LANES].iter_mut().zip(&words) {
                    *square = isa.load_words(words[part * I::LANES..].as_flattened());
                    *sum = isa.add_bytes(*sum, isa.xor_i32(*square, unsign));
                }
                isa.transpose(&mut square[..I::LANES]);
                for (row, &square) in rows.chunks_exact_mut(stride / 4).zip(&square) {
                    isa.store_i32(square, &mut row[j0 / 4..]);
                }
            }
        }
        for (&sum, to) in sums.iter().zip(self.value_sums.chunks_exact_mut(I::LANES)) {
            isa.store_i32(isa.add_i32(sum, excess), to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::isa::for_every_set;

    /// Loads the second of two heads of `D` channels, and compares with what each place of the source holds.
    fn check<I: Isa, const D: usize>(isa: I) {
        const TOKENS: usize = 37;
        let stride = 6 * D;
        let at = |token: usize, place: usize| (token * 31 + place * 17) as i8;
        let rows: Vec<_> = (0..TOKENS * stride)
            .map(|i| at(i / stride, i % stride))
            .collect();
        let source = HeadSource {
            rows: &rows,
            stride,
            key: 3 * D,
            value: 5 * D,
        };
        let mut memory = HeadMemory::new(TOKENS.next_multiple_of(CHANNELS), D).unwrap();
        // A load must not depend on what an earlier one has left.
        memory.keys.fill(1);
        memory.values.words().fill(-1);
        isa.vectorize(
            #[inline(always)]
            || memory.load::<I, D>(isa, &source, TOKENS),
        );
        for (j, row) in memory.keys.chunks(inner_width(D)).enumerate() {
            let key = |d| {
                if j < TOKENS && d < D {
                    at(j, 3 * D + d)
                } else {
                    0
                }
            };
            let expected: Vec<_> = (0..inner_width(D)).map(key).collect();
            assert_eq!(row, expected, "{isa:?}: key {j} of {D}");
            let sum: i32 = expected.iter().map(|&x| i32::from(x)).sum();
            assert_eq!(memory.key_sums[j], sum, "{isa:?}: key {j} of {D}");
        }
        let values: &[i8] = bytemuck::cast_slice(memory.values.words());
        for (d, row) in values.chunks(value_stride(TOKENS)).enumerate() {
            let value = |j| if j < TOKENS { at(j, 5 * D + d) } else { 0 };
            let expected: Vec<_> = (0..row.len()).map(value).collect();
            assert_eq!(row, expected, "{isa:?}: values {d} of {D}");
            let sum: i32 = expected.iter().map(|&x| i32::from(x)).sum();
            assert_eq!(memory.value_sums[d], sum, "{isa:?}: values {d} of {D}");
        }
    }

    fn check_widths<I: Isa>(isa: I) {
        check::<I, 32>(isa);
        check::<I, 64>(isa);
        check::<I, 96>(isa);
        check::<I, 128>(isa);
    }

    #[test]
    fn a_head_is_loaded_whole_with_its_sums() {
        for_every_set!(check_widths);
    }
}
