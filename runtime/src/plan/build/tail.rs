//! What comes after the layers: pooling, the last norm, the classifier.

use super::super::op::{
    FinalNormOp, FinalOutput, HeadOp, LinearEpilogue, NormOutput, PoolAttentionOp, PoolOp,
};
use super::super::span::Span;
use super::super::step::Step;
use super::{Builder, Stream};
use crate::config::{AttentionPooling, Pooling};
use crate::pack::{Linear, Norm};
use half::f16;
use mergevit_kernels::ops::{self, Pool};

impl Builder<'_> {
    /// The residual stream to logits or embeddings, (B, outputs) f32.
    pub(super) fn tail(&mut self, stream: &Stream) -> Span {
        if let Some(pooling) = self.config.attention_pooling {
            let pooled = self.attention_pooling(&pooling, stream);
            return self.norm_and_head(pooled);
        }
        let tokens = match self.config.token_norm {
            true => self.token_norm(stream.residual),
            false => stream.residual,
        };
        let Some(shape) = self.pool() else {
            return self.norm_and_head(tokens);
        };
        let pooled = self.buffer(self.batch * shape.pooled_width() * size_of::<f16>());
        let pool = PoolOp {
            shape,
            residual: tokens,
            sizes: stream.sizes,
            pooled,
        };
        let norm = self.final_norm(pooled);
        self.push(Step::PoolNorm(pool, norm));
        self.head(&norm)
    }

    /// What has been pooled, (B, V) f16, to logits or embeddings.
    fn norm_and_head(&mut self, pooled: Span) -> Span {
        let norm = self.final_norm(pooled);
        self.push(Step::FinalNorm(norm));
        self.head(&norm)
    }

    /// All tokens normalized, (B, T, C) f16.
    fn token_norm(&mut self, residual: Span) -> Span {
        let output = self.token_buffer(self.config.width * size_of::<f16>());
        self.norm_into(None, Norm::Token, NormOutput::Half, residual, output)
    }

    /// What is pooled, unless that has happened: by attention, or in the last layer.
    fn pool(&self) -> Option<Pool> {
        let patches = self.config.prefix;
        let pooling = match self.config.pooling {
            Pooling::ClassToken | Pooling::ClassAndDistillation | Pooling::Attention => {
                return None;
            }
            Pooling::Mean => ops::Pooling::Mean { first: patches },
            Pooling::MeanAll => ops::Pooling::Mean { first: 0 },
            Pooling::ClassAndMean => ops::Pooling::FirstAndMean { first: patches },
        };
        Some(Pool {
            batch: self.batch,
            tokens: self.tokens,
            width: self.config.width,
            pooling,
        })
    }

    /// One query attends to all tokens, and an MLP follows: (B, C) f16.
    fn attention_pooling(&mut self, pooling: &AttentionPooling, stream: &Stream) -> Span {
        use LinearEpilogue::{Activate, Half, Requantize, ResidualAdd};
        let normed = self.norm(None, Norm::Token, stream.residual);
        let key_value = self.token_buffer(2 * pooling.width());
        self.linear(None, Linear::PoolKeyValue, Requantize, normed, key_value);
        let attention = PoolAttentionOp {
            batch: self.batch,
            tokens: self.tokens,
            heads: pooling.heads,
            head_width: pooling.head_width,
            key_value,
            sizes: self.merged_sizes(stream.sizes),
            context: self.buffer(self.batch * pooling.width()),
        };
        self.push(Step::PoolAttention(attention));
        // From here on there is one token an image.
        self.tokens = 1;
        let residual = self.token_buffer(self.config.width * size_of::<f16>());
        let linear = Linear::PoolProjection;
        self.linear(None, linear, Half, attention.context, residual);
        let normed = self.norm(None, Norm::Pool, residual);
        let hidden = self.token_buffer(pooling.mlp_row());
        self.linear(None, Linear::PoolFc1, Activate, normed, hidden);
        self.linear(None, Linear::PoolFc2, ResidualAdd, hidden, residual)
    }

    /// The last norm of `pooled`, (B, V) f16: for the classifier, or the network's output.
    fn final_norm(&mut self, pooled: Span) -> FinalNormOp {
        let (width, _) = Norm::Final.widths(self.config);
        let channels = self.batch * self.config.pooled_width();
        FinalNormOp {
            rows: channels / width,
            width,
            input: pooled,
            output: match self.config.head {
                true => FinalOutput::Wide {
                    high: self.buffer(channels),
                    low: self.buffer(channels),
                },
                false => FinalOutput::Real(self.buffer(channels * size_of::<f32>())),
            },
        }
    }

    /// The classifier, if there is one. Returns the network's output.
    fn head(&mut self, norm: &FinalNormOp) -> Span {
        let (high, low) = match norm.output {
            FinalOutput::Real(output) => return output,
            FinalOutput::Wide { high, low } => (high, low),
        };
        let (batch, outputs) = (self.batch, self.config.classes);
        let output = self.buffer(batch * outputs * size_of::<f32>());
        self.push(Step::Head(HeadOp {
            rows: batch,
            inputs: self.config.pooled_width(),
            outputs,
            high,
            low,
            output,
        }));
        output
    }
}
