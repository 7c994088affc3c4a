//! The engine against the contract: the plan changes nothing, nor does the backend, the batch, the number
//! of threads, or what ran before.

use half::f16;
use mergevit_kernels::frame::{Frame, Geometry, Interpolation, PixelFormat, Resize, reference};
use mergevit_kernels::ops::{
    Attention, Embed, Epilogue, Kernels, LayerNorm, LinearWeights, Merge, MergeInput, MergeOutput,
    Patchify, Pool, row_sums,
};
use mergevit_kernels::reference::Reference;
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Backend, Engine, EngineOptions, LoadError, ModelConfig, Output, Pack, Pooling, RunError,
    Schedule, TensorKind as Kind, backends, inspect,
};

fn options(backend: &str, threads: usize, max_batch: usize) -> EngineOptions {
    Engine::options()
        .backend(backend)
        .threads(threads)
        .max_batch(max_batch)
        .max_frame(320, 240)
}

fn engine(config: &ModelConfig, merged: &[u16], options: &EngineOptions) -> Engine {
    options
        .build(testing::pack(config, merged, 21))
        .expect("an engine")
}

fn available() -> impl Iterator<Item = &'static str> {
    backends().filter(|b| b.available).map(|b| b.name)
}

/// Models of both poolings, with and without class token, whose sizes are no round numbers.
fn models() -> Vec<ModelConfig> {
    let mut models = Vec::new();
    for (class_token, pooling) in [
        (true, Pooling::ClassToken),
        (true, Pooling::Mean),
        (false, Pooling::Mean),
    ] {
        models.push(ModelConfig {
            mlp_width: 320,
            class_token,
            pooling,
            ..testing::model(35, 5, 2, 4, 13)
        });
    }
    models
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The network written out with one vector for each value: no plan, no arena, no batch.
struct Naive<'a> {
    pack: &'a Pack,
    kernels: Reference,
}

