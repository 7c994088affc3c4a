//! Packs: what is written is read back, and nothing else is.

use mergevit_runtime::aligned::AlignedBytes;
use mergevit_runtime::pack::{SectionKind, validate};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Accuracy, ActivationQuantization, Defect, Pack, PackError, PackWriter, Schedule, TensorKind,
    WriteError,
};
use std::path::PathBuf;

fn tiny() -> AlignedBytes {
    testing::bytes(&testing::tiny(), &[0, 1], 1)
}

/// A folder of its own for each test.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn what_is_written_is_read_back() {
    for (name, config) in testing::family() {
        let folder = folder();
        let path = folder.path().join("model.mvit");
        let writer = testing::writer(&config, &[0, 1, 2], 7);
        writer.finish(&path).expect("the folder can be written");
        let pack = Pack::open(&path).expect("a pack just written");
        let same = testing::pack(&config, &[0, 1, 2], 7);

        assert_eq!(pack.config(), &config);
        assert_eq!(
            pack.schedules(),
            testing::schedules(config.depth, &[0, 1, 2])
        );
        assert_eq!(pack.provenance().checkpoint, "random");
        assert_eq!(pack.len() as u64, path.metadata().unwrap().len());
        assert_eq!(pack.activation(), config.activation.activation());
        assert!(pack.sections().eq(same.sections()));
        for kind in TensorKind::all() {
            check_tensor(name, kind, &pack, &same);
        }
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "no temporary file is left");
    }
}

/// The tensors of one kind are there if the model has them, and are those of `same`.
fn check_tensor(name: &str, kind: TensorKind, pack: &Pack, same: &Pack) {
    let depth = pack.config().depth;
    let layers: Vec<_> = match kind.is_layer() {
        true => (0..depth).map(Some).collect(),
        false => vec![None],
    };
    for layer in layers {
        let bytes = (pack.tensor_i8(kind, layer), pack.tensor_f32(kind, layer));
        let expected = (same.tensor_i8(kind, layer), same.tensor_f32(kind, layer));
        assert_eq!(bytes, expected, "{name}: {kind}");
        let elements = kind.shape(pack.config()).0 * kind.shape(pack.config()).1;
        let found = match bytes {
            (None, None) => 0,
            (Some(bytes), None) => bytes.len(),
            (None, Some(floats)) => floats.len(),
            (Some(_), Some(_)) => panic!("{name}: {kind} has two types"),
        };
        assert_eq!(found, elements, "{name}: {kind}");
        assert_eq!(found > 0, kind.is_in(pack.config()), "{name}: {kind}");
    }
    assert_eq!(pack.tensor_i8(kind, Some(depth)), None);
    assert_eq!(pack.tensor_f32(kind, Some(depth)), None);
}

#[test]
fn a_pack_can_be_rewritten_with_measured_schedules() {
    let folder = folder();
    let path = folder.path().join("model.mvit");
    testing::writer(&testing::tiny(), &[0], 3)
        .finish(&path)
        .unwrap();
    let pack = Pack::open(&path).unwrap();
    let measured = Schedule {
        name: "r1".into(),
        merge: vec![1],
        accuracy: Some(Accuracy {
            dataset: "set".into(),
            images: 10,
            top1: 0.7,
            top5: 1.0,
            agreement: 0.9,
            top1_fp32: Some(0.8),
        }),
        ..Schedule::default()
    };
    let quantization = ActivationQuantization {
        layer: Some(0),
        activation: "gelu".into(),
        scales: vec![0.1],
        zero_point: -100,
    };
    PackWriter::from_pack(&pack)
        .with_schedules(vec![measured.clone()])
        .with_quantization(vec![quantization.clone()])
        .finish(&path)
        .unwrap();
    let again = Pack::open(&path).unwrap();
    assert_eq!(again.schedules(), [measured]);
    assert_eq!(again.quantization(), [quantization]);
    assert_eq!(again.config(), pack.config());
    let weight = |pack: &Pack| {
        pack.tensor_i8(TensorKind::QkvWeight, Some(0))
            .unwrap()
            .to_vec()
    };
    assert_eq!(weight(&again), weight(&pack), "the old map is intact");
}

