//! Few numbers that describe how many tokens each layer merges.

use mergevit_kernels::ops::Merge;
use mergevit_runtime::{ModelConfig, Ranking, Schedule};
use std::fmt;

/// How merging is spread over the layers: nothing before `start`, then a straight line. The last layer merges nothing,
/// because hardly anything comes after it that could be saved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// The first layer that merges.
    pub start: usize,
    /// From -1, as many as possible at the start and none at the end, over 0, the same in each layer, to 1, the
    /// other way round.
    pub slope: f64,
    /// Which tokens merge first.
    pub ranking: Ranking,
}

/// Slopes that are tried.
const SLOPES: [f64; 4] = [-0.5, 0.0, 0.5, 1.0];

/// Starts that are tried at most, evenly spread over the first two thirds of the layers.
const STARTS: usize = 8;

impl Shape {
    /// As published: the same in each layer (Bolya et al., arXiv 2210.09461).
    pub const CONSTANT: Self = Self {
        start: 0,
        slope: 0.0,
        ranking: Ranking::Similarity,
    };

    /// All shapes that are tried for a model.
    pub fn all(model: &ModelConfig) -> Vec<Self> {
        let starts = (0..STARTS).map(|index| index * 2 * model.depth / (3 * STARTS));
        let mut starts: Vec<_> = starts.collect();
        starts.dedup();
        let rankings = Ranking::ALL.into_iter();
        let mut shapes = Vec::new();
        for ranking in rankings.filter(|ranking| ranking.suits(model.prefix)) {
            for &start in &starts {
                shapes.extend(SLOPES.map(|slope| Self {
                    start,
                    slope,
                    ranking,
                }));
            }
        }
        shapes
    }

    /// The schedule that merges `amount` tokens on the mean of the layers that merge.
    pub fn schedule(&self, name: String, amount: f64, model: &ModelConfig) -> Schedule {
        Schedule::new(name, self.merge(amount, model)).ranked_by(self.ranking)
    }

    /// r of each layer of `model`, which is `amount` on the mean of the layers that merge. Fractions add up from layer to
    /// layer, so that small amounts tell. No layer gets more than it can merge.
    pub fn merge(&self, amount: f64, model: &ModelConfig) -> Vec<u16> {
        let layers = self.start..model.depth.saturating_sub(1);
        let steps = layers.len().saturating_sub(1).max(1) as f64;
        let (mut tokens, mut wanted, mut given) = (model.tokens(), 0.0, 0.0);
        let mut r = |layer: usize| {
            if !layers.contains(&layer) {
                return 0;
            }
            let place = match layers.len() {
                1 => 0.5,
                _ => (layer - self.start) as f64 / steps,
            };
            wanted += amount * (1.0 + self.slope * (2.0 * place - 1.0));
            let limit = Merge::limit(tokens, model.prefix);
            let merged = ((wanted - given).round().max(0.0) as usize).min(limit);
            // What a layer cannot merge is not asked of the next.
            given = match merged == limit {
                true => wanted,
                false => given + merged as f64,
            };
            tokens -= merged;
            merged as u16
        };
        (0..model.depth).map(&mut r).collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from layer {}, slope {}", self.start, self.slope)?;
        match self.ranking {
            Ranking::Similarity => Ok(()),
            ranking => write!(f, ", by {}", ranking.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::testing;

    /// 12 layers of 65 tokens.
    fn model() -> ModelConfig {
        testing::model(64, 8, 2, 12, 10)
    }

    #[test]
    fn shapes_are_lines_from_their_start() {
        let merge = |start, slope, amount| {
            let ranking = Ranking::Similarity;
            let shape = Shape {
                start,
                slope,
                ranking,
            };
            shape.merge(amount, &model())
        };
        assert_eq!(merge(0, 0.0, 2.0), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
        assert_eq!(merge(6, 0.0, 3.0), [0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 0]);
        assert_eq!(merge(1, 1.0, 4.5), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
        assert_eq!(merge(6, -1.0, 4.0), [0, 0, 0, 0, 0, 0, 8, 6, 4, 2, 0, 0]);
        assert_eq!(merge(10, 1.0, 4.0), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
        // Less than a token a layer is a token now and then.
        assert_eq!(merge(0, 0.0, 0.5).iter().sum::<u16>(), 6);
    }

    #[test]
    fn no_layer_is_asked_for_what_it_cannot_do() {
        let model = model();
        let mut tokens = model.tokens();
        for r in Shape::CONSTANT.merge(40.0, &model) {
            assert!(usize::from(r) <= Merge::limit(tokens, model.prefix));
            tokens -= usize::from(r);
        }
        assert_eq!(tokens, 2);
    }

    #[test]
    fn more_is_never_less() {
        for shape in Shape::all(&model()) {
            let mut last = 0;
            for amount in 0..40 {
                let merge = shape.merge(f64::from(amount) / 4.0, &model());
                let total: u16 = merge.iter().sum();
                assert!(total >= last, "{shape:?}");
                last = total;
            }
        }
    }

    #[test]
    fn shapes_differ_and_fit_every_depth() {
        for depth in [1, 2, 3, 6, 12, 24, 40] {
            let model = testing::model(64, 8, 2, depth, 10);
            let shapes = Shape::all(&model);
            assert!(shapes.contains(&Shape::CONSTANT), "{depth}");
            for (index, shape) in shapes.iter().enumerate() {
                assert!(!shapes[..index].contains(shape), "{depth}: {shape:?}");
                assert!(shape.start < depth);
                let schedule = shape.schedule("own".into(), 2.0, &model);
                assert_eq!(schedule.ranking, shape.ranking);
            }
        }
    }

    #[test]
    fn only_a_class_token_ranks_by_its_attention() {
        let mut model = model();
        let ranks = |model: &ModelConfig| {
            let shapes = Shape::all(model).into_iter();
            let count = shapes.filter(|own| own.ranking == Ranking::ClassAttention);
            count.count()
        };
        assert_eq!(2 * ranks(&model), Shape::all(&model).len());
        model.prefix = 0;
        assert_eq!(ranks(&model), 0);
    }
}