impl Naive<'_> {
    fn floats(&self, kind: Kind, layer: Option<usize>) -> &[f32] {
        self.pack.tensor_f32(kind, layer).unwrap()
    }

    fn linear(
        &self,
        [weight, scale, bias]: [Kind; 3],
        layer: Option<usize>,
        input: &[i8],
        epilogue: Epilogue<'_>,
    ) {
        let (outputs, inputs) = weight.shape(self.pack.config());
        let data = self.pack.tensor_i8(weight, layer).unwrap();
        let sums: Vec<i32> = row_sums(data, inputs).collect();
        let weights = LinearWeights {
            outputs,
            inputs,
            data,
            scale: self.floats(scale, layer),
            bias: self.floats(bias, layer),
            sums: &sums,
        };
        Reference::new().linear(input.len() / inputs, input, &weights, epilogue);
    }

    fn norm(&self, gain: Kind, bias: Kind, layer: Option<usize>, input: &[f16]) -> Vec<i8> {
        let norm = LayerNorm {
            gain: self.floats(gain, layer),
            bias: self.floats(bias, layer),
            epsilon: self.pack.config().epsilon,
        };
        let mut output = vec![0; input.len()];
        Reference::new().layer_norm(&norm, input, &mut output);
        output
    }

    fn embed(&self, pixels: &[u8]) -> Vec<f16> {
        let config = self.pack.config();
        let shape = Patchify {
            batch: 1,
            image_size: config.image_size,
            patch_size: config.patch_size,
        };
        let mut patches = vec![0; shape.patches() * shape.row()];
        Reference::new().patchify(&shape, pixels, &mut patches);
        let mut residual = vec![f16::ZERO; config.tokens() * config.width];
        let embed = Epilogue::Embed(Embed {
            batch: 1,
            class_token: config.class_token,
            position: self.floats(Kind::Position, None),
            residual: &mut residual,
        });
        let kinds = [Kind::PatchWeight, Kind::PatchScale, Kind::PatchBias];
        self.linear(kinds, None, &patches, embed);
        residual
    }

    fn forward(&mut self, pixels: &[u8], schedule: &Schedule) -> (Vec<f32>, Vec<u32>) {
        let config = self.pack.config();
        let width = config.width;
        let mut residual = self.embed(pixels);
        let mut sizes = vec![1u32; config.tokens()];
        for (index, &r) in schedule.merge.iter().enumerate() {
            let layer = Some(index);
            let tokens = sizes.len();
            let normed = self.norm(Kind::Norm1Gain, Kind::Norm1Bias, layer, &residual);
            let mut qkv = vec![0; tokens * 3 * width];
            let kinds = [Kind::QkvWeight, Kind::QkvScale, Kind::QkvBias];
            self.linear(
                kinds,
                layer,
                &normed,
                Epilogue::Requantize { output: &mut qkv },
            );
            let context = self.attention(layer, &qkv, &sizes);
            let add = Epilogue::ResidualAdd {
                residual: &mut residual,
            };
            let kinds = [Kind::ProjWeight, Kind::ProjScale, Kind::ProjBias];
            self.linear(kinds, layer, &context, add);
            let merged = usize::from(r).min(Merge::limit(tokens, config.class_token));
            if merged > 0 {
                (residual, sizes) = self.merge(merged, &qkv, &residual, &sizes);
            }
            let normed = self.norm(Kind::Norm2Gain, Kind::Norm2Bias, layer, &residual);
            let gelu = self.floats(Kind::GeluQuantization, layer);
            let mut hidden = vec![0; sizes.len() * config.mlp_width];
            let epilogue = Epilogue::GeluRequantize {
                inverse_scale: gelu[0],
                zero_point: gelu[1],
                output: &mut hidden,
            };
            let kinds = [Kind::Fc1Weight, Kind::Fc1Scale, Kind::Fc1Bias];
            self.linear(kinds, layer, &normed, epilogue);
            let add = Epilogue::ResidualAdd {
                residual: &mut residual,
            };
            let kinds = [Kind::Fc2Weight, Kind::Fc2Scale, Kind::Fc2Bias];
            self.linear(kinds, layer, &hidden, add);
        }
        (self.classify(&residual, &sizes), sizes)
    }

    fn attention(&mut self, layer: Option<usize>, qkv: &[i8], sizes: &[u32]) -> Vec<i8> {
        let shape = Attention {
            batch: 1,
            tokens: sizes.len(),
            heads: self.pack.config().heads,
            score_scale: self.pack.tensor_f32(Kind::ScoreScale, layer).unwrap(),
            context_scale: self.pack.tensor_f32(Kind::ContextScale, layer).unwrap(),
        };
        let mut context = vec![0; qkv.len() / 3];
        // Sizes from the first layer on: all ones must not change a bit.
        self.kernels
            .attention(&shape, qkv, Some(sizes), &mut context);
        context
    }

    fn merge(
        &mut self,
        merged: usize,
        qkv: &[i8],
        residual: &[f16],
        sizes: &[u32],
    ) -> (Vec<f16>, Vec<u32>) {
        let config = self.pack.config();
        let shape = Merge {
            batch: 1,
            tokens: sizes.len(),
            width: config.width,
            merged,
            class_token: config.class_token,
        };
        let left = sizes.len() - merged;
        let mut out = (vec![f16::ZERO; left * config.width], vec![0; left]);
        let input = MergeInput {
            qkv,
            residual,
            sizes,
        };
        let output = MergeOutput {
            residual: &mut out.0,
            sizes: &mut out.1,
        };
        self.kernels.merge(&shape, input, output);
        out
    }

    fn classify(&mut self, residual: &[f16], sizes: &[u32]) -> Vec<f32> {
        let config = self.pack.config();
        let shape = Pool {
            batch: 1,
            tokens: sizes.len(),
            width: config.width,
            class_token: config.class_token,
            pooling: match config.pooling {
                Pooling::ClassToken => mergevit_kernels::ops::Pooling::ClassToken,
                Pooling::Mean => mergevit_kernels::ops::Pooling::Mean,
            },
        };
        let mut pooled = vec![f16::ZERO; config.width];
        self.kernels.pool(&shape, residual, sizes, &mut pooled);
        let norm = LayerNorm {
            gain: self.pack.tensor_f32(Kind::FinalNormGain, None).unwrap(),
            bias: self.pack.tensor_f32(Kind::FinalNormBias, None).unwrap(),
            epsilon: config.epsilon,
        };
        let (mut high, mut low) = (vec![0; config.width], vec![0; config.width]);
        self.kernels
            .layer_norm_wide(&norm, &pooled, &mut high, &mut low);
        let data = self.pack.tensor_i8(Kind::HeadWeight, None).unwrap();
        let sums: Vec<i32> = row_sums(data, config.width).collect();
        let weights = LinearWeights {
            outputs: config.classes,
            inputs: config.width,
            data,
            scale: self.pack.tensor_f32(Kind::HeadScale, None).unwrap(),
            bias: self.pack.tensor_f32(Kind::HeadBias, None).unwrap(),
            sums: &sums,
        };
        let mut logits = vec![0.0; config.classes];
        self.kernels.head(&high, &low, &weights, &mut logits);
        logits
    }
}

