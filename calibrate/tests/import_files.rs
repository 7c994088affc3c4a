//! The same model in every kind of file that people have, and files that are damaged, incomplete or something else.

mod common;
mod pytorch;

use common::{data, run, set, succeed};
use mergevit_calibrate::checkpoint::{Checkpoint, CheckpointError, Defect, Stated};
use pytorch::{METHOD, OFFSET, Pickle, Zip};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;
use tempfile::TempDir;

/// The shipped model: names, shapes and f16 values.
type Model = Vec<Tensor>;

/// Name, shape, bytes.
type Tensor = (String, Vec<usize>, Vec<u8>);

fn model() -> Model {
    let bytes = std::fs::read(data("garments/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            assert_eq!(tensor.dtype(), Dtype::F16);
            (name, tensor.shape().to_vec(), tensor.data().to_vec())
        })
        .collect()
}

/// The model with other names.
fn renamed(name: impl Fn(&str) -> String) -> Model {
    let model = model().into_iter();
    model
        .map(|(old, shape, data)| (name(&old), shape, data))
        .collect()
}

fn safetensors(model: &[Tensor]) -> Vec<u8> {
    let view = |(name, shape, data): &'_ Tensor| (name.clone(), shape.clone(), data.clone());
    let owned: Vec<_> = model.iter().map(view).collect();
    let views = owned.iter().map(|(name, shape, data)| {
        (
            name,
            TensorView::new(Dtype::F16, shape.clone(), data).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

fn add(pickle: &mut Pickle, model: &[Tensor]) {
    for (name, shape, data) in model {
        pickle.half(name, shape, data);
    }
}

fn bin(model: &[Tensor]) -> Vec<u8> {
    Pickle::file(|pickle| add(pickle, model))
}

fn index(shards: &[(&str, &[Tensor])]) -> Vec<u8> {
    let names = shards.iter().flat_map(|(file, tensors)| {
        tensors
            .iter()
            .map(move |(name, ..)| (name.clone(), (*file).into()))
    });
    let map: serde_json::Map<String, serde_json::Value> = names.collect();
    serde_json::to_vec(&serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}))
        .unwrap()
}

/// A folder with the shipped configuration and these files.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        data("garments/config.json"),
        folder.path().join("config.json"),
    )
    .unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

const SAFE: [&str; 2] = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
];
const BIN: [&str; 2] = [
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
];
const SAFE_INDEX: &str = "model.safetensors.index.json";
const BIN_INDEX: &str = "pytorch_model.bin.index.json";

/// The files of the model in two shards.
fn sharded(model: &Model) -> Vec<(&'static str, Vec<u8>)> {
    let (first, second) = model.split_at(model.len() / 2);
    vec![
        (SAFE[0], safetensors(first)),
        (SAFE[1], safetensors(second)),
        (SAFE_INDEX, index(&[(SAFE[0], first), (SAFE[1], second)])),
    ]
}

fn load_with_key(path: &Path, key: &str) -> Result<Checkpoint, CheckpointError> {
    let stated = Stated {
        weights_key: Some(key.into()),
        ..Stated::default()
    };
    Checkpoint::load_with(path, &stated)
}

