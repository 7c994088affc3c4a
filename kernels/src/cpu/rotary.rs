//! Tables of rotary positions, with pairs of channels in the lanes.

use super::isa::{Isa, MAX_LANES};
use super::shared::SharedMut;
use super::simd_math::cos_sin;
use super::threads::Team;
use crate::ops::{Positions, Rotary};

/// Tokens of a task. They share the loads of frequencies, which lie three by three.
const TASK_TOKENS: usize = 16;

/// See [`crate::reference::rotary`].
pub(super) fn rotary<I: Isa>(
    isa: I,
    team: &mut Team,
    shape: &Rotary<'_>,
    positions: Positions<'_>,
    table: &mut [f32],
) {
    let row = shape.frequencies.len() / 3 * 2;
    let tokens = shape.batch * shape.tokens;
    assert!(row.is_multiple_of(shape.head_width) && row.is_multiple_of(2 * MAX_LANES));
    assert_eq!(table.len(), tokens * row);
    let table = SharedMut::new(table);
    team.run(tokens.div_ceil(TASK_TOKENS), &|_, task| {
        let range = task * TASK_TOKENS..((task + 1) * TASK_TOKENS).min(tokens);
        // SAFETY: one task a range of tokens.
        let rows = unsafe { table.part(range.start * row..range.end * row) };
        let mut places = [None; TASK_TOKENS];
        for (token, place) in range.zip(&mut places) {
            let (image, token) = (token / shape.tokens, token % shape.tokens);
            *place = (token >= shape.prefix)
                .then(|| positions.of(image, token, shape.tokens, shape.prefix));
        }
        isa.vectorize(
            #[inline(always)]
            || fill(isa, shape.frequencies, &places, rows, row),
        );
    });
}

/// Writes `rows`, each of `row` elements: of tokens at `places`, or not turned.
#[inline(always)]
fn fill<I: Isa>(
    isa: I,
    frequencies: &[f32],
    places: &[Option<[f32; 2]>],
    rows: &mut [f32],
    row: usize,
) {
    for (group, f) in frequencies.chunks_exact(3 * I::LANES).enumerate() {
        let mut parts = [[0.0f32; MAX_LANES]; 3];
        for (lane, f) in f.chunks_exact(3).enumerate() {
            for (part, &f) in parts.iter_mut().zip(f) {
                part[lane] = f;
            }
        }
        let [fy, fx, phase] = [
            isa.load_f32(&parts[0]),
            isa.load_f32(&parts[1]),
            isa.load_f32(&parts[2]),
        ];
        for (row, place) in rows.chunks_exact_mut(row).zip(places) {
            let (mut cos, mut sin) = ([1.0f32; MAX_LANES], [0.0f32; MAX_LANES]);
            if let &Some([y, x]) = place {
                let turns = isa.fma(isa.splat_f32(x), fx, phase);
                let turns = isa.fma(isa.splat_f32(y), fy, turns);
                let (c, s) = cos_sin(isa, turns);
                isa.store_f32(c, &mut cos);
                isa.store_f32(s, &mut sin);
            }
            let to = &mut row[group * 2 * I::LANES..][..2 * I::LANES];
            for (i, pair) in to.chunks_exact_mut(2).enumerate() {
                pair.copy_from_slice(&[cos[i], sin[i]]);
            }
        }
    }
}
