//! Pickles of tensors, and pickles that pretend to be.

use super::assembler::Assembler;
use super::{Defect, Taken, read, read_pickle};
use proptest::prelude::*;
use std::path::Path;

/// Six numbers, 0 to 5.
const SIX: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40, 0, 0, 0xa0,
    0x40,
];

/// Reads a pickle beside the storage `data/0` of six f32.
fn load(pickle: &[u8]) -> Result<Taken<'_>, Defect> {
    read_pickle(pickle, &[("data/0", SIX)], None)
}

/// `{"w": VALUE}`, the value being what `make` pushes.
fn dict(make: impl FnOnce(Assembler) -> Assembler) -> Vec<u8> {
    make(Assembler::new().raw(b"}").text("w")).raw(b"s").stop()
}

const FLOATS: (&str, &str, i64) = ("FloatStorage", "0", 6);

#[test]
fn a_tensor_is_a_part_of_a_storage() {
    for (offset, shape, strides, expected) in [
        (
            0,
            &[2, 3][..],
            &[3, 1][..],
            &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..],
        ),
        (0, &[3, 2], &[1, 3], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        (5, &[], &[], &[5.0]),
        (1, &[2], &[2], &[1.0, 3.0]),
    ] {
        let pickle = dict(|a| a.tensor(FLOATS, (offset, shape, strides)));
        let taken = load(&pickle).unwrap();
        let shape: Vec<usize> = shape.iter().map(|&side| side as usize).collect();
        assert_eq!(taken.tensors.values("w", &shape).unwrap(), expected);
        assert_eq!(taken.key, None);
    }
}

#[test]
fn nothing_but_tensors_is_accepted_and_the_name_is_said() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.jit", "load"),
        ("torch.FloatStorage", "__init__"),
        ("collections", "OrderedDict.__init__"),
        ("timm.models.vision_transformer", "VisionTransformer"),
        ("torch._utils", "_rebuild_qtensor"),
    ] {
        let full = format!("{module}.{name}");
        let by_line = Assembler::new()
            .global(module, name)
            .text("echo")
            .raw(&[0x85])
            .raw(b"R")
            .stop();
        let by_stack = Assembler::new().text(module).text(name).raw(&[0x93]).stop();
        for pickle in [by_line, by_stack] {
            let error = load(&pickle).unwrap_err();
            assert!(
                matches!(&error, Defect::Code(found) if *found == full),
                "{error}"
            );
        }
    }
    let long = Assembler::new()
        .global("os\u{1b}[31m", &"x".repeat(5000))
        .stop();
    let error = load(&long).unwrap_err().to_string();
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn operations_that_only_other_programs_write_are_refused() {
    for operation in [
        &b"i__main__\nX\n"[..],
        b"o",
        b"\x82\x01",
        b"\x83\x01\0",
        b"\x84\x01\0\0\0",
        b"P0\n",
        b"I1\n",
        b"S'a'\n",
        b"p0\n",
        b"g0\n",
        b"\x97",
        b"\x98",
        b"\xff",
    ] {
        let pickle = dict(|a| a.raw(operation));
        let error = load(&pickle).unwrap_err();
        assert!(
            matches!(&error, Defect::Pickle(what) if what.contains("operation")),
            "{error}"
        );
    }
}

