//! Plans: no two live spans share a byte, token counts follow the schedule, costs add up.

use mergevit_kernels::ops::Merge;
use mergevit_runtime::pack::Linear;
use mergevit_runtime::plan::{Access, MAX_STEPS, MergeOp, Op, Span, Step};
use mergevit_runtime::{
    Mlp, ModelConfig, Plan, PlanError, Pooling, Ranking, RotaryKind, Schedule, testing,
};
use proptest::prelude::*;

/// A value in the arena: where it lies, and the steps between which it must stay.
struct Live {
    span: Span,
    first: usize,
    last: usize,
}

/// Lifetimes, worked out from reads and writes alone.
fn lifetimes(plan: &Plan) -> Vec<Live> {
    let mut values = vec![Live {
        span: plan.pixels(),
        first: 0,
        last: 0,
    }];
    // The first tokens of one image are read where they lie.
    let newest = |values: &mut Vec<Live>, span: Span| -> usize {
        values
            .iter()
            .rposition(|live| live.span.offset == span.offset && span.len <= live.span.len)
            .unwrap_or_else(|| panic!("{span:?} is read before it is written"))
    };
    let steps = plan.steps().iter().enumerate();
    for (index, op) in
        steps.flat_map(|(index, step)| step.ops().into_iter().map(move |op| (index, op)))
    {
        for (span, access) in op.spans() {
            if access.reads() {
                let at = newest(&mut values, span);
                values[at].last = index;
            }
        }
        for (span, access) in op.spans() {
            if access == Access::Write {
                values.push(Live {
                    span,
                    first: index,
                    last: index,
                });
            }
        }
    }
    for span in [plan.output(), plan.sizes()] {
        let at = newest(&mut values, span);
        values[at].last = plan.steps().len();
    }
    values
}

/// Checks a plan; its arena may be `slack` times the smallest that could do.
fn check(config: &ModelConfig, schedule: &Schedule, batch: usize, slack: f64) {
    let plan = Plan::new(config, schedule, batch).expect("a valid model");
    let values = lifetimes(&plan);
    for (index, a) in values.iter().enumerate() {
        assert!(a.span.offset.is_multiple_of(64) && a.span.len > 0);
        assert!(a.span.range().end <= plan.arena_len());
        for b in &values[..index] {
            let alive_together = a.first <= b.last && b.first <= a.last;
            let apart = a.span.range().end <= b.span.offset || b.span.range().end <= a.span.offset;
            assert!(!alive_together || apart, "{:?} {:?}", a.span, b.span);
        }
    }
    let least = (0..=plan.steps().len())
        .map(|step| {
            let alive = values.iter().filter(|v| (v.first..=v.last).contains(&step));
            alive
                .map(|v| v.span.len.next_multiple_of(64))
                .sum::<usize>()
        })
        .max()
        .unwrap();
    assert!(plan.arena_len() >= least);
    assert!(
        plan.arena_len() as f64 <= slack * least as f64,
        "{} bytes where {least} are needed",
        plan.arena_len()
    );
    check_tokens(config, schedule, &plan);
}

fn check_tokens(config: &ModelConfig, schedule: &Schedule, plan: &Plan) {
    let mut tokens = config.tokens();
    let mut merged = false;
    assert_eq!(usize::from(plan.tokens()[0]), tokens);
    for (layer, &r) in schedule.merge.iter().enumerate() {
        let last = layer + 1 == config.depth;
        let pooled = config.pooled_prefix().filter(|_| last);
        let r = match pooled {
            Some(_) => 0,
            None => usize::from(r).min(Merge::limit(tokens, config.prefix)),
        };
        let mut merges = 0;
        for op in plan.ops().filter(|op| op.layer() == Some(layer)) {
            match op {
                Op::Attention(op) => {
                    assert_eq!((op.tokens, op.sizes.is_some()), (tokens, merged));
                    assert_eq!(op.queries, pooled.unwrap_or(tokens));
                }
                Op::Linear(op) if op.linear == Linear::Fc2 => {
                    assert_eq!(op.rows, plan.batch() * pooled.unwrap_or(tokens - r));
                }
                Op::Merge(MergeOp { shape, .. }) => {
                    assert_eq!((shape.tokens, shape.merged), (tokens, r));
                    merges += 1;
                }
                _ => {}
            }
        }
        assert_eq!(merges, usize::from(r > 0));
        tokens -= r;
        merged |= r > 0;
        assert_eq!(usize::from(plan.tokens()[layer + 1]), tokens);
    }
    assert!(tokens >= 1);
    assert_eq!(plan.sizes().len, plan.batch() * tokens * 4);
    assert_eq!(plan.output().len, plan.batch() * config.classes * 4);
    assert_eq!(plan.pixels().len, plan.batch() * config.image_bytes());
}

