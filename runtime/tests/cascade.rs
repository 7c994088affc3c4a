//! A cascade gives what its two schedules give by hand, bit for bit: on every backend, whatever part of a batch runs
//! again, and whatever ran before.

use mergevit_kernels::cuda::testing::{BlockOrder, Emulated, Options, test_device};
use mergevit_kernels::cuda::{Device, Target};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Cascade, Engine, EngineOptions, Frame, LoadError, ModelConfig, Output, OutputKind, Pack,
    PixelFormat, RunError, backends, inspect,
};

const BATCH: usize = 4;

/// Images, of which every batch takes some in a row.
const IMAGES: usize = 7;

fn options(backend: &str) -> EngineOptions {
    let options = Engine::options().backend(backend).threads(1);
    options.max_batch(BATCH).max_frame(320, 240)
}

fn cascade(name: &str, first: &str, then: &str, threshold: f32) -> Cascade {
    Cascade {
        name: name.into(),
        first: first.into(),
        then: then.into(),
        threshold,
        wanted_agreement: 0.99,
        dataset: "random".into(),
        images: 7,
        agreement: 1.0,
        second_runs: 0.5,
    }
}

fn pack(config: &ModelConfig, cascades: Vec<Cascade>) -> Pack {
    let writer = testing::writer(config, &[0, 9], 31).with_cascades(cascades);
    Pack::from_memory(writer.to_bytes().expect("a valid pack")).expect("a valid pack")
}

/// Everything that an output says of one image.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    schedule: String,
    /// Logits, then the embedding and the unit vector.
    bits: Vec<u32>,
    sizes: Vec<u32>,
    classes: Vec<(usize, u32)>,
    margin: f32,
}

fn answers(output: &Output<'_>) -> Vec<Answer> {
    let answer = |image| {
        let embeddings = [output.embedding(image), output.unit_embedding(image)];
        let numbers = output.image_logits(image).iter();
        let classes = output
            .top(image)
            .map(|p| (p.class, p.probability.to_bits()));
        Answer {
            schedule: output.schedule(image).name.clone(),
            bits: numbers
                .chain(embeddings.into_iter().flatten().flatten())
                .map(|x| x.to_bits())
                .collect(),
            sizes: output.image_sizes(image).to_vec(),
            classes: classes.collect(),
            margin: output.margin(image),
        }
    };
    let all: Vec<Answer> = (0..output.batch()).map(answer).collect();
    let sizes: Vec<u32> = all.iter().flat_map(|answer| answer.sizes.clone()).collect();
    assert_eq!(output.sizes(), sizes);
    let again = (0..output.batch()).filter(|&image| output.ran_again(image));
    assert_eq!(again.count(), output.second_runs());
    all
}

/// The answer of each image alone under a schedule.
fn single(engine: &mut Engine, schedule: &str, images: &[&[u8]]) -> Vec<Answer> {
    engine.set_schedule(schedule).unwrap();
    let of_image = |pixels: &&[u8]| answers(&engine.classify_pixels(pixels).unwrap()).remove(0);
    images.iter().map(of_image).collect()
}

/// A pack with cascades both ways whose thresholds are such that no image, some or all run again, with the answers of
/// both schedules, of the reference.
struct Case {
    config: ModelConfig,
    cascades: Vec<Cascade>,
    pixels: Vec<u8>,
    by_schedule: [Vec<Answer>; 2],
}

const SCHEDULES: [&str; 2] = ["r9", "r0"];

impl Case {
    fn new(config: ModelConfig) -> Self {
        let pixels = Random(3).bytes(IMAGES * config.image_bytes());
        let images: Vec<&[u8]> = pixels.chunks_exact(config.image_bytes()).collect();
        let mut engine = options("reference").build(pack(&config, vec![])).unwrap();
        let by_schedule = SCHEDULES.map(|name| single(&mut engine, name, &images));
        let mut cascades = Vec::new();
        for (index, first) in SCHEDULES.into_iter().enumerate() {
            let then = SCHEDULES[1 - index];
            let mut margins: Vec<f32> = by_schedule[index].iter().map(|a| a.margin).collect();
            margins.sort_by(f32::total_cmp);
            assert!(margins[0] > 0.0);
            let thresholds = [
                ("none", margins[0]),
                ("one", margins[1]),
                ("half", margins[IMAGES / 2]),
                ("all", 2.0 * margins[IMAGES - 1]),
            ];
            cascades.extend(
                thresholds.map(|(name, t)| cascade(&format!("{first}-{name}"), first, then, t)),
            );
        }
        Self {
            config,
            cascades,
            pixels,
            by_schedule,
        }
    }

