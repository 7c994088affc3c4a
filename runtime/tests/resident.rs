//! Weights stay in the file: memory for ViT-B/16 is the pack and little else.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use mergevit_runtime::{Engine, ModelConfig, testing};
use std::path::Path;

/// A field of `/proc/self/status` in bytes.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    1024 * kilobytes
        .and_then(|n| n.parse::<u64>().ok())
        .expect("a number of kB")
}

/// The only test of this program: another one's memory would count.
#[test]
fn vit_base_takes_its_pack_and_24_megabytes() {
    let config = ModelConfig {
        mlp_width: 3072,
        ..testing::model(224, 16, 12, 12, 1000)
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("vit-base.mvit");
    testing::writer(&config, &[0, 13], 1)
        .finish(&path)
        .expect("disk space");
    let mut engine = Engine::load(&path).expect("a valid pack");
    engine
        .classify_pixels(&vec![128; config.image_bytes()])
        .expect("one image");

    let pack = engine.pack().len() as u64;
    let resident = status("VmRSS:");
    assert!(
        resident < pack + 24_000_000,
        "{resident} bytes for a pack of {pack}"
    );
    // What is not mapped from files: the arena, scratch space, row sums, and this test's own.
    let private = status("RssAnon:");
    assert!(private < 24_000_000, "{private} bytes of private memory");

    let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has it");
    let mut of_pack = maps
        .lines()
        .skip_while(|line| !line.ends_with("vit-base.mvit"));
    let flags = of_pack.find(|line| line.starts_with("VmFlags:"));
    // A kernel without such pages refuses the wish, and then has no such file.
    if Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        let flags = flags.expect("the pack is mapped");
        assert!(flags.contains(" hg"), "no huge pages asked for: {flags}");
    }
}
