//! Any bytes are a list of images or are refused; every image has a path, and classes in ascending order, and the same
//! bytes give the same list.

#![no_main]

use mergevit_calibrate::Dataset;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    folder.join(format!("mergevit-fuzz-{}-list.csv", std::process::id()))
});

/// Every image's path and classes.
fn images(set: &Dataset) -> Vec<(PathBuf, Vec<usize>)> {
    let image = |index| {
        let path = set.path(index).expect("a list is of files");
        (path.to_path_buf(), set.classes(index).collect())
    };
    (0..set.len()).map(image).collect()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fs::write(&*FILE, bytes).expect("a file in memory");
    let spec = format!("list:{}", FILE.display());
    let Ok((set, names)) = Dataset::open_own(&spec) else {
        return;
    };
    assert!(!set.is_empty());
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    let found = images(&set);
    let mut named = vec![false; names.len()];
    for (_, classes) in &found {
        assert!(classes.is_sorted_by(|a, b| a < b), "{classes:?}");
        classes.iter().for_each(|&class| named[class] = true);
    }
    assert!(
        named.iter().all(|&named| named),
        "every name is of an image"
    );
    assert_eq!(
        set.is_labelled(),
        found.iter().all(|(_, classes)| !classes.is_empty())
    );
    let (again, _) = Dataset::open_own(&spec).expect("it was read before");
    assert_eq!(images(&again), found);
});
