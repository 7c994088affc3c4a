//! From checkpoint to pack to accuracy, through the program, on the shipped model and images.

mod common;

use common::{data, set, succeed};
use mergevit_runtime::{Engine, Pack};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;

/// The settings that the embedded pack was made with.
fn pack_garments(folder: &Path, output: &str, more: &str) -> String {
    let (checkpoint, images) = (data("garments").display().to_string(), set("calibration"));
    succeed(
        folder,
        &format!(
            "pack --checkpoint {checkpoint} --images {images} --merge 0,8,16 --output {output} {more}"
        ),
    )
}

/// Classes that a pack decides on for the goldens' pixels and the board's frames, schedule by schedule.
fn decisions(path: &Path) -> Vec<usize> {
    let dataset = mergevit_calibrate::dataset::Dataset::open(&set("test"), &[], 10).unwrap();
    let mut engine = Engine::load(path).unwrap();
    let (pixels, _) = dataset.pixels(0..300, engine.pack().config()).unwrap();
    let image = engine.pack().config().image_bytes();
    let mut decisions = Vec::new();
    for name in ["r0", "r8", "r16"] {
        engine.set_schedule(name).unwrap();
        for pixels in pixels.chunks_exact(image) {
            let output = engine.classify_pixels(pixels).unwrap();
            decisions.push(mergevit_calibrate::evaluate::argmax(output.image_logits(0)));
        }
    }
    decisions
}

#[test]
fn the_garments_pack_loses_little_and_is_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let (checkpoint, images) = (data("garments").display().to_string(), set("test"));
    pack_garments(folder.path(), "%fresh.mvit", "");
    succeed(
        folder.path(),
        &format!(
            "evaluate --model %fresh.mvit --checkpoint {checkpoint} --images {images} --limit 600 \
             --json %report.json --report %report.html"
        ),
    );
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["images"], 600);
    let full = report["top1_fp32"].as_f64().unwrap();
    assert!(full > 0.85, "FP32 recognises {full}");
    // One image of 600 is 0.17 points.
    for (index, (name, loss, agreement)) in [
        ("r0", 0.005, 0.99),
        ("r8", 0.007, 0.985),
        ("r16", 0.014, 0.98),
    ]
    .into_iter()
    .enumerate()
    {
        let schedule = &report["schedules"][index];
        assert_eq!(schedule["name"], name);
        assert_eq!(schedule["merge"].as_array().unwrap().len(), 6);
        let top1 = schedule["top1"].as_f64().unwrap();
        assert!(full - top1 <= loss, "{name}: {top1} after {full}");
        assert!(
            schedule["agreement"].as_f64().unwrap() >= agreement,
            "{name}: {schedule}"
        );
        assert!(schedule["top5"].as_f64().unwrap() > 0.98);
    }
    let gmac = |index: usize| report["schedules"][index]["gmac"].as_f64().unwrap();
    assert!(gmac(0) > gmac(1) && gmac(1) > gmac(2) && gmac(2) > 0.1);
    let noise = report["noise"].as_array().unwrap();
    assert_eq!(noise.len(), 13);
    for place in noise {
        assert!(
            place["signal_to_noise_db"].as_f64().unwrap() > 30.0,
            "{place}"
        );
    }
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("ankle boot") && page.ends_with("</html>\n"));

    // The full-precision pass sums in an order that depends on the processor's caches and vector units, so
    // another machine may round a scale differently: the decisions are compared, not the bits.
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../board/assets/garments.mvit");
    let (fresh, old) = (
        decisions(&folder.path().join("fresh.mvit")),
        decisions(&embedded),
    );
    let equal = fresh
        .iter()
        .zip(&old)
        .filter(|(fresh, old)| fresh == old)
        .count();
    assert!(
        1000 * equal >= 995 * fresh.len(),
        "{equal} of {} decisions",
        fresh.len()
    );
}

