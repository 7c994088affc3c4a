//! Keys and values of one image and head, copied out of all heads' rows: keys as rows, values transposed.

use super::isa::CHANNELS;
use super::scratch::SCRATCH;
use crate::memory::{OutOfMemory, zeroed};
use crate::ops::MAX_HEAD_WIDTH;

/// Bytes of a row of keys, and of the panel's query: some sets multiply 64 at a time.
pub(super) const fn inner_width(head_width: usize) -> usize {
    head_width.next_multiple_of(64)
}

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

/// Space for one head.
#[derive(Debug)]
pub(super) struct HeadMemory {
    /// (T rounded up to 16, [`inner_width`]) i8 keys, and their row sums.
    pub(super) keys: Box<[i8]>,
    pub(super) key_sums: Box<[i32]>,
    /// (D, T rounded up to `INNER_STEP`) i8 values transposed, and their row sums.
    pub(super) values: Box<[i8]>,
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
            values: zeroed(head_width * tokens.next_multiple_of(64), SCRATCH)?,
            value_sums: [0; MAX_HEAD_WIDTH],
            bias: zeroed(tokens, SCRATCH)?,
        })
    }

    /// Copies keys and values of a head of `D` channels, padded with zeros: values to a multiple of `step` tokens.
    #[inline(always)]
    pub(super) fn load<const D: usize>(
        &mut self,
        source: &HeadSource<'_>,
        tokens: usize,
        step: usize,
    ) {
        self.load_keys::<D>(source, tokens);
        self.load_values::<D>(source, tokens, tokens.next_multiple_of(step));
    }

    #[inline(always)]
    fn load_keys<const D: usize>(&mut self, source: &HeadSource<'_>, tokens: usize) {
        let rows = self
            .keys
            .chunks_exact_mut(inner_width(D))
            .zip(&mut self.key_sums)
            .take(tokens.next_multiple_of(CHANNELS));
        for (j, (row, sum)) in rows.enumerate() {
            let (key, padding) = row.split_at_mut(D);
            if j < tokens {
                key.copy_from_slice(&source.rows[j * source.stride + source.key..][..D]);
            } else {
                key.fill(0);
            }
            padding.fill(0);
            *sum = key.iter().map(|&k| i32::from(k)).sum();
        }
    }

    #[inline(always)]
    fn load_values<const D: usize>(
        &mut self,
        source: &HeadSource<'_>,
        tokens: usize,
        padded: usize,
    ) {
        self.value_sums = [0; MAX_HEAD_WIDTH];
        let mut words = [[0i8; 4]; D];
        for j in (0..padded).step_by(4) {
            // Four tokens at a time: one word of each of the D rows.
            let mut rows = [[0i8; D]; 4];
            for (i, row) in rows.iter_mut().enumerate().take(tokens.saturating_sub(j)) {
                row.copy_from_slice(&source.rows[(j + i) * source.stride + source.value..][..D]);
                for (sum, &v) in self.value_sums.iter_mut().zip(&*row) {
                    *sum += i32::from(v);
                }
            }
            // First all words, then all stores, so that the words are made by vectors.
            for (d, word) in words.iter_mut().enumerate() {
                *word = [rows[0][d], rows[1][d], rows[2][d], rows[3][d]];
            }
            for (row, word) in self.values.chunks_exact_mut(padded).zip(&words) {
                row[j..j + 4].copy_from_slice(word);
            }
        }
    }
}
