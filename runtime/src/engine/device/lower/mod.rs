//! From the steps of a plan to launches: plain data, with no device in sight.
//!
//! A layer is seven launches: two norms, four linear layers, attention. Where tokens merge it is eight: one finds
//! partners, and one that merges takes the place of the second norm. A norm inside the MLP, and a table of rotations, are
//! one more each.

mod layer;
mod tail;

use super::super::planned::PlannedLaunch;
use super::memory::Addresses;
use super::tilings::{Layer, Tilings};
use super::weights::DeviceWeights;
use crate::pack::{Norm, Pack, TensorKind as Kind};
use crate::plan::{EmbedOp, FinalOutput, Op, PatchifyOp, Plan, ResetSizesOp, Span, Step};
use mergevit_kernels::cuda::gemm::{Epilogue, Operands};
use mergevit_kernels::cuda::{
    self, Address, Launch, NormParams, PatchifyParams, Prefetch, Target, gemm,
};

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

    /// Appends the launches of one step. The one that gives the network's output also brings the results to the host.
    pub(super) fn step(&self, step: &Step, launches: &mut Vec<PlannedLaunch>) {
        let one = match step {
            Step::Patchify(op) => PlannedLaunch::new([Op::Patchify(*op)], self.patchify(op)),
            Step::Embed(sizes, embed) => {
                let ops = [Op::ResetSizes(*sizes), Op::Embed(*embed)];
                PlannedLaunch::new(ops, self.embed(sizes, embed))
            }
            Step::LayerNorm(op) => {
                let launch = self.layer_norm(op, self.next_weights(step));
                PlannedLaunch::new([Op::LayerNorm(*op)], launch)
            }
            Step::Rotary(op) => PlannedLaunch::new([Op::Rotary(*op)], self.rotary(op)),
            Step::Linear(op) => PlannedLaunch::new([Op::Linear(*op)], self.linear(op)),
            Step::Attention(op) => {
                let launch = self.attention(op, self.next_weights(step));
                PlannedLaunch::new([Op::Attention(*op)], launch)
            }
            Step::PoolAttention(op) => {
                PlannedLaunch::new([Op::PoolAttention(*op)], self.pool_attention(op))
            }
            Step::MergeNorm(merge, norm) => {
                launches.push(PlannedLaunch::new(
                    [Op::Merge(*merge)],
                    self.match_tokens(merge),
                ));
                let launch = self.merge_norm(merge, norm, self.next_weights(step));
                PlannedLaunch::new([Op::LayerNorm(*norm)], launch)
            }
            Step::Pool(op) => PlannedLaunch::new([Op::Pool(*op)], self.pool(op)),
            Step::PoolNorm(pool, norm) => {
                let ops = [Op::Pool(*pool), Op::FinalNorm(*norm)];
                PlannedLaunch::new(ops, self.pool_norm(pool, norm))
            }
            Step::FinalNorm(op) => PlannedLaunch::new([Op::FinalNorm(*op)], self.final_norm(op)),
            Step::Head(op) => PlannedLaunch::new([Op::Head(*op)], self.head(op)),
        };
        launches.push(one);
        let is_last = match step {
            Step::Head(_) => true,
            Step::PoolNorm(_, norm) | Step::FinalNorm(norm) => {
                matches!(norm.output, FinalOutput::Real(_))
            }
            _ => false,
        };
        if is_last {
            launches.push(PlannedLaunch::new([], self.results()));
        }
    }

    /// What a launch that leaves memory idle asks for on behalf of the linear layer after it: as many of its weights as L2 has
    /// room for beside what the step works on, and as much again for what else comes.
    fn next_weights(&self, step: &Step) -> Prefetch {
        let steps = self.plan.steps().iter();
        let mut rest = steps
            .skip_while(|other| !std::ptr::eq(*other, step))
            .skip(1);
        let Some(Step::Linear(op)) = rest.next() else {
            return Prefetch::default();
        };
        let own: usize = step
            .ops()
            .iter()
            .flat_map(Op::spans)
            .map(|(span, _)| span.len)
            .sum();
        let room = (self.tilings.target().l2_bytes as usize).saturating_sub(own) / 2;
        let weights = op.outputs * op.inputs;
        let from = self.weights.address(op.linear.tensors().weight, op.layer);
        Prefetch::new(from, weights.min(room) as u32)
    }

    fn patchify(&self, op: &PatchifyOp) -> Launch {
        cuda::patchify(
            op.shape.batch as u32,
            &PatchifyParams {
                pixels: self.addresses.pixels,
                patches: self.addresses.patches,
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
            prefix: self.pack.config().prefix as u32,
        };
        let (input, output) = (self.addresses.patches, self.at(op.residual));
        self.gemm(&Layer::embed(op), None, input, output, &epilogue)
    }

    fn gemm(
        &self,
        which: &Layer,
        layer: Option<usize>,
        input: Address,
        output: Address,
        epilogue: &Epilogue,
    ) -> Launch {
        let tensors = which.linear.tensors();
        let operands = Operands {
            input,
            weights: self.weights.address(tensors.weight, layer),
            scale: self.weights.address(tensors.scale, layer),
            bias: self.weights.address(tensors.bias, layer),
            output,
            partial: self.addresses.partial,
            arrived: self.addresses.arrived,
        };
        gemm::linear(&which.shape, &self.tilings.of(which), &operands, epilogue)
    }

    fn norm(&self, norm: Norm, layer: Option<usize>) -> NormParams {
        let (tensors, config) = (norm.tensors(), self.pack.config());
        let (width, count) = norm.widths(config);
        let params = NormParams {
            gain: self.weights.address(tensors.gain, layer),
            bias: self.weights.address(tensors.bias, layer),
            width: width as u32,
            count: count as u32,
            epsilon: config.epsilon,
            ..NormParams::default()
        };
        params.with_kind(norm.kind(config).into())
    }

    fn at(&self, span: Span) -> Address {
        self.addresses.arena.offset(span.offset)
    }
}
