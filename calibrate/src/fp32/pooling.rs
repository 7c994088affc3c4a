//! From tokens to the output.

use super::elementwise::{activate, norm};
use super::encoder::{Heads, add, attend, log_sizes};
use super::{Change, Forward, Point, Tokens, linear};
use crate::checkpoint::PoolingWeights;
use mergevit_runtime::Pooling;

impl Forward<'_> {
    /// The scores of the classes, or the embedding.
    pub(super) fn head(&self, tokens: &Tokens, tap: &mut impl Change) -> Vec<f32> {
        let (model, weights) = (&self.checkpoint.model, &self.checkpoint.weights);
        let mut normalized;
        let mut rows = &tokens.residual;
        if let Some(affine) = &weights.token_norm {
            normalized = self.norm(rows, affine);
            tap.change(Point::TokenNorm, &mut normalized, model.width);
            rows = &normalized;
        }
        let mut pooled = match &weights.pooling {
            Some(pooling) => self.pool_attention(pooling, rows, &tokens.sizes, tap),
            None => self.pool(rows, &tokens.sizes),
        };
        if let Some(affine) = &weights.final_norm {
            let (kind, width) = (model.final_norm, model.width);
            pooled = norm(kind, &pooled, affine, width, model.epsilon);
        }
        tap.change(Point::FinalNorm, &mut pooled, model.pooled_width());
        if !model.head {
            return pooled;
        }
        let width = model.pooled_width();
        let mut logits = linear(&pooled, width, &weights.head_weight, &weights.head_bias);
        tap.change(Point::Logits, &mut logits, model.classes);
        logits
    }

    /// Rows (T, C) to one vector.
    fn pool(&self, rows: &[f32], sizes: &[u32]) -> Vec<f32> {
        let model = &self.checkpoint.model;
        let width = model.width;
        let mean = |first: usize| {
            let mut mean = vec![0.0; width];
            for (row, &size) in rows.chunks_exact(width).zip(sizes).skip(first) {
                let row = row.iter().map(|x| size as f32 * x);
                mean.iter_mut().zip(row).for_each(|(m, x)| *m += x);
            }
            let total = sizes[first..].iter().sum::<u32>() as f32;
            mean.iter_mut().for_each(|m| *m /= total);
            mean
        };
        match model.pooling {
            Pooling::ClassToken => rows[..width].to_vec(),
            Pooling::ClassAndDistillation => rows[..2 * width].to_vec(),
            Pooling::Mean => mean(model.prefix),
            Pooling::MeanAll => mean(0),
            Pooling::ClassAndMean => [&rows[..width], &mean(model.prefix)].concat(),
            Pooling::Attention => unreachable!("a checkpoint that attends has its weights"),
        }
    }

    /// The pooling that attends, over normalized rows (T, C).
    fn pool_attention(
        &self,
        weights: &PoolingWeights,
        rows: &[f32],
        sizes: &[u32],
        tap: &mut impl Change,
    ) -> Vec<f32> {
        let model = &self.checkpoint.model;
        let shape = model
            .attention_pooling
            .expect("a checkpoint that attends says how");
        let (width, inner) = (shape.width(), model.width);
        let mut both = linear(
            rows,
            inner,
            &weights.key_value_weight,
            &weights.key_value_bias,
        );
        tap.change(Point::PoolKeyValue, &mut both, 2 * width);
        let columns = |first: usize| -> Vec<f32> {
            let row = |row: &[f32]| row[first..first + width].to_vec();
            both.chunks_exact(2 * width).flat_map(row).collect()
        };
        let mut context = attend(
            &Heads {
                width,
                head_width: shape.head_width,
                factor: self.checkpoint.pool_score_factor,
            },
            (&weights.query, &columns(0), &columns(width)),
            &log_sizes(sizes),
            (Point::PoolAttentionWeights, tap),
        );
        tap.change(Point::PoolContext, &mut context, width);
        let mut pooled = linear(&context, width, &weights.proj_weight, &weights.proj_bias);
        let mut x = self.norm(&pooled, &weights.norm);
        tap.change(Point::PoolNorm, &mut x, inner);
        let mut hidden = linear(&x, inner, &weights.fc1_weight, &weights.fc1_bias);
        activate(model.activation, &mut hidden);
        tap.change(Point::PoolHidden, &mut hidden, shape.mlp_row());
        let y = linear(
            &hidden,
            shape.mlp_row(),
            &weights.fc2_weight,
            &weights.fc2_bias,
        );
        add(&mut pooled, &y);
        pooled
    }
}
