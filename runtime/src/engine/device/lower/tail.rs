//! What comes after the layers.

use super::super::super::output::BEST;
use super::super::memory::head_width;
use super::Lowering;
use crate::pack::{Norm, TensorKind as Kind};
use crate::plan::{FinalNormOp, FinalOutput, HeadOp, PoolAttentionOp, PoolOp};
use mergevit_kernels::cuda::{
    self, Address, AttentionOperands, AttentionShape, HeadParams, Launch, PoolNormParams, Prefetch,
    TopClassesParams,
};
use mergevit_kernels::ops::{Pool, Pooling};

impl Lowering<'_> {
    pub(super) fn pool_attention(&self, op: &PoolAttentionOp) -> Launch {
        let shape = AttentionShape {
            batch: op.batch as u32,
            tokens: op.tokens as u32,
            queries: 1,
            heads: op.heads as u32,
            head_width: head_width(op.head_width),
        };
        let operands = AttentionOperands {
            sizes: op.sizes.map_or(Address::NULL, |sizes| self.at(sizes)),
            log2_size: self.addresses.log2_size,
            score_scale: self.weights.address(Kind::PoolScoreScale, None),
            context_scale: self.weights.address(Kind::PoolContextScale, None),
            context: self.at(op.context),
            next: Prefetch::default(),
        };
        let query = self.weights.address(Kind::PoolQuery, None);
        cuda::pool_attention(
            &shape,
            self.tilings.target(),
            query,
            self.at(op.key_value),
            &operands,
        )
    }

    /// Pooling alone.
    pub(super) fn pool(&self, op: &PoolOp) -> Launch {
        let params = PoolNormParams {
            residual: self.at(op.residual),
            sizes: self.at(op.sizes),
            pooled: self.at(op.pooled),
            ..PoolNormParams::default()
        };
        cuda::pool_norm(op.shape.batch as u32, &params.with_shape(&op.shape))
    }

    /// Pooling, and the last norm.
    pub(super) fn pool_norm(&self, op: &PoolOp, norm: &FinalNormOp) -> Launch {
        let params = PoolNormParams {
            residual: self.at(op.residual),
            sizes: self.at(op.sizes),
            pooled: self.at(op.pooled),
            ..self.normed(norm)
        };
        cuda::pool_norm(op.shape.batch as u32, &params.with_shape(&op.shape))
    }

    /// The last norm of what has been pooled: of one token a row.
    pub(super) fn final_norm(&self, op: &FinalNormOp) -> Launch {
        let shape = Pool {
            batch: op.rows,
            tokens: 1,
            width: op.width,
            pooling: Pooling::First(1),
        };
        let params = PoolNormParams {
            residual: self.at(op.input),
            // The kernel keeps a copy of what it pools.
            pooled: self.addresses.pooled,
            ..self.normed(op)
        };
        cuda::pool_norm(op.rows as u32, &params.with_shape(&shape))
    }

    /// What the last norm needs of the kernel that also pools.
    fn normed(&self, op: &FinalNormOp) -> PoolNormParams {
        let params = PoolNormParams {
            norm: self.norm(Norm::Final, None),
            ..PoolNormParams::default()
        };
        match op.output {
            FinalOutput::Wide { high, low } => PoolNormParams {
                high: self.at(high),
                low: self.at(low),
                ..params
            },
            FinalOutput::Real(output) => PoolNormParams {
                real: self.at(output),
                ..params
            },
        }
    }

    pub(super) fn head(&self, op: &HeadOp) -> Launch {
        cuda::head(&HeadParams {
            high: self.at(op.high),
            low: self.at(op.low),
            weights: self.weights.address(Kind::HeadWeight, None),
            scale: self.weights.address(Kind::HeadScale, None),
            bias: self.weights.address(Kind::HeadBias, None),
            logits: self.at(op.output),
            batch: op.rows as u32,
            classes: op.outputs as u32,
            inputs: op.inputs as u32,
            padding: 0,
        })
    }

    /// Largest outputs, and the results' way to the host.
    pub(super) fn results(&self) -> Launch {
        let (batch, sizes) = (self.plan.batch(), self.plan.sizes());
        let params = TopClassesParams {
            logits: self.at(self.plan.output()),
            sizes: self.at(sizes),
            top: self.addresses.host_best,
            host_logits: self.addresses.host_outputs,
            host_sizes: self.addresses.host_sizes,
            classes: self.pack.config().classes as u32,
            tokens: (sizes.len / size_of::<u32>() / batch) as u32,
            count: BEST as u32,
            padding: 0,
        };
        cuda::top_classes(batch as u32, &params)
    }
}