    fn pack(&self) -> Pack {
        pack(&self.config, self.cascades.clone())
    }

    /// What a cascade is to give for an image.
    fn expected(&self, cascade: &Cascade, image: usize) -> &Answer {
        let first = usize::from(cascade.first == SCHEDULES[1]);
        let answer = &self.by_schedule[first][image];
        match answer.margin >= cascade.threshold {
            true => answer,
            false => &self.by_schedule[1 - first][image],
        }
    }

    /// Runs all cascades on all batches, in turn with schedules.
    fn check(&self, engine: &mut Engine) {
        let mut random = Random(8);
        for cascade in &self.cascades {
            engine.set_schedule(&cascade.name).unwrap();
            assert_eq!(engine.cascade(), Some(cascade));
            assert_eq!(engine.schedule().name, cascade.first);
            for batch in 1..=BATCH {
                let start = random.below(IMAGES - batch + 1);
                let images = start..start + batch;
                let expected: Vec<&Answer> = images
                    .clone()
                    .map(|image| self.expected(cascade, image))
                    .collect();
                let bytes = self.config.image_bytes();
                let output = engine.classify_pixels(&self.pixels[start * bytes..][..batch * bytes]);
                let output = output.unwrap();
                let found = answers(&output);
                let what = format!("{} of {images:?}", cascade.name);
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{what}");
                let again = expected.iter().filter(|a| a.schedule == cascade.then);
                assert_eq!(output.second_runs(), again.count(), "{what}");
            }
            if random.below(3) == 0 {
                let name = SCHEDULES[random.below(2)];
                engine.set_schedule(name).unwrap();
                assert_eq!(engine.cascade(), None);
                let pixels = &self.pixels[..self.config.image_bytes()];
                assert_eq!(engine.classify_pixels(pixels).unwrap().second_runs(), 0);
            }
        }
    }
}

/// A model with a classifier, and one whose classes are named by text.
fn cases(depth: usize) -> Vec<Case> {
    let mut family = testing::family();
    family.retain(|(name, _)| ["plain", "zero-shot"].contains(name));
    assert_eq!(family.len(), 2);
    let configs = family.into_iter();
    configs
        .map(|(_, config)| Case::new(ModelConfig { depth, ..config }))
        .collect()
}

fn available() -> impl Iterator<Item = &'static str> {
    backends().filter(|b| b.available).map(|b| b.name)
}

#[test]
fn every_backend_gives_what_two_runs_give_by_hand() {
    for case in cases(3) {
        for backend in available() {
            println!("{backend}");
            case.check(&mut options(backend).build(case.pack()).unwrap());
        }
    }
}

/// A device with memory of its own. A GPU is what it is.
fn discrete() -> Box<dyn Device> {
    match std::env::var_os("MERGEVIT_TEST_DEVICE") {
        Some(_) => test_device(Options::default()),
        None => Box::new(Emulated::new(Target::ORIN_NANO, Options::default()).discrete()),
    }
}

fn device() -> Box<dyn Device> {
    test_device(Options::default().with_order(BlockOrder::Shuffled(3)))
}

#[test]
fn a_device_gives_what_two_runs_give_by_hand() {
    for (case, device) in cases(1).iter().zip([device(), discrete()]) {
        let mut engine = inspect::on_device(case.pack(), device, &options("cpu")).unwrap();
        case.check(&mut engine);
    }
}

