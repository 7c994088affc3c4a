//! The operations of a layer.

use super::super::memory::head_width;
use super::super::tilings::Layer;
use super::Lowering;
use crate::config::{Ranking, RotaryKind};
use crate::pack::{PRESENT, TensorKind as Kind};
use crate::plan::{
    AttentionOp, LayerNormOp, LinearEpilogue, LinearOp, MergeOp, NormOutput, RotaryOp,
    TokenPositions,
};
use mergevit_kernels::cuda::gemm::Epilogue;
use mergevit_kernels::cuda::{
    self, Address, AttentionOperands, AttentionShape, ClassAttention, Launch, LayerNormParams,
    MergeMatchOperands, MergeNormOperands, MergePositions, Prefetch, RotaryParams,
};

impl Lowering<'_> {
    pub(super) fn layer_norm(&self, op: &LayerNormOp, next: Prefetch) -> Launch {
        let params = LayerNormParams {
            input: self.at(op.input),
            output: self.at(op.output),
            norm: self.norm(op.norm, op.layer),
            next,
            rows: op.rows as u32,
            padding: 0,
        };
        match op.writes {
            NormOutput::Quantized => cuda::layer_norm(&params),
            NormOutput::Half => cuda::layer_norm_half(&params),
        }
    }

    pub(super) fn rotary(&self, op: &RotaryOp) -> Launch {
        let (positions, side) = match op.positions {
            TokenPositions::Grid { side } => (Address::NULL, side),
            TokenPositions::At(span) => (self.at(span), 1),
        };
        let frequencies = match op.layer {
            Some(_) => Kind::LayerRotaryFrequency,
            None => Kind::RotaryFrequency,
        };
        let params = RotaryParams {
            positions,
            frequencies: self.weights.address(frequencies, op.layer),
            table: self.at(op.table),
            tokens: op.tokens as u32,
            pairs: (op.tables * op.head_width / 2) as u32,
            prefix: op.prefix as u32,
            side: side as u32,
        };
        cuda::rotary(op.batch as u32, &params)
    }

    pub(super) fn linear(&self, op: &LinearOp) -> Launch {
        let (config, activation) = (self.pack.config(), self.pack.activation());
        let epilogue = match op.epilogue {
            LinearEpilogue::Requantize => Epilogue::Requantize,
            LinearEpilogue::Rotate { table } => Epilogue::Rotate {
                table: self.at(table),
                heads: config.heads as u32,
                head_width: config.head_width as u32,
                shared: config.rotary == RotaryKind::Shared,
            },
            LinearEpilogue::Activate => {
                let kind = op.linear.hidden_quantization().expect(PRESENT);
                Epilogue::Activate {
                    activation,
                    steps: self.weights.address(kind, op.layer),
                }
            }
            LinearEpilogue::Gate => Epilogue::Gate { activation },
            LinearEpilogue::GateHalf => Epilogue::GateHalf { activation },
            LinearEpilogue::Half => Epilogue::Half,
            LinearEpilogue::ResidualAdd => Epilogue::Residual,
        };
        let which = Layer::linear(op);
        let (input, output) = (self.at(op.input), self.at(op.output));
        self.gemm(&which, op.layer, input, output, &epilogue)
    }

    pub(super) fn attention(&self, op: &AttentionOp, next: Prefetch) -> Launch {
        let layer = Some(op.layer);
        let shape = AttentionShape {
            batch: op.batch as u32,
            tokens: op.tokens as u32,
            queries: op.queries as u32,
            heads: op.heads as u32,
            head_width: head_width(op.head_width),
        };
        let operands = AttentionOperands {
            sizes: op.sizes.map_or(Address::NULL, |sizes| self.at(sizes)),
            log2_size: self.addresses.log2_size,
            score_scale: self.weights.address(Kind::ScoreScale, layer),
            context_scale: self.weights.address(Kind::ContextScale, layer),
            context: self.at(op.context),
            next,
        };
        cuda::attention(&shape, self.tilings.target(), self.at(op.qkv), &operands)
    }

    /// The first half of merging: who merges with whom.
    pub(super) fn match_tokens(&self, op: &MergeOp) -> Launch {
        let operands = MergeMatchOperands {
            qkv: self.at(op.qkv),
            similarity: self.addresses.similarity,
            partner: self.addresses.partner,
            arrived: self.addresses.arrived,
            class_attention: match op.ranking {
                Ranking::Similarity => None,
                Ranking::ClassAttention => Some(ClassAttention {
                    sizes: self.at(op.sizes),
                    score_scale: self.weights.address(Kind::ScoreScale, Some(op.layer)),
                    scores: self.addresses.class_scores,
                }),
            },
        };
        cuda::merge_match(&op.shape, &operands)
    }

    /// The second half of merging, and the norm that follows.
    pub(super) fn merge_norm(&self, op: &MergeOp, norm: &LayerNormOp, next: Prefetch) -> Launch {
        let positions = op.positions.map(|positions| {
            let merged = self.at(positions.merged);
            match positions.from {
                TokenPositions::Grid { side } => MergePositions::Grid {
                    side: side as u32,
                    merged,
                },
                TokenPositions::At(from) => MergePositions::At {
                    positions: self.at(from),
                    merged,
                },
            }
        });
        let operands = MergeNormOperands {
            partner: self.addresses.partner,
            residual: self.at(op.residual),
            sizes: self.at(op.sizes),
            positions: positions.unwrap_or(MergePositions::None),
            merged_residual: self.at(op.merged_residual),
            merged_sizes: self.at(op.merged_sizes),
            normed: self.at(norm.output),
            norm: self.norm(norm.norm, norm.layer),
            next,
        };
        cuda::merge_norm(&op.shape, &operands)
    }
}