#[test]
fn every_kind_of_file_imports_to_the_same_model() {
    let expected = Checkpoint::load(data("garments")).unwrap();
    let model = model();
    let (first, second) = model.split_at(model.len() / 3);
    let prefixed = renamed(|name| format!("module._orig_mod.{name}"));
    let doubles = model.iter().map(|(name, shape, data)| {
        let (pairs, _) = data.as_chunks::<2>();
        let values = pairs
            .iter()
            .map(|&pair| f64::from(half::f16::from_le_bytes(pair)));
        (
            name,
            shape,
            values.flat_map(f64::to_le_bytes).collect::<Vec<u8>>(),
        )
    });
    let doubles: Vec<_> = doubles.collect();
    let numbers = [0; 16];
    let doubles = doubles
        .iter()
        .map(|(name, shape, data)| {
            (
                name.as_str(),
                TensorView::new(Dtype::F64, (*shape).clone(), data).unwrap(),
            )
        })
        .chain([(
            "position_ids",
            TensorView::new(Dtype::I64, vec![2], &numbers).unwrap(),
        )]);
    let doubles = safetensors::serialize(doubles, None).unwrap();
    let forms = [
        vec![("model.safetensors", safetensors(&model))],
        vec![("model.safetensors", safetensors(&prefixed))],
        vec![("model.safetensors", doubles)],
        sharded(&model),
        vec![("pytorch_model.bin", bin(&model))],
        vec![
            (BIN[0], bin(first)),
            (BIN[1], bin(second)),
            (BIN_INDEX, index(&[(BIN[0], first), (BIN[1], second)])),
        ],
        vec![("open_clip_pytorch_model.bin", bin(&prefixed))],
        vec![(
            "pytorch_model.bin",
            Pickle::file(|pickle| pickle.dict("state_dict", |pickle| add(pickle, &prefixed))),
        )],
    ];
    let mut hashes = vec![expected.hash.clone()];
    for files in &forms {
        let folder = folder(files);
        let by_file = folder.path().join(files.last().unwrap().0);
        for path in [folder.path(), &by_file] {
            let found = Checkpoint::load(path).unwrap();
            assert!(found.weights == expected.weights, "{}", path.display());
            assert_eq!(found.model, expected.model);
            if path.is_file() {
                hashes.push(found.hash);
            }
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert!(hashes.len() >= forms.len(), "{hashes:?}");
}

#[test]
fn an_average_is_not_chosen_in_silence() {
    let (plain, averaged) = (model(), renamed(|name| format!("module.{name}")));
    let other: Model = averaged
        .iter()
        .map(|(name, shape, data)| {
            // Every value halved: an exponent less.
            let half = |pair: &[u8; 2]| {
                half::f16::from_f32(half::f16::from_le_bytes(*pair).to_f32() / 2.0)
            };
            let (pairs, _) = data.as_chunks::<2>();
            let data = pairs
                .iter()
                .flat_map(|pair| half(pair).to_le_bytes())
                .collect();
            (name.clone(), shape.clone(), data)
        })
        .collect();
    let both = Pickle::file(|pickle| {
        pickle.dict("state_dict", |pickle| add(pickle, &plain));
        pickle.dict("state_dict_ema", |pickle| add(pickle, &other));
    });
    let folder = folder(&[("last.pth.tar", both)]);
    let path = folder.path().join("last.pth.tar");
    let error = Checkpoint::load(&path).unwrap_err();
    assert!(
        error.to_string().contains("last.pth.tar") && error.to_string().contains("state_dict_ema"),
        "{error}"
    );
    let [plain, averaged] =
        ["state_dict", "state_dict_ema"].map(|key| load_with_key(&path, key).unwrap());
    let expected = Checkpoint::load(data("garments")).unwrap();
    assert!(plain.weights == expected.weights);
    assert_ne!(averaged.weights.head_weight, plain.weights.head_weight);
    assert_ne!(averaged.hash, plain.hash);

    let pixels = data("garments-goldens.safetensors").display().to_string();
    let forward = format!("forward --checkpoint %last.pth.tar --pixels {pixels} --output");
    let pack = format!(
        "pack --checkpoint %last.pth.tar --images {} --output",
        set("calibration")
    );
    for command in [&forward, &pack] {
        let output = run(folder.path(), &format!("{command} %x"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("hint: say which with --weights-key"),
            "{said}"
        );
    }
    succeed(
        folder.path(),
        &format!("{forward} %a --weights-key state_dict"),
    );
    let garments = data("garments").display().to_string();
    succeed(
        folder.path(),
        &format!("forward --checkpoint {garments} --pixels {pixels} --output %b"),
    );
    let [a, b] = ["a", "b"].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    assert!(a == b);
}

#[test]
fn a_key_is_a_prefix_of_flat_names_too() {
    let mut both = renamed(|name| format!("student.{name}"));
    both.extend(renamed(|name| format!("teacher.backbone.{name}")));
    both.push(("loss.center".into(), vec![1], vec![0; 2]));
    let folder = folder(&[("model.safetensors", safetensors(&both))]);
    let expected = Checkpoint::load(data("garments")).unwrap();
    for key in ["student", "teacher", "teacher.backbone"] {
        let found = load_with_key(folder.path(), key).unwrap();
        assert!(found.weights == expected.weights, "{key}");
    }
    let error = load_with_key(folder.path(), "ema").unwrap_err().to_string();
    assert!(
        error.contains("no weights at ema") && error.contains("student"),
        "{error}"
    );
}

/// The error of loading a folder with these files; the first file is loaded if it is not a known name.
fn refused(files: &[(&str, Vec<u8>)]) -> String {
    let folder = folder(files);
    let error = Checkpoint::load(folder.path()).unwrap_err();
    format!("{error}; {}", error.defect.hint().unwrap())
}

#[test]
fn what_is_wrong_with_shards_is_named() {
    let model = model();
    let whole = sharded(&model);
    let without = |file: usize| {
        let mut files = whole.clone();
        files.remove(file);
        files
    };
    let with = |file: usize, bytes: Vec<u8>| {
        let mut files = whole.clone();
        files[file].1 = bytes;
        files
    };
    let (first, second) = model.split_at(model.len() / 2);
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".to_vec();
    let cut = whole[1].1[..whole[1].1.len() - 9].to_vec();
    let name = &second[0].0;
    for (files, what) in [
        (without(1), vec![SAFE[1], SAFE_INDEX, "is not there"]),
        (without(2), vec![SAFE[0], SAFE[1], "no model.safetensors"]),
        (with(0, lfs), vec![SAFE[0], "git lfs pull"]),
        (with(1, cut), vec![SAFE[1], "truncated"]),
        (
            with(1, safetensors(&second[1..])),
            vec![SAFE[1], name, "has not"],
        ),
        (
            with(0, safetensors(&model)),
            vec![SAFE[0], name, "which the index says is in", SAFE[1]],
        ),
        (
            with(2, index(&[(SAFE[0], first), (SAFE[1], &second[1..])])),
            vec![SAFE[1], name, "says nothing"],
        ),
        (with(2, b"{}".to_vec()), vec![SAFE_INDEX, "weight_map"]),
    ] {
        let error = refused(&files);
        for what in what {
            assert!(error.contains(what), "{what}: {error}");
        }
    }
    let folder = folder(&whole);
    let error = Checkpoint::load(folder.path().join(SAFE[1])).unwrap_err();
    assert!(
        matches!(error.defect, Defect::Shard { shards: 2 }),
        "{error}"
    );
}

#[test]
fn archives_that_lie_are_refused() {
    let tensors: Model = model().into_iter().take(9).collect();
    let records = Pickle::records(|pickle| add(pickle, &tensors));
    let zip = || Zip::of(&records);
    let patched = |entry: usize, at: usize, bytes: &[u8]| {
        let mut zip = zip();
        zip.entries[entry][at..at + bytes.len()].copy_from_slice(bytes);
        zip.finish()
    };
    let overlapping = {
        let offset: [u8; 4] = zip().entries[3][OFFSET..OFFSET + 4].try_into().unwrap();
        patched(2, OFFSET, &offset)
    };
    let with = |name: &str, bytes: &[u8]| {
        let mut zip = zip();
        zip.add(name, bytes);
        zip.finish()
    };
    let whole = zip().finish();
    let mut big = records.clone();
    big[1].1 = b"big".to_vec();
    let long = {
        // The second record reaches to the end of the last one.
        let mut zip = zip();
        let size = u32::try_from(zip.bytes.len() / 2).unwrap().to_le_bytes();
        zip.entries[1][20..24].copy_from_slice(&size);
        zip.entries[1][24..28].copy_from_slice(&size);
        zip.finish()
    };
    for (bytes, what) in [
        (overlapping, "overlap"),
        (long, "overlap"),
        (patched(2, METHOD, &[8, 0]), "compressed"),
        (patched(0, METHOD, &[8, 0]), "compressed"),
        (patched(2, 16, &[1, 2, 3, 4]), "check sum"),
        (patched(2, OFFSET, &[0xff, 0xff, 0xff, 0x7f]), "data/0"),
        (with("archive/data/0", b""), "two records"),
        (with("other/data.pkl", b"\x80\x02}."), "two models"),
        (Zip::of(&big).finish(), "little-endian"),
        (Zip::of(&records[1..]).finish(), "torch.save did not write"),
        (
            whole[..whole.len() - 30].to_vec(),
            "not a whole PyTorch file",
        ),
        (whole[..whole.len() / 2].to_vec(), "download the file again"),
    ] {
        let error = refused(&[("pytorch_model.bin", bytes)]);
        assert!(
            error.contains("pytorch_model.bin") && error.contains(what),
            "{what}: {error}"
        );
    }
    // Two ways to write the same: both reach the names, of which there are too few.
    for bytes in [zip().finish(), zip().finish_zip64()] {
        let error = refused(&[("pytorch_model.bin", bytes)]);
        assert!(error.contains("tensor"), "{error}");
    }
}

#[test]
fn files_of_other_kinds_are_named_with_what_to_do() {
    let pytorch = |name: &str| std::fs::read(data("pytorch").join(name)).unwrap();
    for (bytes, what) in [
        (pytorch("legacy.pt"), "before version 1.6"),
        (
            pytorch("legacy.pt"),
            "torch.save(torch.load('OLD', weights_only=True), 'NEW')",
        ),
        (pytorch("module.pt"), "needs torch.nn.modules.linear.Linear"),
        (pytorch("module.pt"), "m.state_dict()"),
        (pytorch("script.pt"), "torch.jit.load('OLD').state_dict()"),
        (pytorch("arrays.npz"), "NumPy"),
        (
            b"version https://git-lfs.github.com/spec/v1".to_vec(),
            "git lfs pull",
        ),
        (Vec::new(), "empty"),
    ] {
        let error = refused(&[("pytorch_model.bin", bytes)]);
        assert!(
            error.contains("pytorch_model.bin") && error.contains(what),
            "{what}: {error}"
        );
    }
}

#[test]
fn a_folder_of_a_training_says_which_to_give() {
    let folder = folder(&[]);
    let model = model();
    for step in ["checkpoint-500", "checkpoint-1000"] {
        let step = folder.path().join(step);
        std::fs::create_dir(&step).unwrap();
        std::fs::copy(data("garments/config.json"), step.join("config.json")).unwrap();
        std::fs::write(step.join("pytorch_model.bin"), bin(&model)).unwrap();
    }
    let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("checkpoint-500, checkpoint-1000"), "{error}");
    Checkpoint::load(folder.path().join("checkpoint-1000")).unwrap();
}

#[test]
fn an_output_does_not_replace_a_shard() {
    let folder = folder(&sharded(&model()));
    let here = folder.path().display();
    let pixels = data("garments-goldens.safetensors").display().to_string();
    for name in [SAFE[1], SAFE_INDEX, "config.json"] {
        let args = format!("forward --checkpoint {here} --pixels {pixels} --output %{name}");
        let output = run(folder.path(), &args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("would replace what --checkpoint reads"),
            "{said}"
        );
    }
}