/// Frames become pixels, or on a device patches, once.
#[test]
fn frames_run_again_as_they_were() {
    let config = testing::model(32, 8, 1, 1, 5);
    let mut random = Random(6);
    let sizes = [(61, 47), (32, 64), (64, 64)];
    let data =
        sizes.map(|(width, height)| random.bytes(PixelFormat::Nv12.frame_bytes(width, height)));
    let frame = |index: usize| {
        let (width, height) = sizes[index];
        Frame::packed(PixelFormat::Nv12, width, height, &data[index]).unwrap()
    };
    let frames = [frame(0), frame(1), frame(2)];
    let mut by_hand = options("reference").build(pack(&config, vec![])).unwrap();
    let [first, then] = SCHEDULES.map(|name| {
        by_hand.set_schedule(name).unwrap();
        answers(&by_hand.classify(&frames).unwrap())
    });
    let mut margins: Vec<f32> = first.iter().map(|answer| answer.margin).collect();
    margins.sort_by(f32::total_cmp);
    let cascades: Vec<Cascade> = [margins[1], margins[2], f32::MAX]
        .iter()
        .enumerate()
        .map(|(index, &t)| cascade(&format!("c{index}"), SCHEDULES[0], SCHEDULES[1], t))
        .collect();
    let pack = || pack(&config, cascades.clone());
    let mut engines: Vec<Engine> = available()
        .map(|backend| options(backend).build(pack()).unwrap())
        .collect();
    for device in [device(), discrete()] {
        engines.push(inspect::on_device(pack(), device, &options("cpu")).unwrap());
    }
    for engine in &mut engines {
        for (index, cascade) in cascades.iter().enumerate() {
            engine.set_schedule(&cascade.name).unwrap();
            engine.preprocess(&frames).unwrap();
            let output = engine.run().unwrap();
            assert_eq!(output.second_runs(), index + 1);
            let pairs = first.iter().zip(&then);
            let expected = pairs.map(|(first, then)| match first.margin >= cascade.threshold {
                true => first.clone(),
                false => then.clone(),
            });
            assert_eq!(answers(&output), expected.collect::<Vec<_>>());
            assert_eq!(engine.run().map(drop), Err(RunError::NoPixels));
        }
    }
}

/// An observer sees one plan: that of the first schedule, whose answer it also gets.
#[test]
fn an_observer_sees_the_first_run() {
    let case = &cases(1)[0];
    let mut engine = options("cpu")
        .schedule("r9-all")
        .build(case.pack())
        .unwrap();
    let pixels = &case.pixels[..case.config.image_bytes()];
    let mut seen = 0;
    let output = inspect::observe(&mut engine, pixels, &mut |_, _| seen += 1).unwrap();
    assert_eq!(answers(&output), case.by_schedule[0][..1]);
    assert_eq!(seen, engine.plan().ops().count());
}

#[test]
fn unknown_names_are_refused_with_schedules_and_cascades() {
    let config = testing::tiny();
    let pack = || pack(&config, vec![cascade("sure", "r9", "r0", 1.0)]);
    let text = "schedule \"r1\": unknown, expected one of r0, r9, sure";
    let error = options("cpu")
        .schedule("r1")
        .build(pack())
        .expect_err("no such schedule");
    assert!(matches!(error, LoadError::UnknownSchedule(_)));
    assert_eq!(error.to_string(), text);
    let mut engine = options("cpu").schedule("sure").build(pack()).unwrap();
    assert_eq!(engine.set_schedule("r1").unwrap_err().to_string(), text);
    assert_eq!(engine.cascade().map(|cascade| &*cascade.name), Some("sure"));
    engine.set_schedule("r9").unwrap();
    assert_eq!(engine.cascade(), None);
    assert_eq!(config.output, OutputKind::Logits);
}

/// One class leaves nothing to be unsure of.
#[test]
fn a_model_of_one_class_never_runs_again() {
    let config = testing::model(4, 2, 1, 1, 1);
    let pack = pack(&config, vec![cascade("sure", "r9", "r0", f32::MAX)]);
    let mut engine = options("cpu").schedule("sure").build(pack).unwrap();
    let output = engine
        .classify_pixels(&vec![7; config.image_bytes()])
        .unwrap();
    assert_eq!(output.second_runs(), 0);
    assert_eq!(output.margin(0), f32::INFINITY);
}