#[test]
fn every_backend_computes_the_network_written_out() {
    for config in models() {
        let merged = [0, 3, 9, 60];
        let pack = testing::pack(&config, &merged, 21);
        let mut naive = Naive {
            pack: &pack,
            kernels: Reference::new(),
        };
        let pixels = Random(3).bytes(config.image_bytes());
        for schedule in pack.schedules() {
            let (logits, sizes) = naive.forward(&pixels, schedule);
            assert!(logits.iter().any(|&x| x != logits[0]), "random logits");
            assert_eq!(sizes.iter().sum::<u32>() as usize, config.tokens());
            for backend in available() {
                let mut engine = engine(&config, &merged, &options(backend, 2, 1));
                engine.set_schedule(&schedule.name).unwrap();
                let output = engine.classify_pixels(&pixels).unwrap();
                assert_eq!(
                    bits(output.logits()),
                    bits(&logits),
                    "{backend} {}",
                    schedule.name
                );
                assert_eq!(output.sizes(), sizes, "{backend} {}", schedule.name);
            }
        }
    }
}

#[test]
fn a_batch_equals_its_images_one_by_one() {
    for config in models() {
        let image = config.image_bytes();
        let pixels = Random(4).bytes(8 * image);
        for backend in available() {
            let mut engine = engine(&config, &[5, 0], &options(backend, 1, 8));
            for schedule in ["r5", "r0"] {
                engine.set_schedule(schedule).unwrap();
                let mut single = Vec::new();
                let mut sizes = Vec::new();
                for pixels in pixels.chunks_exact(image) {
                    let output = engine.classify_pixels(pixels).unwrap();
                    single.extend(bits(output.logits()));
                    sizes.extend(output.sizes().to_vec());
                }
                for batch in [2, 3, 8] {
                    let output = engine.classify_pixels(&pixels[..batch * image]).unwrap();
                    assert_eq!(output.batch(), batch);
                    assert_eq!(bits(output.logits()), single[..batch * config.classes]);
                    assert_eq!(output.sizes(), &sizes[..output.sizes().len()]);
                    let last = bits(output.image_logits(batch - 1));
                    assert_eq!(
                        last,
                        single[(batch - 1) * config.classes..][..config.classes]
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_is_left_over_from_earlier_runs() {
    let config = &models()[0];
    let image = config.image_bytes();
    let pixels = Random(6).bytes(3 * image);
    for backend in available() {
        let merged = [0, 2, 12];
        let mut used = engine(config, &merged, &options(backend, 1, 3));
        let mut random = Random(7);
        for _ in 0..12 {
            let schedule = format!("r{}", merged[random.below(3)]);
            let batch = 1 + random.below(3);
            let input = &pixels[(3 - batch) * image..];
            used.set_schedule(&schedule).unwrap();
            assert_eq!(used.schedule().name, schedule);
            let mut fresh = engine(config, &merged, &options(backend, 1, 3));
            fresh.set_schedule(&schedule).unwrap();
            let want = bits(fresh.classify_pixels(input).unwrap().logits());
            assert_eq!(bits(used.classify_pixels(input).unwrap().logits()), want);
        }
    }
}

#[test]
fn threads_change_nothing() {
    let config = &models()[1];
    let pixels = Random(8).bytes(2 * config.image_bytes());
    let run = |threads| {
        let mut engine = engine(config, &[4], &options("cpu", threads, 2));
        assert_eq!(engine.threads(), threads);
        bits(engine.classify_pixels(&pixels).unwrap().logits())
    };
    let one = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

#[test]
fn frames_are_resized_and_cropped_as_the_pack_says() {
    let config = &models()[0];
    let mut engine = engine(config, &[0], &options("cpu", 1, 2));
    let geometry =
        Geometry::new(Resize::ShortestSide(39), (35, 35), Interpolation::Bicubic).unwrap();
    let mut random = Random(9);
    for format in PixelFormat::ALL {
        let data = random.bytes(format.frame_bytes(61, 47));
        let first = Frame::packed(format, 61, 47, &data).unwrap();
        let other = random.bytes(320 * 240);
        let second = Frame::packed(PixelFormat::Grey, 320, 240, &other).unwrap();
        let mut pixels = Vec::new();
        for frame in [&first, &second] {
            pixels.extend(reference::preprocess(&geometry, frame));
        }
        let from_frames = bits(engine.classify(&[first, second]).unwrap().logits());
        let from_pixels = bits(engine.classify_pixels(&pixels).unwrap().logits());
        assert_eq!(from_frames, from_pixels, "{format:?}");
    }
}

#[test]
fn an_observer_sees_every_operation() {
    let config = &models()[0];
    let pixels = Random(10).bytes(config.image_bytes());
    let mut engine = engine(config, &[3], &options("cpu", 1, 1));
    let plan = engine.plan().clone();
    let (mut seen, mut residual_is_finite) = (Vec::new(), true);
    let observed = inspect::observe(&mut engine, &pixels, &mut |op, arena| {
        seen.push(op.name());
        for (span, access) in op.spans() {
            assert_eq!(arena.bytes(span).len(), span.len);
            if op.name() == "fc2" && access.writes() {
                residual_is_finite &= arena.f16(span).iter().all(|x| x.is_finite());
            }
        }
    })
    .map(|output| bits(output.logits()))
    .unwrap();
    assert!(residual_is_finite);
    assert!(plan.ops().map(|op| op.name()).eq(seen));
    assert_eq!(
        bits(engine.classify_pixels(&pixels).unwrap().logits()),
        observed
    );
}

#[test]
fn wrong_calls_are_refused_and_leave_the_engine_usable() {
    let config = &models()[0];
    let image = config.image_bytes();
    let pixels = vec![7; 3 * image];
    let mut engine = engine(config, &[0, 1], &options("cpu", 1, 2));
    let error = |result: Result<Output<'_>, RunError>| result.map(drop).expect_err("refused");

    assert_eq!(error(engine.run()), RunError::NoPixels);
    assert_eq!(
        error(engine.classify(&[])),
        RunError::Batch { found: 0, max: 2 }
    );
    for found in [0, 1, image - 1, image + 1] {
        let result = engine.classify_pixels(&pixels[..found]);
        assert_eq!(error(result), RunError::Pixels { found, image });
    }
    let result = engine.classify_pixels(&pixels);
    assert_eq!(error(result), RunError::Batch { found: 3, max: 2 });

    let grey = vec![0; 321 * 240];
    let fits = Frame::packed(PixelFormat::Grey, 320, 240, &grey).unwrap();
    let large = Frame::packed(PixelFormat::Grey, 321, 240, &grey).unwrap();
    assert_eq!(
        error(engine.classify(&[fits, large])),
        RunError::Frame {
            index: 1,
            found: (321, 240),
            max: (320, 240)
        }
    );

    engine.preprocess(&[fits]).unwrap();
    engine.set_schedule("r1").unwrap();
    assert_eq!(error(engine.run()), RunError::NoPixels);
    let unknown = engine.set_schedule("r99").unwrap_err().to_string();
    assert_eq!(unknown, "schedule \"r99\": unknown, expected one of r0, r1");
    assert_eq!(engine.schedule().name, "r1");
    engine.preprocess(&[fits]).unwrap();
    engine.run().unwrap();
    assert_eq!(error(engine.run()), RunError::NoPixels);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let load = |options: EngineOptions| {
        let pack = testing::pack(&testing::tiny(), &[0], 1);
        options.build(pack).expect_err("refused")
    };
    let options = Engine::options;
    let error = load(options().backend("vulkan"));
    assert!(matches!(error, LoadError::UnknownBackend { .. }));
    assert!(
        error.to_string().contains("cpu/portable, reference"),
        "{error}"
    );
    assert!(matches!(
        load(options().threads(0)),
        LoadError::Threads { found: 0 }
    ));
    assert!(matches!(
        load(options().threads(257)),
        LoadError::Threads { found: 257 }
    ));
    assert!(matches!(
        load(options().max_batch(0)),
        LoadError::MaxBatch { found: 0 }
    ));
    assert!(matches!(
        load(options().max_batch(33)),
        LoadError::MaxBatch { found: 33 }
    ));
    assert!(matches!(
        load(options().max_frame(0, 1)),
        LoadError::MaxFrame { .. }
    ));
    assert!(matches!(
        load(options().max_frame(1, 8193)),
        LoadError::MaxFrame { .. }
    ));
    let error = load(options().schedule("r99"));
    assert!(matches!(error, LoadError::UnknownSchedule(_)));
    let text = "schedule \"r99\": unknown, expected one of r0";
    assert_eq!(error.to_string(), text);
    for unavailable in backends().filter(|b| !b.available) {
        let error = load(options().backend(unavailable.name)).to_string();
        let refusal = unavailable.refusal.expect("a reason");
        let reason = refusal.strip_prefix("needs ").unwrap_or(&refusal);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn cuda_devices_come_first_with_what_refuses_them() {
    let first = backends().next().unwrap();
    assert_eq!(first.name, "cuda");
    assert_eq!(first.available, first.refusal.is_none());
    let load = |name: &str| {
        let pack = testing::pack(&testing::tiny(), &[0], 1);
        let engine = options(name, 1, 1).build(pack);
        engine.map(|engine| engine.backend())
    };
    for name in ["cuda", "cuda:0"] {
        match (load(name), &first.refusal) {
            (Ok(backend), None) => assert_eq!(backend, "cuda"),
            (Err(error), Some(refusal)) => {
                assert_eq!(error.to_string(), format!("backend cuda: {refusal}"));
            }
            (result, refusal) => panic!("{result:?}, {refusal:?}"),
        }
    }
    // No machine of ours has sixteen.
    assert!(matches!(load("cuda:15"), Err(LoadError::Cuda(_))));
    assert!(matches!(
        load("cuda:16"),
        Err(LoadError::UnknownBackend { .. })
    ));
}

#[test]
fn the_backend_is_named() {
    let best = |prefix| available().find(|name| name.starts_with(prefix)).unwrap();
    for (asked, got) in [
        ("auto", best("")),
        ("cpu", best("cpu")),
        ("reference", "reference"),
    ] {
        let engine = engine(&testing::tiny(), &[0], &options(asked, 1, 1));
        assert_eq!(engine.backend(), got);
        assert_eq!(engine.device().is_some(), got.starts_with("cuda"));
        assert_eq!(Backend::from(asked).to_string(), asked);
        // Whoever leaves the choice to the engine can ask why it took no GPU.
        let refused = asked == "auto" && engine.device().is_none();
        assert_eq!(engine.refusal().is_some(), refused, "{asked}");
    }
}
