//! From the steps of a plan to launches: plain data, with no device in sight.
//!
//! A layer is seven launches: two layer norms, four linear layers, attention. Where tokens merge it is eight:
//! one finds partners, and one that merges takes the place of the second layer norm.

use super::super::planned::PlannedLaunch;
use super::memory::{Addresses, BEST};
use super::tilings::{Layer, Tilings};
use super::weights::DeviceWeights;
use crate::pack::{Norm, Pack, TensorKind as Kind};
use crate::plan::{
    AttentionOp, EmbedOp, FinalNormOp, FinalOutput, HeadOp, LayerNormOp, LinearEpilogue, LinearOp,
    MergeOp, Op, PatchifyOp, Plan, PoolOp, ResetSizesOp, Span, Step,
};
use mergevit_kernels::cuda::gemm::{Epilogue, Operands};
use mergevit_kernels::cuda::{
    self, Address, AttentionParams, HeadParams, Launch, LayerNormParams, MergeMatchParams,
    MergeNormParams, PatchifyParams, PoolNormParams, Target, TopClassesParams, gemm,
};
use mergevit_kernels::ops::Pooling;

/// The launches of a plan, step by step, on a device of this shape. Their addresses mean nothing: this is for
/// estimates and reports.
pub fn launches(pack: &Pack, plan: &Plan, target: Target) -> Vec<Vec<PlannedLaunch>> {
    let lowering = Lowering {
        pack,
        plan,
        weights: &DeviceWeights::nowhere(pack),
        addresses: &Addresses::default(),
        tilings: &Tilings::new(target, false),
    };
    let of_step = |step| {
        let mut launches = Vec::new();
        lowering.step(step, &mut launches);
        launches
    };
    plan.steps().iter().map(of_step).collect()
}

/// A plan, and where all it works on lies.
#[derive(Clone, Copy)]
pub(super) struct Lowering<'a> {
    pub(super) pack: &'a Pack,
    pub(super) plan: &'a Plan,
    pub(super) weights: &'a DeviceWeights,
    pub(super) addresses: &'a Addresses,
    pub(super) tilings: &'a Tilings,
}

