//! Latency of any schedule on this machine, from a few that were measured.

use mergevit_kernels::ops::Merge;
use mergevit_runtime::{ModelConfig, Schedule};

/// Latency as a function of how many tokens each layer has.
///
/// A layer's time depends on its tokens alone, so it is enough to measure networks whose first layers merge what they can,
/// and whose others then all have as many tokens: see [`probes`](Self::probes).
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyModel {
    /// Tokens of a layer and its microseconds, the most tokens first; times do not rise.
    layers: Vec<(f64, f64)>,
    /// Microseconds outside of all layers.
    fixed: f64,
}

impl LatencyModel {
    /// Shares of the tokens with which layers are measured, and how many layers it takes to get there.
    const PROBES: [(f64, usize); 6] = [
        (1.0, 0),
        (0.85, 1),
        (0.7, 1),
        (0.55, 1),
        (0.35, 2),
        (0.2, 3),
    ];

    /// Schedules to be measured, the first of which merges nothing. Fewer than usual of a model with few layers.
    pub fn probes(model: &ModelConfig) -> Vec<Schedule> {
        let probes = Self::PROBES.into_iter().enumerate();
        let deep_enough = probes.filter(|(_, (_, layers))| layers + 1 < model.depth.max(2));
        let schedule = |(index, (share, _)): (usize, (f64, usize))| {
            let wanted = (share * model.tokens() as f64).round() as usize;
            let mut tokens = model.tokens();
            let r = |layer: usize| {
                // The last layer's merging says nothing of a layer with fewer tokens.
                if layer + 1 == model.depth {
                    return 0;
                }
                let merged = (tokens - wanted.min(tokens)).min(Merge::limit(tokens, model.prefix));
                tokens -= merged;
                merged as u16
            };
            Schedule::new(format!("probe-{index}"), (0..model.depth).map(r).collect())
        };
        deep_enough.map(schedule).collect()
    }

    /// From what the probes took: the tokens that enter each layer and leave the last (see
    /// [`Plan::tokens`](mergevit_runtime::Plan::tokens)), and microseconds. The first is the one without merging.
    ///
    /// # Panics
    /// Without probes.
    pub fn new(measured: &[(&[u16], f64)]) -> Self {
        let (tokens, unmerged) = measured[0];
        let depth = (tokens.len() - 1) as f64;
        let full = f64::from(tokens[0]);
        // All that is not a layer is patches and classifier: about one part in a hundred.
        let fixed = 0.01 * unmerged;
        let mut layers = vec![(full, (unmerged - fixed) / depth)];
        for (tokens, microseconds) in &measured[1..] {
            let own = Self {
                layers: layers.clone(),
                fixed,
            };
            let last = f64::from(tokens[tokens.len() - 1]);
            // Layers on the way there are known from the probes before; the others have the last count.
            let (mut known, mut count) = (fixed, 0.0f64);
            for mean in mean_tokens(tokens) {
                match mean > last {
                    true => known += own.layer_us(mean),
                    false => count += 1.0,
                }
            }
            let before = layers[layers.len() - 1].1;
            let each = ((microseconds - known) / count.max(1.0)).clamp(0.0, before);
            layers.push((last, each));
        }
        Self { layers, fixed }
    }

    /// Microseconds of a network with these tokens, as [`Plan::tokens`](mergevit_runtime::Plan::tokens) gives them.
    pub fn latency_us(&self, tokens: &[u16]) -> f64 {
        let layers = mean_tokens(tokens).map(|mean| self.layer_us(mean));
        self.fixed + layers.sum::<f64>()
    }

    /// Microseconds of a layer, between the two counts that were measured next to it; below all of them in proportion.
    fn layer_us(&self, tokens: f64) -> f64 {
        let after = self.layers.iter().position(|(own, _)| *own <= tokens);
        let (high, low) = match after {
            Some(0) => return self.layers[0].1,
            Some(after) => (self.layers[after - 1], self.layers[after]),
            None => (self.layers[self.layers.len() - 1], (0.0, 0.0)),
        };
        let part = (tokens - low.0) / (high.0 - low.0);
        low.1 + part * (high.1 - low.1)
    }
}

/// A layer's tokens: the mean of those that attend and those that are left for the MLP.
fn mean_tokens(tokens: &[u16]) -> impl Iterator<Item = f64> {
    let pairs = tokens.windows(2);
    pairs.map(|pair| (f64::from(pair[0]) + f64::from(pair[1])) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::{Plan, testing};

    /// A machine whose layers take a time that is known.
    fn machine(tokens: &[u16]) -> f64 {
        let layers = mean_tokens(tokens).map(|mean| 5.0 + 0.8 * mean + 0.004 * mean * mean);
        10.0 + layers.sum::<f64>()
    }

    fn model(config: &ModelConfig) -> LatencyModel {
        let probes = LatencyModel::probes(config);
        let plans: Vec<Plan> = probes
            .iter()
            .map(|probe| Plan::new(config, probe, 1).unwrap())
            .collect();
        let measured: Vec<_> = plans
            .iter()
            .map(|plan| (plan.tokens(), machine(plan.tokens())))
            .collect();
        LatencyModel::new(&measured)
    }

    #[test]
    fn schedules_that_were_not_measured_are_predicted() {
        let config = testing::model(128, 8, 2, 12, 10);
        let model = model(&config);
        for shape in super::super::Shape::all(&config) {
            for amount in [2.0, 6.0, 10.0] {
                let schedule = Schedule::new("own", shape.merge(amount, &config));
                let plan = Plan::new(&config, &schedule, 1).unwrap();
                let (found, expected) = (model.latency_us(plan.tokens()), machine(plan.tokens()));
                assert!((found / expected - 1.0).abs() < 0.03, "{found} {expected}");
            }
        }
    }

    #[test]
    fn every_depth_has_probes_that_it_can_run() {
        for depth in [1, 2, 3, 4, 12] {
            let config = testing::model(64, 8, 2, depth, 10);
            let probes = LatencyModel::probes(&config);
            assert!(probes[0].is_unmerged() && probes.len() <= 6, "{depth}");
            let model = model(&config);
            let plan = Plan::new(&config, &probes[0], 1).unwrap();
            let found = model.latency_us(plan.tokens());
            assert!((found / machine(plan.tokens()) - 1.0).abs() < 1e-9);
        }
    }
}
