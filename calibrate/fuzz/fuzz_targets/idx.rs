//! Any bytes are a data set in MNIST's container or are refused; a data set has as many images and labels as its
//! files have room for.
//!
//! An input is two little-endian bytes with the length of the images' file, that file, then the labels' file. Data
//! sets are opened by name, so it takes two files in memory, and most of the time goes into opening them.

#![no_main]

use mergevit_calibrate::Dataset;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

const CLASSES: usize = 10;

static FILES: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    let name = |what| folder.join(format!("mergevit-fuzz-{}-{what}", std::process::id()));
    [name("images"), name("labels")]
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (length, rest) = bytes.split_first_chunk().unwrap_or((&[0; 2], &[]));
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (images, labels) = rest.split_at(length);
    let [images_file, labels_file] = &*FILES;
    fs::write(images_file, images).expect("a file in memory");
    let mut spec = format!("idx:{}", images_file.display());
    if !labels.is_empty() {
        fs::write(labels_file, labels).expect("a file in memory");
        spec += &format!(",{}", labels_file.display());
    }
    let Ok(dataset) = Dataset::open(&spec, &[], CLASSES) else {
        return;
    };
    assert!(!dataset.is_empty());
    assert_eq!(dataset.is_labelled(), !labels.is_empty());
    let mut pixels = 0;
    for index in [0, dataset.len() - 1] {
        let image = dataset.get(index).expect("its bytes are there");
        assert_eq!(image.bytes.len(), image.width * image.height);
        assert!(image.label.is_none_or(|label| label < CLASSES));
        pixels = dataset.len() * image.bytes.len();
    }
    // A compressed file may hold more.
    if !images.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(images.len(), 16 + pixels);
    }
});
