//! A pack's network over real numbers, rounding by rounding.
//!
//! The pass is that of full precision ([`Forward`]) over weights in the pack's own units: activations come as the pack's
//! integers before they are rounded, so that each rounding is one function, and leaving it out is to skip it.

use super::exact::{Exact, Part, exact, features};
use super::means::Means;
use super::network::{in_pack_units, units};
use super::quantizer::LeftOut;
use super::rounding::{Rounding, Units};
use super::units::Steps;
use crate::checkpoint::{Checkpoint, Weights};
use crate::fp32::{Change, Forward, Output, Point};
use mergevit_runtime::Pack;
use mergevit_runtime::pack::Linear;
use std::mem::swap;

/// A pack's network in real numbers. It merges nothing.
pub struct Emulation {
    /// Weights and norms in the pack's units, rounded.
    network: Checkpoint,
    exact: Vec<Exact>,
    units: Units,
    /// What the integers of the classifier's input mean; none without a classifier.
    features: Option<Steps>,
}

/// What a pass gives for one image, in real units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// (V) what the classifier sees; the output where there is no classifier.
    pub features: Vec<f32>,
    /// (outputs)
    pub output: Vec<f32>,
}

impl std::fmt::Debug for Emulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulation")
            .field("network", &self.network.name)
            .finish_non_exhaustive()
    }
}

impl Emulation {
    /// The network of `pack`, which was made from `checkpoint`. Some images at model resolution, `pixels` u8
    /// (N, S, S, 3), tell the means of its activations.
    ///
    /// # Panics
    /// If pack and checkpoint are of different models, or if `pixels` are not whole images.
    pub fn new(checkpoint: &Checkpoint, pack: &Pack, pixels: &[u8]) -> Self {
        let mut emulation = Self {
            network: in_pack_units(checkpoint, pack),
            exact: Vec::new(),
            units: units(pack),
            features: features(checkpoint, pack),
        };
        emulation.exact = exact(checkpoint, pack, &emulation.means(pixels));
        emulation
    }

    /// (N) what images at model resolution give, `pixels` u8 (N, S, S, 3), without the roundings that are left out.
    /// Calls `done` after each, from any thread.
    pub fn run(&mut self, pixels: &[u8], left_out: LeftOut, done: &(dyn Fn() + Sync)) -> Vec<Seen> {
        self.exchange(left_out);
        let units = &self.units;
        let watch = |_| WatchFeatures {
            rounding: Rounding { units, left_out },
            features: Vec::new(),
        };
        let run = Forward::new(&self.network).watch(pixels, &[], watch, done);
        let seen = |(output, watch): (Output, WatchFeatures<'_>)| {
            let mut features = watch.features;
            if let Some(steps) = &self.features {
                let steps = steps.step.iter().zip(&steps.shift);
                for (x, (step, shift)) in features.iter_mut().zip(steps) {
                    *x = (f64::from(*x) * step + shift) as f32;
                }
            }
            Seen {
                features,
                output: output.logits,
            }
        };
        let seen = run.into_iter().map(seen).collect();
        self.exchange(left_out);
        seen
    }

    /// Exchanges the weights that are left out with exact ones, or back.
    fn exchange(&mut self, left_out: LeftOut) {
        for Exact {
            quantizer,
            layer,
            part,
            weights,
        } in &mut self.exact
        {
            if !left_out.has(*quantizer, *layer) {
                continue;
            }
            let network = &mut self.network.weights;
            match part {
                Part::Linear(which) => {
                    let (weight, bias) = of(network, *which, *layer);
                    swap(weight, &mut weights.weight);
                    swap(bias, &mut weights.bias);
                }
                Part::PoolQuery => {
                    let pooling = network.pooling.as_mut().expect("what has a query attends");
                    swap(&mut pooling.query, &mut weights.weight);
                }
            }
        }
    }

    fn means(&self, pixels: &[u8]) -> Means {
        let model = &self.network.model;
        let empty = || Means::new(model.depth, model.width);
        let (units, left_out) = (&self.units, LeftOut::Nothing);
        let watch = |_| Watch {
            rounding: Rounding { units, left_out },
            means: empty(),
        };
        let run = Forward::new(&self.network).watch(pixels, &[], watch, &|| ());
        // In order, so that sums do not depend on threads.
        let parts = run.into_iter().map(|(_, watch)| watch.means);
        parts.fold(empty(), Means::add).divided()
    }
}

/// Weights and bias of a linear layer.
fn of(
    network: &mut Weights,
    which: Linear,
    layer: Option<usize>,
) -> (&mut Vec<f32>, &mut Vec<f32>) {
    const ATTENDS: &str = "what has layers of it attends";
    if let Some(layer) = layer {
        let block = &mut network.blocks[layer];
        return match which {
            Linear::Qkv => (&mut block.qkv_weight, &mut block.qkv_bias),
            Linear::Projection => (&mut block.proj_weight, &mut block.proj_bias),
            Linear::Fc1 => (&mut block.fc1_weight, &mut block.fc1_bias),
            _ => (&mut block.fc2_weight, &mut block.fc2_bias),
        };
    }
    match which {
        Linear::Patch => (&mut network.patch_weight, &mut network.patch_bias),
        Linear::Head => (&mut network.head_weight, &mut network.head_bias),
        _ => {
            let pooling = network.pooling.as_mut().expect(ATTENDS);
            match which {
                Linear::PoolKeyValue => {
                    (&mut pooling.key_value_weight, &mut pooling.key_value_bias)
                }
                Linear::PoolProjection => (&mut pooling.proj_weight, &mut pooling.proj_bias),
                Linear::PoolFc1 => (&mut pooling.fc1_weight, &mut pooling.fc1_bias),
                _ => (&mut pooling.fc2_weight, &mut pooling.fc2_bias),
            }
        }
    }
}

/// Rounds, and keeps what the classifier sees.
struct WatchFeatures<'a> {
    rounding: Rounding<'a>,
    features: Vec<f32>,
}

impl Change for WatchFeatures<'_> {
    fn change(&mut self, point: Point, values: &mut [f32], width: usize) {
        self.rounding.change(point, values, width);
        if point == Point::FinalNorm {
            self.features = values.to_vec();
        }
    }
}

/// Rounds everything, and sums what values are made of.
struct Watch<'a> {
    rounding: Rounding<'a>,
    means: Means,
}

impl Change for Watch<'_> {
    fn change(&mut self, point: Point, values: &mut [f32], width: usize) {
        self.rounding.change(point, values, width);
        if let Point::Norm1(_) | Point::TokenNorm = point {
            self.means.see(point.layer(), values, width);
        }
    }
}
