//! Attention heads as they are stored: padded to a width that the kernels have, rotary pairs side by side.

use mergevit_kernels::ops::{HEAD_WIDTHS, ROW_ALIGN};

/// How the channels of attention heads are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct Heads {
    pub(in crate::checkpoint) count: usize,
    /// Channels of a head in the file.
    pub(in crate::checkpoint) width: usize,
    /// Channels of a head in the pack: the others are zeros.
    pub(in crate::checkpoint) stored: usize,
}

impl Heads {
    /// Heads of `width` channels; none if they are wider than the kernels have them.
    pub(in crate::checkpoint) fn new(count: usize, width: usize) -> Option<Self> {
        let fits = |stored: &usize| {
            *stored >= width
                && count
                    .checked_mul(*stored)
                    .is_some_and(|all| all.is_multiple_of(ROW_ALIGN))
        };
        let stored = HEAD_WIDTHS.into_iter().find(fits)?;
        Some(Self {
            count,
            width,
            stored,
        })
    }

    /// All channels in the file.
    pub(super) fn channels(self) -> usize {
        self.count * self.width
    }

    /// All channels in the pack.
    pub(super) fn stored_channels(self) -> usize {
        self.count * self.stored
    }

    /// For each stored channel of a head, the channel in the file that it holds; none for padding. With `halves`
    /// the rotary pair of channel i is i plus half the width, and becomes a pair of neighbours.
    fn order(self, halves: bool) -> impl Iterator<Item = Option<usize>> {
        let half = self.width / 2;
        (0..self.stored).map(move |stored| {
            let channel = if halves {
                stored / 2 + stored % 2 * half
            } else {
                stored
            };
            (stored < self.width).then_some(channel)
        })
    }

    /// Rows of (channels, `row`) as they are stored.
    pub(super) fn rows(self, rows: &[f32], row: usize, halves: bool) -> Vec<f32> {
        let mut stored = Vec::with_capacity(self.stored_channels() * row);
        for head in rows.chunks_exact((self.width * row).max(1)) {
            for channel in self.order(halves) {
                match channel {
                    Some(channel) => stored.extend_from_slice(&head[channel * row..][..row]),
                    None => stored.resize(stored.len() + row, 0.0),
                }
            }
        }
        stored
    }

    /// Columns of (rows, channels) as they are stored.
    pub(super) fn columns(self, matrix: &[f32]) -> Vec<f32> {
        let pad = self.stored - self.width;
        let mut stored = Vec::with_capacity(matrix.len() / self.width.max(1) * self.stored);
        for head in matrix.chunks_exact(self.width.max(1)) {
            stored.extend_from_slice(head);
            stored.resize(stored.len() + pad, 0.0);
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_stored_in_the_narrowest_width_that_fills_rows() {
        for (count, width, stored) in [
            (12, 64, Some(64)),
            (16, 72, Some(96)),
            (16, 88, Some(96)),
            (16, 80, Some(96)),
            (16, 104, Some(128)),
            (24, 128, Some(128)),
            (16, 48, Some(64)),
            (2, 32, Some(32)),
            (3, 32, Some(64)),
            (16, 112, Some(128)),
            (1, 16, Some(64)),
            (8, 160, None),
        ] {
            let found = Heads::new(count, width).map(|heads| heads.stored);
            assert_eq!(found, stored, "{count} heads of {width}");
        }
    }

    #[test]
    fn halves_become_neighbours_and_padding_is_zero() {
        let heads = Heads {
            count: 2,
            width: 4,
            stored: 6,
        };
        let rows: Vec<f32> = (1..=8).map(|x| x as f32).collect();
        assert_eq!(
            heads.rows(&rows, 1, true),
            [1., 3., 2., 4., 0., 0., 5., 7., 6., 8., 0., 0.]
        );
        assert_eq!(
            heads.rows(&rows, 1, false),
            [1., 2., 3., 4., 0., 0., 5., 6., 7., 8., 0., 0.]
        );
        assert_eq!(heads.columns(&rows), heads.rows(&rows, 1, false));
        let pairs: Vec<f32> = (0..16).map(|x| x as f32).collect();
        let stored = heads.rows(&pairs, 2, true);
        assert_eq!(stored[..8], [0., 1., 4., 5., 2., 3., 6., 7.]);
    }
}
