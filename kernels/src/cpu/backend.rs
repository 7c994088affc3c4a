//! The CPU backend: one instruction set, a team of threads and their scratch space.

use super::attention::{AttentionScratch, attention, pool_attention};
use super::error::MakeError;
use super::isa::Isa;
use super::layer_norm::{Wide, layer_norm};
use super::linear::linear;
use super::merge::{MergeScratch, merge};
use super::panel::panel_bytes;
use super::rotary::rotary;
use super::scratch::Scratch;
use super::shared::SharedMut;
use super::threads::Team;
use crate::ops::{
    Attention, Capacity, Epilogue, Kernels, LayerNorm, LinearWeights, Merge, MergeInput,
    MergeOutput, Patchify, Pool, Positions, Rotary,
};
use half::f16;

/// Every operation on one instruction set.
#[derive(Debug)]
pub(super) struct Cpu<I> {
    isa: I,
    name: &'static str,
    team: Team,
    panel: Scratch,
    attention: AttentionScratch,
    merging: MergeScratch,
}

impl<I: Isa> Cpu<I> {
    pub(super) fn new(
        isa: I,
        name: &'static str,
        threads: usize,
        capacity: &Capacity,
    ) -> Result<Self, MakeError> {
        let team = Team::new(threads)?;
        let rows = capacity.batch * capacity.tokens;
        Ok(Self {
            isa,
            name,
            panel: Scratch::new(panel_bytes(rows, capacity.inner) / 4)?,
            attention: AttentionScratch::new(team.threads(), capacity.tokens, capacity.head_width)?,
            merging: MergeScratch::new(capacity)?,
            team,
        })
    }
}

impl<I: Isa> Kernels for Cpu<I> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn threads(&self) -> usize {
        self.team.threads()
    }

    fn patchify(&mut self, shape: &Patchify, pixels: &[u8], patches: &mut [i8]) {
        let image = 3 * shape.image_size * shape.image_size;
        let rows = shape.patches() * shape.row();
        assert_eq!(pixels.len(), shape.batch * image);
        assert_eq!(patches.len(), shape.batch * rows);
        // A row of patches reads `patch_size` whole pixel rows.
        let side = shape.image_size / shape.patch_size;
        let patches = SharedMut::new(patches);
        let isa = self.isa;
        let part = rows / side;
        let line = shape.patch_size * 3 * shape.image_size;
        self.team.run(shape.batch * side, &|_, task| {
            // SAFETY: one task a row of patches.
            let to = unsafe { patches.part(task * part..(task + 1) * part) };
            let from = &pixels[task / side * image + task % side * line..][..line];
            isa.vectorize(
                #[inline(always)]
                || patch_row(shape, from, to),
            );
        });
    }

    fn linear(
        &mut self,
        rows: usize,
        input: &[i8],
        weights: &LinearWeights<'_>,
        epilogue: Epilogue<'_>,
    ) {
        linear(
            self.isa,
            &mut self.team,
            self.panel.words(),
            rows,
            input,
            weights,
            epilogue,
        );
    }

    fn layer_norm(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [i8]) {
        let output = SharedMut::new(output);
        layer_norm(self.isa, &mut self.team, norm, input, &output);
    }

    fn layer_norm_half(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f16]) {
        let output = SharedMut::new(output);
        layer_norm(self.isa, &mut self.team, norm, input, &output);
    }

    fn layer_norm_real(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f32]) {
        let output = SharedMut::new(output);
        layer_norm(self.isa, &mut self.team, norm, input, &output);
    }

    fn layer_norm_wide(
        &mut self,
        norm: &LayerNorm<'_>,
        input: &[f16],
        high: &mut [i8],
        low: &mut [i8],
    ) {
        let output = Wide {
            high: SharedMut::new(high),
            low: SharedMut::new(low),
        };
        layer_norm(self.isa, &mut self.team, norm, input, &output);
    }

    fn attention(
        &mut self,
        shape: &Attention<'_>,
        qkv: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    ) {
        let (team, scratch) = (&mut self.team, &mut self.attention);
        attention(self.isa, team, scratch, shape, qkv, sizes, context);
    }

    fn pool_attention(
        &mut self,
        shape: &Attention<'_>,
        query: &[i8],
        key_value: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    ) {
        let (team, scratch) = (&mut self.team, &mut self.attention);
        let operands = (query, key_value);
        pool_attention(self.isa, team, scratch, shape, operands, sizes, context);
    }

    fn rotary(&mut self, shape: &Rotary<'_>, positions: Positions<'_>, table: &mut [f32]) {
        rotary(self.isa, &mut self.team, shape, positions, table);
    }

    fn merge(&mut self, shape: &Merge, tokens: MergeInput<'_>, output: MergeOutput<'_>) {
        merge(
            self.isa,
            &mut self.team,
            &mut self.merging,
            shape,
            tokens,
            output,
        );
    }

    fn pool(&mut self, shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]) {
        self.isa.vectorize(
            #[inline(always)]
            || super::pool::pool(self.isa, shape, residual, sizes, pooled),
        );
    }

    fn head(&mut self, high: &[i8], low: &[i8], weights: &LinearWeights<'_>, logits: &mut [f32]) {
        super::head::head(self.isa, &mut self.team, high, low, weights, logits);
    }
}

/// One row of patches from its `patch_size` rows of pixels.
#[inline(always)]
fn patch_row(shape: &Patchify, pixels: &[u8], to: &mut [i8]) {
    let run = 3 * shape.patch_size;
    for (x, patch) in to.chunks_exact_mut(shape.row()).enumerate() {
        let (used, rest) = patch.split_at_mut(run * shape.patch_size);
        rest.fill(0);
        for (to, row) in used
            .chunks_exact_mut(run)
            .zip(pixels.chunks_exact(3 * shape.image_size))
        {
            for (to, &pixel) in to.iter_mut().zip(&row[x * run..]) {
                *to = (pixel ^ 0x80) as i8;
            }
        }
    }
}