#[test]
fn every_flipped_byte_is_noticed() {
    let mut bytes = tiny();
    let mut random = Random(5);
    for at in 0..bytes.len() {
        for flip in [1 << random.below(8), 1 + random.below(255) as u8] {
            bytes[at] ^= flip;
            assert!(validate(&bytes).is_err(), "byte {at} ^ {flip:#04x}");
            bytes[at] ^= flip;
        }
    }
    validate(&bytes).expect("all flips undone");
}

#[test]
fn every_truncation_and_extension_is_noticed() {
    let bytes = tiny();
    for len in 0..bytes.len() {
        let error = validate(&bytes[..len]).expect_err("truncated");
        if len < 64 {
            assert!(matches!(error, Defect::NoHeader { found } if found == len));
        }
    }
    for extra in [1, 63, 64, 4096] {
        let mut longer = AlignedBytes::zeroed(bytes.len() + extra);
        longer[..bytes.len()].copy_from_slice(&bytes);
        assert!(validate(&longer).is_err());
        // Even where the header agrees with the new length.
        let len = longer.len() as u64;
        longer[16..24].copy_from_slice(&len.to_le_bytes());
        testing::reseal(&mut longer);
        let error = validate(&longer).expect_err("slack at the end");
        assert!(matches!(
            error,
            Defect::Header {
                field: "file length",
                ..
            }
        ));
    }
}

#[test]
fn truncation_is_noticed_even_where_all_checksums_agree() {
    let bytes = tiny();
    for len in (64..bytes.len()).step_by(61) {
        let mut short = AlignedBytes::copy_of(&bytes[..len]);
        short[16..24].copy_from_slice(&(len as u64).to_le_bytes());
        testing::reseal(&mut short);
        assert!(validate(&short).is_err());
    }
}

#[test]
fn padding_must_be_zero_even_where_all_checksums_agree() {
    let mut bytes = tiny();
    let sections: Vec<_> = {
        let pack = testing::pack(&testing::tiny(), &[0, 1], 1);
        pack.sections()
            .map(|s| s.offset..s.offset + s.length)
            .collect()
    };
    let mut checked = 0;
    for pair in sections.windows(2) {
        for at in pair[0].end..pair[1].start {
            bytes[at] = 1;
            testing::reseal(&mut bytes);
            let error = validate(&bytes).expect_err("padding");
            assert!(matches!(error, Defect::Padding { offset, found: 1 } if offset == at));
            bytes[at] = 0;
            checked += 1;
        }
    }
    for at in 32..56 {
        bytes[at] = 1;
        testing::reseal(&mut bytes);
        assert!(matches!(validate(&bytes), Err(Defect::Padding { offset, .. }) if offset == at));
        bytes[at] = 0;
    }
    assert!(checked > 0);
    testing::reseal(&mut bytes);
    validate(&bytes).unwrap();
}

#[test]
fn every_field_of_every_entry_is_checked_behind_the_checksums() {
    let pack = testing::pack(&testing::tiny(), &[0, 1], 1);
    let bytes = tiny();
    let fields = [0..4, 4..8, 8..12, 12..16, 16..20, 20..24, 24..32, 32..40];
    for (kind, entry) in testing::entries(&pack) {
        for field in &fields {
            let range = entry.start + field.start..entry.start + field.end;
            let value = bytes[range.clone()].to_vec();
            for change in [1i64, -1, 64, 1 << 31, i64::MAX, i64::MIN] {
                let mut wide = [0; 8];
                wide[..value.len()].copy_from_slice(&value);
                let changed = i64::from_le_bytes(wide).wrapping_add(change).to_le_bytes();
                if changed[..value.len()] == value {
                    continue;
                }
                let mut hostile = AlignedBytes::copy_of(&bytes);
                hostile[range.clone()].copy_from_slice(&changed[..value.len()]);
                testing::reseal(&mut hostile);
                let error = validate(&hostile).expect_err("a changed field");
                assert!(
                    !matches!(error, Defect::HeaderChecksum { .. }),
                    "{kind}: {field:?}: the checksum hid the check"
                );
            }
        }
    }
}

