//! What a schedule costs, and how much it merges.

use mergevit_runtime::{ModelConfig, Plan, Schedule};

/// What one image costs under a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleCost {
    /// Billions of multiply-accumulates.
    pub gmac: f64,
    /// Tokens that are gone where the network ends.
    pub merged: u64,
}

impl ScheduleCost {
    /// That of a schedule of a pack of `model`; no number and no tokens of one that does not fit the model.
    pub fn of(model: &ModelConfig, schedule: &Schedule) -> Self {
        let Ok(plan) = Plan::new(model, schedule, 1) else {
            return Self {
                gmac: f64::NAN,
                merged: 0,
            };
        };
        let tokens = plan.tokens();
        Self {
            gmac: plan.cost().macs as f64 / 1e9,
            merged: u64::from(tokens[0] - tokens[tokens.len() - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::{Pooling, testing};

    #[test]
    fn the_last_layer_merges_only_where_all_its_tokens_are_pooled() {
        let mut model = testing::model(64, 8, 2, 6, 10);
        let of = |model: &ModelConfig, r| ScheduleCost::of(model, &Schedule::constant(r, 6));
        assert_eq!((of(&model, 0).merged, of(&model, 4).merged), (0, 20));
        assert!(of(&model, 4).gmac < of(&model, 0).gmac);
        model.pooling = Pooling::Mean;
        assert_eq!(of(&model, 4).merged, 24);
    }

    #[test]
    fn a_schedule_of_another_depth_costs_no_number() {
        let model = testing::model(64, 8, 2, 6, 10);
        let cost = ScheduleCost::of(&model, &Schedule::constant(4, 5));
        assert!(cost.gmac.is_nan() && cost.merged == 0);
    }
}