fn base() -> ModelConfig {
    ModelConfig {
        mlp_width: 3072,
        ..testing::model(224, 16, 12, 12, 1000)
    }
}

prop_compose! {
    fn models()(
        (grid, patch_size) in (1usize..=64, 1usize..=32),
        (heads, mlp, depth) in (1usize..=16, 1usize..=4096, 1usize..=64),
        which in 0..testing::family().len(),
        prefix in 0usize..=16,
    ) -> ModelConfig {
        let (_, variant) = testing::family().swap_remove(which);
        let size = grid * patch_size;
        let least = match variant.pooling {
            Pooling::ClassToken | Pooling::ClassAndMean => 1,
            Pooling::ClassAndDistillation => 2,
            Pooling::Mean | Pooling::MeanAll | Pooling::Attention => 0,
        };
        ModelConfig {
            image_size: size,
            patch_size,
            depth,
            heads: 2 * heads,
            mlp_width: mlp,
            prefix: prefix.max(least),
            ..variant
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_model_and_schedule_plans(
        config in models(),
        merge in prop::collection::vec(prop_oneof![0u16..40, Just(u16::MAX)], 64),
        batch in 1usize..=32,
    ) {
        let schedule = Schedule::new("any", merge[..config.depth].into());
        // Models of no usual proportions: buffers may not fit into each other's places.
        check(&config, &schedule, batch, 1.35);
    }
}

#[test]
fn the_usual_models_plan() {
    for (heads, depth) in [(3, 12), (6, 12), (12, 12), (16, 24)] {
        for (image, patch) in [
            (224, 16),
            (384, 16),
            (224, 14),
            (224, 8),
            (512, 16),
            (224, 32),
        ] {
            let mut config = testing::model(image, patch, heads, depth, 1000);
            config.mlp_width = 4 * config.width;
            for r in [0, 8, 13, 16, 200] {
                for batch in [1, 3, 8, 32] {
                    check(&config, &Schedule::constant(r, depth), batch, 1.01);
                }
            }
        }
    }
}

#[test]
fn costs_of_vit_base_are_the_published_ones() {
    // The mean takes all tokens through all layers.
    let config = ModelConfig {
        pooling: Pooling::Mean,
        ..base()
    };
    let plan = Plan::new(&config, &Schedule::constant(0, 12), 1).unwrap();
    let cost = plan.cost();
    // 17.56 GMAC for ViT-B/16 at 224; the head runs twice, on the high and the low byte.
    assert!(
        (cost.macs as f64 / 1e9 - 17.56).abs() < 0.02,
        "{}",
        cost.macs
    );
    // 86.6 million parameters, most of them one byte; positions, biases and scales four.
    assert!(
        (86_000_000..88_000_000).contains(&cost.weight_bytes),
        "{}",
        cost.weight_bytes
    );
    let merged = Plan::new(&config, &Schedule::constant(13, 12), 1).unwrap();
    assert!(merged.cost().macs < cost.macs * 6 / 10);
    assert_eq!(merged.tokens()[12], 197 - 12 * 13);
    let batch = Plan::new(&config, &Schedule::constant(0, 12), 4).unwrap();
    assert_eq!(batch.cost().macs, 4 * cost.macs);
    // Arena: the MLP's hidden activations, its input and the residual stream.
    assert_eq!(plan.arena_len(), 197 * (3072 + 768 + 2 * 768) + 832);
}

/// Of the class token alone: in the last layer, only it leaves attention.
#[test]
fn nothing_is_computed_that_does_not_reach_the_output() {
    let (tokens, width) = (197u64, 768u64);
    for (pooling, prefix) in [(Pooling::ClassToken, 1), (Pooling::ClassAndDistillation, 2)] {
        let config = ModelConfig {
            pooling,
            prefix,
            image_size: 224,
            ..base()
        };
        let tokens = tokens + prefix as u64 - 1;
        for (r, batch) in [(0, 1), (0, 3), (5, 1), (5, 3)] {
            let schedule = Schedule::constant(r, 12);
            let plan = Plan::new(&config, &schedule, batch).unwrap();
            let all = ModelConfig {
                pooling: Pooling::Mean,
                classes: config.classes,
                ..config.clone()
            };
            let all = Plan::new(&all, &schedule, batch).unwrap();
            let seen = tokens - 11 * u64::from(r);
            let (left, kept) = (seen - u64::from(r), prefix as u64);
            let merging = match r {
                0 => 0,
                _ => seen.div_ceil(2) * (seen / 2) * 64,
            };
            // Two products of attention, the projection, the MLP.
            let dead = 2 * (seen - kept) * seen * width
                + (seen - kept) * width * width
                + (left - kept) * 2 * width * 3072
                + merging;
            // The classifier reads both tokens.
            let head = 2 * (kept - 1) * width * 1000;
            let saved = all.cost().macs - (plan.cost().macs - batch as u64 * head);
            assert_eq!(
                saved,
                batch as u64 * dead,
                "{pooling:?}, r {r}, {batch} images"
            );
            assert_eq!(u64::from(plan.tokens()[12]), seen);
        }
    }
}

#[test]
fn the_family_plans() {
    for (_, mut config) in testing::family() {
        for (image, patch) in [(35, 5), (224, 16)] {
            (config.image_size, config.patch_size) = (image, patch);
            config.mlp_width = 4 * config.width;
            for r in [0, 8, 200] {
                for batch in [1, 8] {
                    let schedule = Schedule::constant(r, config.depth);
                    check(&config, &schedule, batch, 1.2);
                }
            }
        }
    }
}

#[test]
fn the_longest_plans_fit() {
    let mut longest = 0;
    for (_, variant) in testing::family() {
        let config = ModelConfig {
            image_size: 64 * 5,
            depth: 64,
            mlp: Mlp::GatedNorm,
            pre_norm: true,
            rotary: RotaryKind::PerLayer,
            ..variant
        };
        for r in [0, 1] {
            let plan = Plan::new(&config, &Schedule::constant(r, 64), 32).unwrap();
            assert!(matches!(plan.steps()[0], Step::Patchify(_)));
            longest = longest.max(plan.steps().len());
        }
    }
    assert_eq!(longest, MAX_STEPS);
}

#[test]
fn impossible_plans_are_refused() {
    let config = base();
    let schedule = Schedule::constant(0, 12);
    for found in [0, 33, usize::MAX] {
        let error = Plan::new(&config, &schedule, found).unwrap_err();
        assert_eq!(error, PlanError::Batch { found });
    }
    let error = Plan::new(&config, &Schedule::constant(0, 11), 1).unwrap_err();
    assert_eq!(
        error,
        PlanError::Schedule {
            found: 11,
            expected: 12
        }
    );
    let classless = ModelConfig {
        prefix: 0,
        pooling: Pooling::Mean,
        ..config.clone()
    };
    let ranked = schedule.clone().ranked_by(Ranking::ClassAttention);
    assert!(Plan::new(&config, &ranked, 1).is_ok());
    let error = Plan::new(&classless, &ranked, 1).unwrap_err();
    assert_eq!(error, PlanError::Ranking);
    let broken = ModelConfig {
        patch_size: 0,
        ..config
    };
    assert!(matches!(
        Plan::new(&broken, &schedule, 1),
        Err(PlanError::Config(_))
    ));
}
