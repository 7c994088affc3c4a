//! From the operations of a plan to launches: plain data, with no device in sight.
//!
//! A layer is seven launches: two layer norms, four linear layers, attention. Where tokens merge it is eight:
//! one finds partners, and one that merges takes the place of the second layer norm.

use super::memory::{Addresses, BEST};
use super::tilings::{Layer, Tilings};
use super::weights::DeviceWeights;
use crate::pack::{Pack, TensorKind as Kind};
use crate::plan::{Linear, Norm, Op, OpKind, Plan, Span};
use mergevit_kernels::cuda::gemm::{Epilogue, Operands};
use mergevit_kernels::cuda::{
    self, Address, AttentionParams, HeadParams, Launch, LayerNormParams, MergeMatchParams,
    MergeNormParams, PatchifyParams, PoolNormParams, Target, TopClassesParams, gemm,
};
use mergevit_kernels::ops::{Merge, Patchify, Pool, Pooling};

/// Whether a group turns pixels into patches, which is left out of a recorded graph: patches may come from
/// frames instead.
pub(super) fn makes_patches(group: &[Op]) -> bool {
    matches!(
        group,
        [Op {
            kind: OpKind::Patchify { .. },
            ..
        }]
    )
}

/// The launches that compute each group of a plan's operations, on a device of this shape. Their addresses
/// mean nothing: this is for estimates and reports.
pub fn launches<'a>(
    pack: &'a Pack,
    plan: &'a Plan,
    target: Target,
) -> impl Iterator<Item = (&'a [Op], Vec<Launch>)> {
    let weights = DeviceWeights::nowhere(pack);
    let tilings = Tilings::new(target, false);
    plan.groups().map(move |group| {
        let lowering = Lowering {
            pack,
            plan,
            weights: &weights,
            addresses: &Addresses::default(),
            tilings: &tilings,
        };
        let mut launches = Vec::new();
        lowering.group(group, &mut launches);
        (group, launches)
    })
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
    /// Appends the launches of the whole plan, from the patch embedding on.
    pub(super) fn network(&self, launches: &mut Vec<Launch>) {
        let groups = self.plan.groups().filter(|group| !makes_patches(group));
        groups.for_each(|group| self.group(group, launches));
    }

    /// Appends the launches of one of the plan's groups.
    pub(super) fn group(&self, group: &[Op], launches: &mut Vec<Launch>) {
        match group {
            [
                Op {
                    kind: OpKind::ResetSizes { sizes },
                    ..
                },
                embed,
            ] => {
                launches.push(self.linear(embed, Some(*sizes)));
            }
            [
                merge @ Op {
                    kind: OpKind::Merge { .. },
                    ..
                },
                norm,
            ] => {
                launches.extend(self.merge(merge, norm));
            }
            [
                pool @ Op {
                    kind: OpKind::Pool { .. },
                    ..
                },
                norm,
            ] => {
                launches.push(self.pool(pool, norm));
            }
            [
                Op {
                    kind: OpKind::Head { .. },
                    ..
                },
            ] => {
                launches.extend(self.head(&group[0]));
            }
            [op] => launches.push(self.single(op)),
            _ => unreachable!("a plan fuses no other operations: {group:?}"),
        }
    }

    fn single(&self, op: &Op) -> Launch {
        match op.kind {
            OpKind::Patchify { shape, patches, .. } => self.patchify(&shape, patches),
            OpKind::Linear { .. } => self.linear(op, None),
            OpKind::LayerNorm {
                norm,
                rows,
                width,
                input,
                output,
            } => {
                let (gain, bias) = self.norm(norm, op.layer);
                cuda::layer_norm(&LayerNormParams {
                    input: self.at(input),
                    gain,
                    bias,
                    output: self.at(output),
                    rows: rows as u32,
                    width: width as u32,
                    epsilon: self.pack.config().epsilon,
                    padding: 0,
                })
            }
            OpKind::Attention { .. } => self.attention(op),
            OpKind::ResetSizes { .. }
            | OpKind::Merge { .. }
            | OpKind::Pool { .. }
            | OpKind::LayerNormWide { .. } => unreachable!("always fused: {op:?}"),
            OpKind::Head { .. } => unreachable!("two launches: {op:?}"),
        }
    }

    /// Pixels to the plan's patches.
    fn patchify(&self, shape: &Patchify, patches: Span) -> Launch {
        cuda::patchify(
            shape.batch as u32,
            &PatchifyParams {
                pixels: self.addresses.pixels,
                patches: self.at(patches),
                image_size: shape.image_size as u32,
                patch_size: shape.patch_size as u32,
                row: shape.row() as u32,
                padding: 0,
            },
        )
    }

    /// A linear layer. The patch embedding also resets `sizes`.
    fn linear(&self, op: &Op, sizes: Option<Span>) -> Launch {
        let (
            Some(layer),
            &OpKind::Linear {
                linear,
                rows,
                input,
                output,
                ..
            },
        ) = (Layer::of(&op.kind), &op.kind)
        else {
            unreachable!("a linear layer: {op:?}");
        };
        let config = self.pack.config();
        let (kinds, epilogue) = match linear {
            Linear::Patch => {
                let epilogue = Epilogue::Embed {
                    position: self.weights.address(Kind::Position, None),
                    sizes: sizes.map_or(Address::NULL, |sizes| self.at(sizes)),
                    batch: (rows / config.patches()) as u32,
                    class_token: config.class_token,
                };
                let kinds = [Kind::PatchWeight, Kind::PatchScale, Kind::PatchBias];
                (kinds, epilogue)
            }
            Linear::Qkv => (
                [Kind::QkvWeight, Kind::QkvScale, Kind::QkvBias],
                Epilogue::Requantize,
            ),
            Linear::Projection => (
                [Kind::ProjWeight, Kind::ProjScale, Kind::ProjBias],
                Epilogue::Residual,
            ),
            Linear::Fc1 => (
                [Kind::Fc1Weight, Kind::Fc1Scale, Kind::Fc1Bias],
                self.gelu(op.layer),
            ),
            Linear::Fc2 => (
                [Kind::Fc2Weight, Kind::Fc2Scale, Kind::Fc2Bias],
                Epilogue::Residual,
            ),
            Linear::Head => unreachable!("the classifier is an operation of its own"),
        };
        let [weights, scale, bias] = kinds.map(|kind| self.weights.address(kind, op.layer));
        let operands = Operands {
            input: self.at(input),
            weights,
            scale,
            bias,
            output: self.at(output),
            partial: self.addresses.partial,
            arrived: self.addresses.arrived,
        };
        gemm::linear(&layer.shape, &self.tilings.of(&layer), &operands, &epilogue)
    }

    fn gelu(&self, layer: Option<usize>) -> Epilogue {
        let values = self.pack.tensor_f32(Kind::GeluQuantization, layer);
        let values = values.expect("a valid pack has every tensor of its model");
        Epilogue::Gelu {
            inverse_scale: values[0],
            zero_point: values[1],
        }
    }

    fn attention(&self, op: &Op) -> Launch {
        let OpKind::Attention {
            batch,
            tokens,
            heads,
            qkv,
            sizes,
            context,
        } = op.kind
        else {
            unreachable!("attention: {op:?}");
        };
        let params = AttentionParams {
            qkv: self.at(qkv),
            sizes: sizes.map_or(Address::NULL, |sizes| self.at(sizes)),
            log2_size: self.addresses.log2_size,
            score_scale: self.weights.address(Kind::ScoreScale, op.layer),
            context_scale: self.weights.address(Kind::ContextScale, op.layer),
            context: self.at(context),
            tokens: tokens as u32,
            heads: heads as u32,
        };
        cuda::attention(batch as u32, &params)
    }

    /// Merging, and the layer norm that follows.
    fn merge(&self, op: &Op, norm: &Op) -> [Launch; 2] {
        let (
            &OpKind::Merge {
                shape,
                qkv,
                residual,
                sizes,
                merged_residual,
                merged_sizes,
            },
            &OpKind::LayerNorm {
                norm: which,
                output,
                ..
            },
        ) = (&op.kind, &norm.kind)
        else {
            unreachable!("merging and a layer norm: {op:?}, {norm:?}");
        };
        let Merge {
            batch,
            tokens,
            width,
            merged,
            class_token,
        } = shape;
        let (similarity, partner) = (self.addresses.similarity, self.addresses.partner);
        let matching = MergeMatchParams {
            qkv: self.at(qkv),
            similarity,
            partner,
            arrived: self.addresses.arrived,
            tokens: tokens as u32,
            width: width as u32,
            merged: merged as u32,
            class_token: class_token.into(),
        };
        let (gain, bias) = self.norm(which, norm.layer);
        let merging = MergeNormParams {
            partner,
            residual: self.at(residual),
            sizes: self.at(sizes),
            merged_residual: self.at(merged_residual),
            merged_sizes: self.at(merged_sizes),
            gain,
            bias,
            normed: self.at(output),
            tokens: tokens as u32,
            width: width as u32,
            merged: merged as u32,
            epsilon: self.pack.config().epsilon,
        };
        let batch = batch as u32;
        [
            cuda::merge_match(batch, &matching),
            cuda::merge_norm(batch, &merging),
        ]
    }

    /// Pooling, and the last layer norm.
    fn pool(&self, op: &Op, norm: &Op) -> Launch {
        let (
            &OpKind::Pool {
                shape,
                residual,
                sizes,
                pooled,
            },
            &OpKind::LayerNormWide { high, low, .. },
        ) = (&op.kind, &norm.kind)
        else {
            unreachable!("pooling and the last layer norm: {op:?}, {norm:?}");
        };
        let Pool {
            batch,
            tokens,
            width,
            class_token,
            pooling,
        } = shape;
        let (gain, bias) = self.norm(Norm::Final, None);
        let params = PoolNormParams {
            residual: self.at(residual),
            sizes: self.at(sizes),
            gain,
            bias,
            pooled: self.at(pooled),
            high: self.at(high),
            low: self.at(low),
            tokens: tokens as u32,
            width: width as u32,
            class_token: class_token.into(),
            mean: (pooling == Pooling::Mean).into(),
            epsilon: self.pack.config().epsilon,
            padding: 0,
        };
        cuda::pool_norm(batch as u32, &params)
    }

    /// The classifier, and the results' way to the host.
    fn head(&self, op: &Op) -> [Launch; 2] {
        let OpKind::Head {
            rows,
            inputs,
            outputs,
            high,
            low,
            logits,
        } = op.kind
        else {
            unreachable!("a classifier: {op:?}");
        };
        let (batch, classes) = (rows as u32, outputs as u32);
        let classify = HeadParams {
            high: self.at(high),
            low: self.at(low),
            weights: self.weights.address(Kind::HeadWeight, None),
            scale: self.weights.address(Kind::HeadScale, None),
            bias: self.weights.address(Kind::HeadBias, None),
            logits: self.at(logits),
            batch,
            classes,
            inputs: inputs as u32,
            padding: 0,
        };
        let sizes = self.plan.sizes();
        let results = TopClassesParams {
            logits: self.at(logits),
            sizes: self.at(sizes),
            top: self.addresses.host_best,
            host_logits: self.addresses.host_logits,
            host_sizes: self.addresses.host_sizes,
            classes,
            tokens: (sizes.len / size_of::<u32>() / rows) as u32,
            count: BEST as u32,
            padding: 0,
        };
        [cuda::head(&classify), cuda::top_classes(batch, &results)]
    }

    fn norm(&self, norm: Norm, layer: Option<usize>) -> (Address, Address) {
        let (gain, bias) = match norm {
            Norm::First => (Kind::Norm1Gain, Kind::Norm1Bias),
            Norm::Second => (Kind::Norm2Gain, Kind::Norm2Bias),
            Norm::Final => (Kind::FinalNormGain, Kind::FinalNormBias),
        };
        (
            self.weights.address(gain, layer),
            self.weights.address(bias, layer),
        )
    }

    fn at(&self, span: Span) -> Address {
        self.addresses.arena.offset(span.offset)
    }
}
