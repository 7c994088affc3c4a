//! The modules in the repository are those of its sources, as far as can be told without the compiler.

use mergevit_kernel_compiler::compile::{Module, options};
use mergevit_kernel_compiler::manifest::{LIMIT_BYTES, Manifest, verify};
use mergevit_kernel_compiler::sources;
use std::fs;
use std::path::Path;

#[test]
fn modules_are_up_to_date() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let findings = verify(root).expect("sources and modules can be read");
    assert!(
        findings.is_empty(),
        "{findings:#?}\nrun `cargo run -p mergevit-kernel-compiler`"
    );
}

const VERSION: &str = "// Cuda compilation tools, release 12.6, V12.6.85\n";

/// A folder with two sources of one header, and modules that are recorded for them.
fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "cuda/a.cu", b"#include \"shared.cuh\"\n");
    write(root.path(), "cuda/b.cu", b"#include \"shared.cuh\"\n");
    write(root.path(), "cuda/shared.cuh", b"int x;\n");
    record(root.path(), 16);
    root
}

/// Writes modules of `size` bytes of machine code, with PTX, and records them.
fn record(root: &Path, size: usize) {
    let sources = sources::read(&root.join("cuda")).expect("sources");
    let module = |source: &sources::Source| Module {
        name: source.name.clone(),
        cubin: vec![7; size],
        ptx: VERSION.to_owned(),
        kernels: Vec::new(),
    };
    let modules: Vec<Module> = sources.iter().map(module).collect();
    for module in &modules {
        write(
            root,
            &format!("compiled/{}.sm_87.cubin", module.name),
            &module.cubin,
        );
        write(
            root,
            &format!("compiled/{}.compute_80.ptx", module.name),
            module.ptx.as_bytes(),
        );
    }
    let manifest = Manifest::new(&sources, &modules).expect("a manifest");
    assert_eq!(manifest.nvrtc, "12.6.85");
    write(
        root,
        "compiled/manifest.json",
        manifest.text().expect("text").as_bytes(),
    );
    assert_eq!(
        Manifest::read(&root.join("compiled")).expect("the same form"),
        Some(manifest)
    );
}

fn write(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// The findings after one change to a folder that had none.
fn after(change: impl FnOnce(&Path)) -> Vec<String> {
    let root = folder();
    assert_eq!(verify(root.path()).expect("readable"), Vec::<String>::new());
    change(root.path());
    verify(root.path()).expect("readable")
}

#[test]
fn an_edited_source_makes_its_module_stale() {
    let one = after(|root| write(root, "cuda/a.cu", b"#include \"shared.cuh\"\nint y;\n"));
    assert_eq!(
        one,
        ["cuda/a.cu: its module is stale: made from other a.cu, shared.cuh"]
    );
    let header = after(|root| write(root, "cuda/shared.cuh", b"int y;\n"));
    assert_eq!(header.len(), 2, "both include it: {header:?}");
    let unused = after(|root| write(root, "cuda/unused.cuh", b"int y;\n"));
    assert_eq!(unused, Vec::<String>::new());
}

#[test]
fn sources_and_modules_come_in_pairs() {
    assert_eq!(
        after(|root| write(root, "cuda/c.cu", b"")),
        ["cuda/c.cu: was never compiled"]
    );
    let orphan = after(|root| fs::remove_file(root.join("cuda/b.cu")).expect("removed"));
    assert_eq!(orphan, ["compiled/manifest.json: b has no source file"]);
    let missing =
        after(|root| fs::remove_file(root.join("compiled/b.compute_80.ptx")).expect("removed"));
    assert_eq!(missing, ["compiled/b.compute_80.ptx: missing"]);
    let extra = after(|root| write(root, "compiled/c.sm_87.cubin", b""));
    assert_eq!(extra, ["compiled/c.sm_87.cubin: comes from no source file"]);
    let nothing =
        after(|root| fs::remove_file(root.join("compiled/manifest.json")).expect("removed"));
    assert_eq!(nothing, ["compiled/manifest.json: missing"]);
}

#[test]
fn a_changed_module_is_found() {
    let changed = after(|root| write(root, "compiled/a.sm_87.cubin", &[8; 16]));
    assert_eq!(
        changed,
        ["compiled/a.sm_87.cubin: is not the file that manifest.json records"]
    );
    let size = usize::try_from(LIMIT_BYTES / 2).expect("fits");
    let large = after(|root| record(root, size));
    assert_eq!(large.len(), 1);
    let limit = format!("at most {LIMIT_BYTES} are allowed");
    assert!(large[0].contains(&limit), "{large:?}");
}

#[test]
fn a_record_of_another_form_is_an_error() {
    let root = folder();
    write(
        root.path(),
        "compiled/manifest.json",
        b"{\"nvrtc\": \"12.6.85\", \"modules\": {}, \"more\": 1}",
    );
    verify(root.path()).expect_err("an unknown field");
    write(root.path(), "compiled/manifest.json", b"{");
    verify(root.path()).expect_err("half a file");
}

#[test]
fn options_are_part_of_what_an_module_is_made_from() {
    let root = folder();
    let source = &sources::read(&root.path().join("cuda")).expect("sources")[0];
    assert_ne!(source.hash(&options()), source.hash(&options()[1..]));
}