#[test]
fn sections_may_not_swap_repeat_or_miss() {
    let bytes = tiny();
    let pack = testing::pack(&testing::tiny(), &[0, 1], 1);
    let entries: Vec<_> = testing::entries(&pack).map(|(_, range)| range).collect();
    for pair in entries.windows(2) {
        let mut swapped = AlignedBytes::copy_of(&bytes);
        swapped[pair[0].clone()].copy_from_slice(&bytes[pair[1].clone()]);
        swapped[pair[1].clone()].copy_from_slice(&bytes[pair[0].clone()]);
        testing::reseal(&mut swapped);
        assert!(matches!(
            validate(&swapped),
            Err(Defect::SectionKind { .. } | Defect::Entry { .. })
        ));
        let mut twice = AlignedBytes::copy_of(&bytes);
        twice[pair[1].clone()].copy_from_slice(&bytes[pair[0].clone()]);
        testing::reseal(&mut twice);
        assert!(matches!(validate(&twice), Err(Defect::SectionKind { .. })));
    }
    for change in [-19i32, -1, 1, 19, 1000, i32::MAX - 100] {
        let mut other = AlignedBytes::copy_of(&bytes);
        let count = (entries.len() as i32).wrapping_add(change);
        other[12..16].copy_from_slice(&count.to_le_bytes());
        testing::reseal(&mut other);
        assert!(validate(&other).is_err(), "{count} sections");
    }
}

#[test]
fn other_versions_and_other_files_say_so() {
    let mut bytes = tiny();
    bytes[8] = 4;
    assert!(matches!(
        validate(&bytes),
        Err(Defect::Version {
            found: 4,
            expected: 3
        })
    ));
    let text = validate(&bytes).unwrap_err().to_string();
    assert!(text.starts_with("format version 4, expected 3: made by a newer mergevit; update"));
    bytes[8] = 2;
    let text = validate(&bytes).unwrap_err().to_string();
    assert!(text.starts_with("format version 2, expected 3: made by an older mergevit; make it"));
    assert!(text.contains("mergevit-calibrate pack"), "{text}");
    bytes[0] = b'P';
    assert!(matches!(validate(&bytes), Err(Defect::Magic { .. })));
    assert!(matches!(validate(&tiny()[1..]), Err(Defect::Alignment)));
}

#[test]
fn weights_and_values_outside_the_contract_are_refused() {
    let config = testing::tiny();
    let pack = testing::pack(&config, &[0], 1);
    for section in pack.sections() {
        let SectionKind::Tensor(kind) = section.kind else {
            continue;
        };
        let write = |at: usize, value: &[u8]| {
            let mut bytes = AlignedBytes::copy_of(&testing::bytes(&config, &[0], 1));
            bytes[section.offset + at..][..value.len()].copy_from_slice(value);
            testing::reseal(&mut bytes);
            validate(&bytes)
        };
        if pack.tensor_i8(kind, section.layer).is_some() {
            for at in [0, section.length - 1] {
                assert!(matches!(write(at, &[0x80]), Err(Defect::Weight { .. })));
            }
            continue;
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e19, -3e19] {
            for at in [0, section.length - 4] {
                let result = write(at, &value.to_le_bytes());
                assert!(
                    matches!(result, Err(Defect::Value { .. })),
                    "{kind}: {value}"
                );
            }
        }
        if kind == TensorKind::Activation {
            for (at, value) in [(0, 0.0f32), (0, -1.0), (0, 1025.0), (4, 1.0), (8, 1025.0)] {
                let result = write(at, &value.to_le_bytes());
                assert!(matches!(result, Err(Defect::Value { .. })), "{value}");
            }
        }
        if kind == TensorKind::HiddenQuantization {
            // The last of the inverse steps, and of the zero points.
            let (inverse, zero) = (section.length / 2 - 4, section.length - 4);
            for (at, value) in [(inverse, 0.0f32), (inverse, -1.0), (zero, 0.5)] {
                let result = write(at, &value.to_le_bytes());
                assert!(matches!(result, Err(Defect::Value { .. })), "{value}");
            }
            for value in [128.0f32, -128.0] {
                let result = write(zero, &value.to_le_bytes());
                assert!(matches!(result, Err(Defect::Value { .. })), "{value}");
            }
        }
        if kind == TensorKind::PatchScale {
            write(0, &(-1.0f32).to_le_bytes()).expect("a negative scale is fine");
        }
    }
    let mut bytes = tiny();
    let patch = pack.sections().nth(1).unwrap().clone();
    assert_eq!(patch.kind, SectionKind::Tensor(TensorKind::PatchWeight));
    bytes.copy_from_slice(&tiny());
    let other = testing::pack(&config, &[0, 1], 1);
    let offset = other.sections().nth(1).unwrap().offset;
    bytes[offset + 64 + 12] = 1;
    testing::reseal(&mut bytes);
    let error = validate(&bytes).unwrap_err();
    assert!(matches!(
        error,
        Defect::PatchPadding {
            row: 1,
            column: 12,
            found: 1,
            ..
        }
    ));
}