#[test]
fn operations_that_do_not_fit_together_are_refused() {
    let ordered = |a: Assembler| a.global("collections", "OrderedDict");
    let cases: [(&str, Vec<u8>); 16] = [
        ("ends", Assembler::new().0),
        ("ends", Assembler::new().raw(b"X\xff\xff\xff\xff").0),
        (
            "ends",
            Assembler::new()
                .raw(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff")
                .0,
        ),
        ("ends", Assembler::new().raw(b"cos").0),
        ("empty", Assembler::new().stop()),
        ("empty", Assembler::new().raw(b"}(s").stop()),
        ("empty", Assembler::new().raw(b"N(\x85").stop()),
        ("mark", Assembler::new().raw(b"t").stop()),
        ("memo", Assembler::new().raw(b"h\x07").stop()),
        ("protocol", Assembler::new().raw(b"\x80\x06").stop()),
        ("no list", dict(|a| a.raw(b"}Na"))),
        ("no dictionary", dict(|a| a.raw(b"]NNs"))),
        ("no dictionary", dict(|a| a.raw(b"}(Nu"))),
        (
            "no function",
            dict(|a| a.text("os").text("system").raw(b"R")),
        ),
        ("no plain object", dict(|a| ordered(a).raw(b"}b"))),
        (
            "no class",
            dict(|a| a.global("torch._utils", "_rebuild_parameter").raw(b")\x81")),
        ),
    ];
    for (what, pickle) in cases {
        let error = load(&pickle).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn tensors_that_are_not_in_their_storage_are_refused() {
    let huge = i64::MAX;
    for (what, storage, layout) in [
        ("beyond", FLOATS, (1, &[2, 3][..], &[3, 1][..])),
        ("beyond", FLOATS, (6, &[1], &[1])),
        ("beyond", FLOATS, (huge, &[1], &[1])),
        ("beyond", FLOATS, (0, &[huge, huge], &[huge, huge])),
        ("beyond", FLOATS, (0, &[2], &[huge])),
        ("repeats", FLOATS, (0, &[7], &[0])),
        ("strides", FLOATS, (0, &[2, 3], &[1])),
        ("arguments", FLOATS, (-1, &[1], &[1])),
        ("arguments", FLOATS, (5, &[2], &[-1])),
        ("arguments", FLOATS, (0, &[-1], &[1])),
        ("arguments", FLOATS, (0, &[1; 65], &[1; 65])),
        ("24 bytes, for 7", ("FloatStorage", "0", 7), (0, &[1], &[1])),
        ("24 bytes, for 6", ("HalfStorage", "0", 6), (0, &[1], &[1])),
        (
            "no record data/1",
            ("FloatStorage", "1", 6),
            (0, &[1], &[1]),
        ),
        (
            "no record data/../0",
            ("FloatStorage", "../0", 6),
            (0, &[1], &[1]),
        ),
    ] {
        let pickle = dict(|a| a.tensor(storage, layout));
        let error = load(&pickle).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn storages_are_named_as_torch_names_them() {
    let id = |parts: &dyn Fn(Assembler) -> Assembler| dict(|a| parts(a.raw(b"(")).raw(b"tQ"));
    for pickle in [
        dict(|a| a.text("0").raw(b"Q")),
        id(&|a| {
            a.text("module")
                .global("torch", "FloatStorage")
                .text("0")
                .text("cpu")
                .int(6)
        }),
        id(&|a| {
            a.text("storage")
                .global("torch", "Tensor")
                .text("0")
                .text("cpu")
                .int(6)
        }),
        id(&|a| {
            a.text("storage")
                .global("torch", "FloatStorage")
                .int(0)
                .text("cpu")
                .int(6)
        }),
        id(&|a| {
            a.text("storage")
                .global("torch", "FloatStorage")
                .text("0")
                .text("cpu")
                .int(-6)
        }),
        id(&|a| a.text("storage").global("torch", "FloatStorage").text("0")),
    ] {
        let error = load(&pickle).unwrap_err();
        assert!(
            matches!(&error, Defect::Pickle(what) if what.contains("storage")),
            "{error}"
        );
    }
}

#[test]
fn pickles_that_grow_are_stopped() {
    let shape = vec![1; 64];
    let (get, put) = (b"h\0", b"q\0");
    // Each repeats one operation; every repetition would make a copy of what is in memo 0.
    let tuple = Assembler::new().ints(&shape).raw(put);
    let tensor = Assembler::new()
        .raw(b"(")
        .storage("FloatStorage", "0", 6)
        .int(0)
        .ints(&shape)
        .ints(&shape);
    let tensor = tensor
        .raw(b"t")
        .raw(put)
        .global("torch._utils", "_rebuild_tensor_v2")
        .raw(b"q\x01");
    let pairs = (0..1000).fold(Assembler::new().raw(b"]("), |a, _| a.raw(b"NN\x86"));
    let pairs = pairs
        .raw(b"e\x85")
        .raw(put)
        .global("collections", "OrderedDict")
        .raw(b"q\x01");
    let lists = Assembler::new().raw(b"]").raw(put);
    let call = [b"h\x01", &get[..], b"R0"].concat();
    for (start, step) in [
        (tuple, [&get[..], b"\x85\x940"].concat()),
        (tensor, call.clone()),
        (pairs, call),
        (lists, [b"(h\0", &b"2".repeat(60)[..], b"e"].concat()),
        (Assembler::new(), b"N".to_vec()),
    ] {
        let mut pickle = start.raw(&step.repeat((15 << 20) / step.len())).stop();
        let error = load(&pickle).unwrap_err().to_string();
        assert!(error.contains("larger"), "{error}");
        pickle.resize(17 << 20, b'N');
        assert!(load(&pickle).unwrap_err().to_string().contains("larger"));
    }
}

#[test]
fn dictionaries_in_circles_and_depths_come_to_an_end() {
    let circle = Assembler::new().raw(b"}q\0").text("a").raw(b"h\0s").stop();
    assert!(matches!(load(&circle), Err(Defect::Pickle(_))));
    let start = (0..100_000).fold(Assembler::new().raw(b"}"), |a, _| a.text("a").raw(b"}"));
    let deep = start.raw(&b"s".repeat(100_000)).stop();
    assert!(matches!(load(&deep), Err(Defect::Pickle(_))));
    // Each of 30 dictionaries holds the one before twice: a billion paths.
    let bomb = (0..30).fold(Assembler::new().raw(b"}"), |a, i| {
        let put = [b'q', i];
        let get = [b'h', i];
        a.raw(&put)
            .raw(b"0}")
            .text("a")
            .raw(&get)
            .raw(b"s")
            .text("b")
            .raw(&get)
            .raw(b"s")
    });
    assert!(matches!(load(&bomb.stop()), Err(Defect::Pickle(_))));
}

#[test]
fn many_and_long_keys_take_no_memory() {
    let key = "k".repeat(1 << 20);
    let start = Assembler::new().text(&key).raw(b"q\0").raw(b"0}");
    let long = start.raw(&b"h\0}s".repeat(100_000)).stop();
    assert!(
        load(&long)
            .unwrap_err()
            .to_string()
            .contains("no dictionary of")
    );
    let start = Assembler::new().text("k").raw(b"q\0").raw(b"0}");
    let many = start.raw(&b"h\0}s".repeat(100_000)).stop();
    assert!(
        load(&many)
            .unwrap_err()
            .to_string()
            .contains("more dictionaries")
    );
}

#[test]
fn a_name_stands_for_one_tensor() {
    let twice = dict(|a| {
        let one = a.tensor(FLOATS, (0, &[1], &[1])).raw(b"s");
        one.text("w").tensor(FLOATS, (1, &[1], &[1]))
    });
    assert!(matches!(load(&twice), Err(Defect::Twice(name)) if name == "w"));
}

/// `{NAME: {"0": tensor, "1": tensor, ...}, ...}` with this many tensors each.
fn wrapped(sets: &[(&str, usize)]) -> Vec<u8> {
    let outer = sets
        .iter()
        .fold(Assembler::new().raw(b"}"), |a, (name, tensors)| {
            let inner = (0..*tensors).fold(a.text(name).raw(b"}"), |a, i| {
                a.text(&i.to_string())
                    .tensor(FLOATS, (0, &[6], &[1]))
                    .raw(b"s")
            });
            inner.raw(b"s")
        });
    outer.text("epoch").int(3).raw(b"s").stop()
}

#[test]
fn the_only_model_is_taken_and_several_are_a_question() {
    let storages = [("data/0", SIX)];
    let read = |sets: &[(&str, usize)], key: Option<&str>| {
        let pickle = wrapped(sets);
        read_pickle(&pickle, &storages, key)
            .map(|taken| (taken.key.unwrap_or_default(), taken.tensors.names().count()))
    };
    for (sets, key, expected) in [
        (&[("state_dict", 9)][..], None, ("state_dict", 9)),
        (&[("model", 9), ("loss", 2)], None, ("model", 9)),
        (
            &[("model_ema", 9), ("optimizer", 0)],
            None,
            ("model_ema", 9),
        ),
        (&[("few", 2)], None, ("few", 2)),
        (
            &[("state_dict", 9), ("state_dict_ema", 8)],
            Some("state_dict_ema"),
            ("state_dict_ema", 8),
        ),
        (&[("model", 9), ("loss", 2)], Some("loss"), ("loss", 2)),
    ] {
        let (key, count) = read(sets, key).unwrap();
        assert_eq!((key.as_str(), count), expected);
    }
    let error = read(
        &[("state_dict", 9), ("state_dict_ema", 8), ("loss", 2)],
        None,
    )
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("state_dict (9 tensors), state_dict_ema (8 tensors)"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("--weights-key"));
    let error = read(&[("student", 9), ("teacher", 9)], Some("ema"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no weights at ema") && error.contains("teacher"),
        "{error}"
    );
    assert!(matches!(read(&[], None), Err(Defect::Pickle(_))));
    assert!(matches!(
        read(&[("model", 9)], Some(".")),
        Err(Defect::Key { .. })
    ));
}

#[test]
fn a_key_may_go_on_in_the_names() {
    let names = ["ema.a", "ema.b", "net.a"];
    let inner = names.iter().fold(
        Assembler::new().raw(b"}").text("state").raw(b"}"),
        |a, name| a.text(name).tensor(FLOATS, (0, &[6], &[1])).raw(b"s"),
    );
    let pickle = inner.raw(b"s").stop();
    let taken = read_pickle(&pickle, &[("data/0", SIX)], Some("state.ema")).unwrap();
    assert_eq!(taken.tensors.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(taken.key.as_deref(), Some("state.ema"));
}

/// A file of `tests/data/pytorch`, whose README says what is in it.
fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pytorch");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn files_of_pytorch_are_read_as_pytorch_reads_them() {
    for name in ["tensors.pt", "protocol-4.pt"] {
        let bytes = file(name);
        let taken = read(&bytes, None).unwrap();
        let set = &taken.tensors;
        assert_eq!(taken.key.as_deref(), Some("state_dict"));
        let six = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        for (name, shape, values) in [
            ("f16", &[2, 3][..], &six[..]),
            ("bf16", &[2, 3], &six),
            ("f32", &[2, 3], &six),
            ("f64", &[2, 3], &six),
            ("transposed", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
            ("column", &[2], &[1.0, 4.0]),
            ("last", &[1], &[5.0]),
            ("scalar", &[], &[3.0]),
            ("parameter", &[2, 3], &six),
            ("attribute", &[2, 3], &six),
            ("empty", &[0, 3], &[]),
        ] {
            assert_eq!(set.values(name, shape).unwrap(), values, "{name}");
        }
        assert_eq!(set.names().count(), 11);
        for (name, kind) in [
            ("i64", "I64"),
            ("bool", "BOOL"),
            ("u16", "U16"),
            ("f8", "F8_E4M3"),
        ] {
            let error = set.shape(name).unwrap_err().to_string();
            assert!(error.contains(kind), "{error}");
        }
    }
}

#[test]
fn other_files_of_pytorch_are_refused_by_name() {
    let module = file("module.pt");
    let error = read(&module, None).unwrap_err();
    assert!(
        matches!(&error, Defect::Code(name) if name == "torch.nn.modules.linear.Linear"),
        "{error}"
    );
    let script = file("script.pt");
    let error = read(&script, None).unwrap_err();
    assert!(error.to_string().contains("TorchScript"), "{error}");
    let numpy = file("arrays.npz");
    assert!(
        read(&numpy, None)
            .unwrap_err()
            .to_string()
            .contains("NumPy")
    );
}

#[test]
fn damaged_files_are_errors() {
    let whole = file("tensors.pt");
    for cut in 0..whole.len() {
        let error = read(&whole[..cut], None).expect_err("cut");
        assert!(matches!(error, Defect::Archive(_)), "{cut}: {error}");
    }
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x15;
        // Padding may change; it must not panic, nor change a value.
        if let Ok(taken) = read(&bad, None)
            && let Ok(values) = taken.tensors.values("f32", &[2, 3])
        {
            assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{at}");
        }
    }
}

proptest! {
    /// Any bytes are a set of tensors or an error.
    #[test]
    fn no_pickle_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load(&bytes);
    }

    /// Any operations in any order are a set of tensors or an error.
    #[test]
    fn no_program_panics(steps in prop::collection::vec(0usize..24, 0..60)) {
        let program = steps.iter().fold(Assembler::new(), |a, step| match step {
            0 => a.raw(b"("),
            1 => a.raw(b"t"),
            2 => a.raw(b"}"),
            3 => a.raw(b"]"),
            4 => a.raw(b"s"),
            5 => a.raw(b"u"),
            6 => a.raw(b"a"),
            7 => a.raw(b"e"),
            8 => a.raw(b"R"),
            9 => a.raw(b"b"),
            10 => a.raw(b"\x81"),
            11 => a.raw(b"Q"),
            12 => a.raw(b"q\0"),
            13 => a.raw(b"h\0"),
            14 => a.raw(b"0"),
            15 => a.raw(b"2"),
            16 => a.raw(b"\x87"),
            17 => a.text("w"),
            18 => a.int(2),
            19 => a.global("torch._utils", "_rebuild_tensor_v2"),
            20 => a.global("collections", "OrderedDict"),
            21 => a.global("torch", "Size"),
            22 => a.storage("FloatStorage", "0", 6),
            _ => a.tensor(FLOATS, (0, &[2, 2], &[3, 1])),
        });
        let pickle = program.stop();
        if let Ok(taken) = load(&pickle) {
            let names: Vec<&str> = taken.tensors.names().collect();
            for name in names {
                let shape = taken.tensors.shape(name).unwrap();
                let values = taken.tensors.values(name, &shape).unwrap();
                prop_assert_eq!(values.len(), shape.iter().product::<usize>());
            }
        }
    }
}