impl Lowering<'_> {
    /// Appends the launches of the whole plan, from the patch embedding on. What turns pixels into patches is left
    /// out: patches may come from frames instead.
    pub(super) fn network(&self, launches: &mut Vec<PlannedLaunch>) {
        for step in self.plan.steps() {
            if !matches!(step, Step::Patchify(_)) {
                self.step(step, launches);
            }
        }
    }

    /// Appends the launches of one step.
    pub(super) fn step(&self, step: &Step, launches: &mut Vec<PlannedLaunch>) {
        let one = match step {
            Step::Patchify(op) => PlannedLaunch::new([Op::Patchify(*op)], self.patchify(op)),
            Step::Embed(sizes, embed) => {
                let ops = [Op::ResetSizes(*sizes), Op::Embed(*embed)];
                PlannedLaunch::new(ops, self.embed(sizes, embed))
            }
            Step::LayerNorm(op) => PlannedLaunch::new([Op::LayerNorm(*op)], self.layer_norm(op)),
            Step::Linear(op) => PlannedLaunch::new([Op::Linear(*op)], self.linear(op)),
            Step::Attention(op) => PlannedLaunch::new([Op::Attention(*op)], self.attention(op)),
            Step::MergeNorm(merge, norm) => {
                launches.push(PlannedLaunch::new(
                    [Op::Merge(*merge)],
                    self.match_tokens(merge),
                ));
                PlannedLaunch::new([Op::LayerNorm(*norm)], self.merge_norm(merge, norm))
            }
            Step::PoolNorm(pool, norm) => {
                let ops = [Op::Pool(*pool), Op::FinalNorm(*norm)];
                PlannedLaunch::new(ops, self.pool_norm(pool, norm))
            }
            Step::Rotary(_) | Step::PoolAttention(_) | Step::FinalNorm(_) => {
                unreachable!("{}", super::supported::REFUSED)
            }
            Step::Head(op) => {
                launches.push(PlannedLaunch::new([Op::Head(*op)], self.head(op)));
                PlannedLaunch::new([], self.results(op))
            }
        };
        launches.push(one);
    }

    fn patchify(&self, op: &PatchifyOp) -> Launch {
        cuda::patchify(
            op.shape.batch as u32,
            &PatchifyParams {
                pixels: self.addresses.pixels,
                patches: self.at(op.patches),
                image_size: op.shape.image_size as u32,
                patch_size: op.shape.patch_size as u32,
                row: op.shape.row() as u32,
                padding: 0,
            },
        )
    }

    /// The patch embedding, which also resets token sizes.
    fn embed(&self, sizes: &ResetSizesOp, op: &EmbedOp) -> Launch {
        let epilogue = Epilogue::Embed {
            position: self.weights.address(Kind::Position, None),
            sizes: self.at(sizes.sizes),
            batch: op.batch as u32,
            class_token: self.pack.config().prefix == 1,
        };
        self.gemm(&Layer::embed(op), None, op.patches, op.residual, &epilogue)
    }

    fn linear(&self, op: &LinearOp) -> Launch {
        let epilogue = match op.epilogue {
            LinearEpilogue::Requantize => Epilogue::Requantize,
            LinearEpilogue::Activate => self.activate(op),
            LinearEpilogue::ResidualAdd => Epilogue::Residual,
            LinearEpilogue::Rotate { .. }
            | LinearEpilogue::Gate
            | LinearEpilogue::GateHalf
            | LinearEpilogue::Half => unreachable!("{}", super::supported::REFUSED),
        };
        let which = Layer::linear(op);
        self.gemm(&which, op.layer, op.input, op.output, &epilogue)
    }

    fn gemm(
        &self,
        which: &Layer,
        layer: Option<usize>,
        input: Span,
        output: Span,
        epilogue: &Epilogue,
    ) -> Launch {
        let tensors = which.linear.tensors();
        let operands = Operands {
            input: self.at(input),
            weights: self.weights.address(tensors.weight, layer),
            scale: self.weights.address(tensors.scale, layer),
            bias: self.weights.address(tensors.bias, layer),
            output: self.at(output),
            partial: self.addresses.partial,
            arrived: self.addresses.arrived,
        };
        gemm::linear(&which.shape, &self.tilings.of(which), &operands, epilogue)
    }

    fn activate(&self, op: &LinearOp) -> Epilogue {
        let (inverse_scale, zero_point) = self.pack.hidden_quantization(op.linear, op.layer);
        Epilogue::Gelu {
            inverse_scale,
            zero_point,
        }
    }

    fn layer_norm(&self, op: &LayerNormOp) -> Launch {
        let (gain, bias) = self.norm(op.norm, op.layer);
        cuda::layer_norm(&LayerNormParams {
            input: self.at(op.input),
            gain,
            bias,
            output: self.at(op.output),
            rows: op.rows as u32,
            width: op.width as u32,
            epsilon: self.pack.config().epsilon,
            padding: 0,
        })
    }

    fn attention(&self, op: &AttentionOp) -> Launch {
        let layer = Some(op.layer);
        let params = AttentionParams {
            qkv: self.at(op.qkv),
            sizes: op.sizes.map_or(Address::NULL, |sizes| self.at(sizes)),
            log2_size: self.addresses.log2_size,
            score_scale: self.weights.address(Kind::ScoreScale, layer),
            context_scale: self.weights.address(Kind::ContextScale, layer),
            context: self.at(op.context),
            tokens: op.tokens as u32,
            heads: op.heads as u32,
        };
        cuda::attention(op.batch as u32, &params)
    }

    /// The first half of merging: who merges with whom.
    fn match_tokens(&self, op: &MergeOp) -> Launch {
        let params = MergeMatchParams {
            qkv: self.at(op.qkv),
            similarity: self.addresses.similarity,
            partner: self.addresses.partner,
            arrived: self.addresses.arrived,
            tokens: op.shape.tokens as u32,
            width: op.shape.width as u32,
            merged: op.shape.merged as u32,
            class_token: (op.shape.prefix == 1).into(),
        };
        cuda::merge_match(op.shape.batch as u32, &params)
    }

    /// The second half of merging, and the layer norm that follows.
    fn merge_norm(&self, op: &MergeOp, norm: &LayerNormOp) -> Launch {
        let (gain, bias) = self.norm(norm.norm, norm.layer);
        let params = MergeNormParams {
            partner: self.addresses.partner,
            residual: self.at(op.residual),
            sizes: self.at(op.sizes),
            merged_residual: self.at(op.merged_residual),
            merged_sizes: self.at(op.merged_sizes),
            gain,
            bias,
            normed: self.at(norm.output),
            tokens: op.shape.tokens as u32,
            width: op.shape.width as u32,
            merged: op.shape.merged as u32,
            epsilon: self.pack.config().epsilon,
        };
        cuda::merge_norm(op.shape.batch as u32, &params)
    }

    /// Pooling, and the last layer norm.
    fn pool_norm(&self, op: &PoolOp, norm: &FinalNormOp) -> Launch {
        let (gain, bias) = self.norm(Norm::Final, None);
        let FinalOutput::Wide { high, low } = norm.output else {
            unreachable!("{}", super::supported::REFUSED);
        };
        let params = PoolNormParams {
            residual: self.at(op.residual),
            sizes: self.at(op.sizes),
            gain,
            bias,
            pooled: self.at(op.pooled),
            high: self.at(high),
            low: self.at(low),
            tokens: op.shape.tokens as u32,
            width: op.shape.width as u32,
            class_token: (self.pack.config().prefix == 1).into(),
            mean: (op.shape.pooling != Pooling::First(1)).into(),
            epsilon: self.pack.config().epsilon,
            padding: 0,
        };
        cuda::pool_norm(op.shape.batch as u32, &params)
    }

    fn head(&self, op: &HeadOp) -> Launch {
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

    /// Best classes, and the results' way to the host.
    fn results(&self, op: &HeadOp) -> Launch {
        let sizes = self.plan.sizes();
        let params = TopClassesParams {
            logits: self.at(op.output),
            sizes: self.at(sizes),
            top: self.addresses.host_best,
            host_logits: self.addresses.host_outputs,
            host_sizes: self.addresses.host_sizes,
            classes: op.outputs as u32,
            tokens: (sizes.len / size_of::<u32>() / op.rows) as u32,
            count: BEST as u32,
            padding: 0,
        };
        cuda::top_classes(op.rows as u32, &params)
    }

    /// (gain, bias)
    fn norm(&self, norm: Norm, layer: Option<usize>) -> (Address, Address) {
        let tensors = norm.tensors();
        (
            self.weights.address(tensors.gain, layer),
            self.weights.address(tensors.bias, layer),
        )
    }

    fn at(&self, span: Span) -> Address {
        self.addresses.arena.offset(span.offset)
    }
}