#[test]
fn the_writer_refuses_what_a_reader_would() {
    let config = testing::tiny();
    let mut writer = testing::writer(&config, &[0], 1);
    let zeros = vec![0i8; 64 * 64];
    let again = writer.tensor_i8(TensorKind::ProjWeight, Some(0), 64, 64, zeros.clone());
    assert!(matches!(again, Err(WriteError::Duplicate { .. })));
    let floats = writer.tensor_f32(TensorKind::ProjWeight, Some(0), 64, 64, vec![0.0; 4096]);
    assert!(matches!(floats, Err(WriteError::Unknown { .. })));
    let layer = writer.tensor_i8(TensorKind::ProjWeight, Some(1), 64, 64, zeros.clone());
    assert!(matches!(layer, Err(WriteError::Unknown { .. })));

    let provenance = writer_provenance();
    let mut empty =
        PackWriter::new(config.clone(), testing::schedules(1, &[0]), provenance).unwrap();
    let shape = empty.tensor_i8(TensorKind::ProjWeight, Some(0), 64, 63, vec![0; 64 * 63]);
    assert!(matches!(shape, Err(WriteError::Shape { .. })));
    let length = empty.tensor_i8(TensorKind::ProjWeight, Some(0), 64, 64, vec![0; 5]);
    assert!(matches!(length, Err(WriteError::Shape { .. })));
    let error = empty.to_bytes().expect_err("no tensors").to_string();
    assert_eq!(error, "tensor PatchWeight: missing");

    let folder = folder();
    let path = folder.path().join("model.mvit");
    std::fs::write(&path, "precious").unwrap();
    let bad = testing::writer(&config, &[0], 1).with_schedules(Vec::new());
    assert!(matches!(bad.finish(&path), Err(WriteError::Config(_))));
    assert!(empty.finish(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("no such folder").join("model.mvit");
    let error = testing::writer(&config, &[0], 1)
        .finish(&nowhere)
        .unwrap_err();
    assert!(error.to_string().contains("no such folder"), "{error}");
}

fn writer_provenance() -> mergevit_runtime::Provenance {
    testing::pack(&testing::tiny(), &[0], 1)
        .provenance()
        .clone()
}

#[test]
fn files_that_are_no_packs_are_named() {
    let folder = folder();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("text"), "x".repeat(1000)).unwrap();
    let open = |path: PathBuf| -> PackError {
        let error = Pack::open(&path).expect_err("not a pack");
        assert!(error.to_string().starts_with(&path.display().to_string()));
        error
    };
    assert!(matches!(
        open(path("empty")).defect,
        Defect::NoHeader { found: 0 }
    ));
    assert!(matches!(open(path("text")).defect, Defect::Magic { .. }));
    assert!(matches!(
        open(path("missing")).defect,
        Defect::Io { action: "open", .. }
    ));
    assert!(matches!(
        open(folder.path().into()).defect,
        Defect::Directory
    ));
    assert!(matches!(open("/dev/null".into()).defect, Defect::NotAFile));
}

#[test]
fn a_pack_that_was_cut_short_says_so() {
    let bytes = tiny();
    let message = |bytes: &[u8]| validate(bytes).expect_err("damaged").to_string();
    let mut short = AlignedBytes::copy_of(&bytes[..100]);
    let expected = format!(
        "the file ends after 100 of {} bytes: it was cut short",
        bytes.len()
    );
    assert!(
        message(&short).starts_with(&expected),
        "{}",
        message(&short)
    );
    assert!(message(&short[..40]).starts_with("the file is too short: 40 bytes"));
    assert!(message(&short[..0]).starts_with("the file is empty: 0 bytes"));
    short[16..24].copy_from_slice(&7u64.to_le_bytes());
    let expected = "the file has 100 bytes, and its header says 7: something was appended";
    assert!(message(&short).starts_with(expected), "{}", message(&short));
    // A copy that made room for the whole file, and was interrupted.
    let mut holes = AlignedBytes::copy_of(&bytes);
    let half = bytes.len() / 2;
    holes[half..].fill(0);
    let text = message(&holes);
    assert!(
        text.contains("damaged") && text.contains("copy it again"),
        "{text}"
    );
}

#[test]
fn files_that_are_taken_for_packs_are_recognized() {
    let safetensors = b"\x48\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"}";
    let cases: [(&[u8], &str); 16] = [
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"<HTML><head>", "a web page"),
        (b"\x1f\x8b\x08\0", "decompress it first"),
        (b"\x28\xb5\x2f\xfd\0", "decompress it first"),
        (b"\xfd7zXZ\0\0", "decompress it first"),
        (b"BZh91AY", "decompress it first"),
        (b"PK\x03\x04\0", "PyTorch checkpoints"),
        (b"\x80\x02\x8a\x0a", "old PyTorch checkpoints"),
        (safetensors, "mergevit-calibrate pack --checkpoint"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05", "an ONNX model"),
        (b"GGUF\x03\0\0\0", "a GGUF model"),
        (b"\x89PNG\r\n\x1a\n", "a PNG:"),
        (b"\x89MVIT\n\x1a\x01\0\0\0", "binary mode"),
        (b"{\"model_type\": \"vit\"}", "JSON text"),
        (b"", "all zeros"),
    ];
    for (first, expected) in cases {
        let mut bytes = AlignedBytes::zeroed(4096);
        bytes[..first.len()].copy_from_slice(first);
        let error = validate(&bytes).expect_err("no pack");
        assert!(matches!(error, Defect::Foreign { .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("not a .mvit pack but "), "{text}");
        assert!(text.contains(expected), "{text}");
    }
}

/// A pipe that nobody writes to is refused, not waited for.
#[test]
fn a_pipe_is_refused() {
    let folder = folder();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo runs").success());
    let error = Pack::open(&path).expect_err("no pack");
    assert!(matches!(error.defect, Defect::NotAFile), "{error}");
}

#[test]
fn a_pack_in_memory_is_the_file() {
    let folder = folder();
    let path = folder.path().join("m.mvit");
    let writer = testing::writer(&testing::tiny(), &[0], 1);
    writer.finish(&path).unwrap();
    let (file, memory) = (
        Pack::open(&path).unwrap(),
        Pack::from_memory(writer.to_bytes().unwrap()).unwrap(),
    );
    assert_eq!(memory.hash(), file.hash());
    assert!(file.hash().starts_with("xxh3-64:"));
    assert_eq!(memory.len(), file.len());
    assert_eq!(memory.path(), None);
    let mut damaged = writer.to_bytes().unwrap();
    damaged[100] ^= 1;
    Pack::from_memory(damaged).expect_err("a flipped bit");
}