#[test]
fn measured_accuracy_and_provenance_are_in_the_pack() {
    let folder = tempfile::tempdir().unwrap();
    let measure = format!(
        "--limit 16 --schedule late=0,0,0,8,8,8 --observer percentile --percentile 99.9 --measure {} \
         --measure-limit 50",
        set("test")
    );
    pack_garments(folder.path(), "%m.mvit", &measure);
    let pack = Pack::open(&folder.path().join("m.mvit")).unwrap();
    let names: Vec<_> = pack.schedules().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["r0", "r8", "r16", "late"]);
    assert_eq!(pack.schedules()[3].merge, [0, 0, 0, 8, 8, 8]);
    for schedule in pack.schedules() {
        let accuracy = schedule.accuracy.as_ref().unwrap();
        assert_eq!(accuracy.images, 50);
        assert!(accuracy.top1 > 0.7 && accuracy.top5 >= accuracy.top1);
        assert!(accuracy.agreement > 0.9 && accuracy.top1_fp32.is_some());
    }
    let provenance = pack.provenance();
    // Half of white, in each colour.
    for key in ["mean", "std"] {
        assert_eq!(provenance.settings[key], "0.5, 0.5, 0.5");
    }
    assert_eq!(provenance.checkpoint, "garments");
    assert!(provenance.checkpoint_hash.starts_with("xxh3-64:"));
    assert_eq!(provenance.calibration_images, 16);
    assert_eq!(provenance.settings["observer"], "percentile:99.9");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "temporary files are left: {left:?}");
}

/// Logits (N, classes) and sizes (N, T) of a result file.
fn results(path: &Path, logits: &str, sizes: &str) -> (Vec<f32>, Vec<i32>) {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let words = |name: &str| -> Vec<[u8; 4]> {
        let words = tensors.tensor(name).unwrap().data().chunks_exact(4);
        words.map(|word| word.try_into().unwrap()).collect()
    };
    (
        words(logits).into_iter().map(f32::from_le_bytes).collect(),
        words(sizes).into_iter().map(i32::from_le_bytes).collect(),
    )
}

#[test]
fn forward_reproduces_the_goldens_and_the_pack_stays_near() {
    let folder = tempfile::tempdir().unwrap();
    let goldens = data("garments-goldens.safetensors");
    let (pixels, checkpoint) = (goldens.display(), data("garments").display().to_string());
    pack_garments(folder.path(), "%m.mvit", "--limit 64");
    for r in [0, 8, 16] {
        let (truth, _) = results(&goldens, &format!("logits_r{r}"), &format!("sizes_r{r}"));
        let largest = truth.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let run = |args: &str| {
            let args =
                format!("forward {args} --pixels {pixels} --merge {r} --output %g.safetensors");
            succeed(folder.path(), &args);
            results(&folder.path().join("g.safetensors"), "logits", "sizes")
        };
        let distance = |logits: &[f32]| {
            truth
                .iter()
                .zip(logits)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        let (full, full_sizes) = run(&format!("--checkpoint {checkpoint}"));
        // 14 x 14 patches and a class token, which merge in all layers but the last.
        assert_eq!(full_sizes.len(), truth.len() / 10 * (197 - 5 * r));
        assert!(distance(&full) <= 1e-3 * largest);
        let (quantized, quantized_sizes) = run("--model %m.mvit");
        assert_eq!(quantized_sizes.len(), full_sizes.len());
        assert!(
            distance(&quantized) <= 0.15 * largest,
            "r = {r}: {}",
            distance(&quantized)
        );
        // The reference backend gives the same bits as the default one.
        let reference = run("--model %m.mvit --backend reference");
        assert_eq!(reference, (quantized, quantized_sizes));
    }
    succeed(
        folder.path(),
        &format!("forward --model %m.mvit --schedule r8 --pixels {pixels} --output %s.safetensors"),
    );
    // A pack's weights run under a schedule that the pack lacks.
    succeed(
        folder.path(),
        &format!("forward --model %m.mvit --merge 3 --pixels {pixels} --output %t.safetensors"),
    );
    let (_, sizes) = results(&folder.path().join("t.safetensors"), "logits", "sizes");
    assert_eq!(sizes.len(), 6 * (197 - 5 * 3));
}

#[test]
fn random_weights_make_a_pack_that_depends_on_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, seed| {
        let args = "pack --random-weights vit_tiny_patch16_64 --merge 0,2";
        succeed(
            folder.path(),
            &format!("{args} --seed {seed} --output %{name}"),
        );
        std::fs::read(folder.path().join(name)).unwrap()
    };
    let (a, b, c) = (make("a.mvit", 1), make("b.mvit", 1), make("c.mvit", 2));
    assert!(a == b && a != c);
    let pack = Pack::open(&folder.path().join("a.mvit")).unwrap();
    assert_eq!(pack.config().architecture, "vit_tiny_patch16_64");
    assert_eq!(pack.schedules().len(), 2);
}
