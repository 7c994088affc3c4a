//! Folders and IDX files: what is read, in which order and with which labels, and what is refused.

use flate2::Compression;
use flate2::write::GzEncoder;
use mergevit_calibrate::dataset::{ClassFolders, Dataset, DatasetError};
use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::testing;
use std::io::Write;
use std::path::Path;

/// Writes a PNG or JPEG of one colour, and the folders above it.
fn image(folder: &Path, name: &str, colour: [u8; 3]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(5, 3, image::Rgb(colour))
        .save(path)
        .unwrap();
}

fn folder(path: &Path, labels: &[&str], classes: usize) -> Result<Dataset, DatasetError> {
    folder_with(path, labels, classes, ClassFolders::All)
}

fn folder_with(
    path: &Path,
    labels: &[&str],
    classes: usize,
    rule: ClassFolders,
) -> Result<Dataset, DatasetError> {
    let labels: Vec<String> = labels.iter().map(|&label| label.into()).collect();
    let spec = format!("folder:{}", path.display());
    Dataset::open_with(&spec, &labels, classes, rule)
}

fn labels(dataset: &Dataset) -> Vec<Option<usize>> {
    let label = |index| dataset.get(index).unwrap().label;
    (0..dataset.len()).map(label).collect()
}

/// An IDX file of `magic`, sizes and bytes.
fn idx(path: &Path, magic: u32, sizes: &[u32], data: &[u8]) {
    let words = [&[magic], sizes].concat();
    let header: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let bytes = [&header, data].concat();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).unwrap();
        std::fs::write(path, encoder.finish().unwrap()).unwrap();
    } else {
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn class_folders_are_matched_by_name() {
    let root = tempfile::tempdir().unwrap();
    for name in ["shoe/b.png", "shoe/a.PNG", "bag/c.jpg", "bag/notes.txt"] {
        if name.ends_with("txt") {
            std::fs::write(root.path().join(name), "not an image").unwrap();
        } else {
            image(root.path(), name, [9, 8, 7]);
        }
    }
    image(root.path(), ".cache/hidden.png", [0; 3]);
    let rule = ClassFolders::Subset;
    let by_name = folder_with(root.path(), &["coat", "shoe", "bag"], 3, rule).unwrap();
    assert_eq!(labels(&by_name), [Some(2), Some(1), Some(1)]);
    assert!(by_name.is_labelled() && by_name.numbered_folders().is_empty());
    let first = by_name.get(1).unwrap();
    assert_eq!(
        (first.format, first.width, first.height),
        (PixelFormat::Rgb, 5, 3)
    );
    assert_eq!(first.bytes, [9, 8, 7].repeat(15));
    assert!(matches!(
        folder(root.path(), &[], 1),
        Err(DatasetError::ClassCount {
            found: 2,
            classes: 1,
            ..
        })
    ));
}

#[test]
fn flat_folders_have_no_labels_and_limits_spread() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..10u8 {
        image(root.path(), &format!("{n}.png"), [n; 3]);
    }
    std::fs::create_dir(root.path().join("empty")).unwrap();
    let mut flat = folder(root.path(), &[], 2).unwrap();
    assert_eq!((flat.len(), flat.is_labelled()), (10, false));
    flat.limit(4);
    let seen: Vec<u8> = (0..4).map(|i| flat.get(i).unwrap().bytes[0]).collect();
    assert_eq!(seen, [0, 2, 5, 7]);
    flat.limit(100);
    assert_eq!(flat.len(), 4);
}

#[test]
fn a_limit_takes_as_many_images_of_every_class() {
    let root = tempfile::tempdir().unwrap();
    for class in ["a", "b", "c"] {
        for n in 0..4 {
            image(root.path(), &format!("{class}/{n}.png"), [n; 3]);
        }
    }
    for (limit, expected) in [
        (6, vec![0, 0, 1, 1, 2, 2]),
        (3, vec![0, 1, 2]),
        (1, vec![0]),
    ] {
        let mut dataset = folder(root.path(), &[], 3).unwrap();
        dataset.limit(limit);
        let expected: Vec<_> = expected.into_iter().map(Some).collect();
        assert_eq!(labels(&dataset), expected);
    }
}

#[test]
fn pixels_are_the_same_from_grey_idx_and_rgb_files() {
    let root = tempfile::tempdir().unwrap();
    let model = testing::model(16, 8, 1, 1, 3);
    let (width, height) = (7, 5);
    let mut random = testing::Random(5);
    let grey = random.bytes(4 * width * height);
    idx(
        &root.path().join("images"),
        0x803,
        &[4, height as u32, width as u32],
        &grey,
    );
    for (n, image) in grey.chunks_exact(width * height).enumerate() {
        let rgb = image.iter().flat_map(|&v| [v; 3]).collect();
        image::RgbImage::from_raw(width as u32, height as u32, rgb)
            .unwrap()
            .save(root.path().join(format!("{n}.png")))
            .unwrap();
        image::GrayImage::from_raw(width as u32, height as u32, image.to_vec())
            .unwrap()
            .save(root.path().join(format!("{}.png", 4 + n)))
            .unwrap();
    }
    let spec = format!("idx:{}", root.path().join("images").display());
    let from_idx = Dataset::open(&spec, &[], 3).unwrap();
    let files = folder(root.path(), &[], 3).unwrap();
    let (expected, labels) = from_idx.pixels(0..4, &model).unwrap();
    assert_eq!((expected.len(), labels), (4 * 16 * 16 * 3, vec![None; 4]));
    assert!(
        expected
            .chunks_exact(3)
            .all(|p| p[0] == p[1] && p[1] == p[2])
    );
    assert_eq!(files.pixels(0..4, &model).unwrap().0, expected);
    assert_eq!(files.pixels(4..8, &model).unwrap().0, expected);
    let (part, _) = from_idx.pixels(1..3, &model).unwrap();
    assert_eq!(part, expected[16 * 16 * 3..3 * 16 * 16 * 3]);
    assert_eq!(from_idx.pixels(2..2, &model).unwrap(), (vec![], vec![]));
}

#[test]
fn an_unreadable_image_among_others_is_named() {
    let root = tempfile::tempdir().unwrap();
    let model = testing::model(16, 8, 1, 1, 3);
    for n in 0..5 {
        image(root.path(), &format!("class/{n}.png"), [n; 3]);
    }
    std::fs::write(root.path().join("class/2.png"), "not an image").unwrap();
    let dataset = folder(root.path(), &[], 1).unwrap();
    let error = dataset.pixels(0..5, &model).unwrap_err();
    assert!(error.to_string().contains("2.png"), "{error}");
    assert_eq!(dataset.pixels(3..5, &model).unwrap().1, [Some(0); 2]);
    let batch = dataset.batch(0..5, &model);
    assert_eq!(batch.labels, [Some(0); 4]);
    assert_eq!(batch.pixels.len(), 4 * model.image_bytes());
    assert_eq!(&batch.pixels[2 * model.image_bytes()..][..3], [3; 3]);
    assert_eq!(batch.skipped.len(), 1);
    assert!(batch.skipped[0].to_string().contains("2.png"));
}

#[test]
fn bad_folders_name_what_is_wrong() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(
        folder(root.path(), &[], 2),
        Err(DatasetError::Empty { .. })
    ));
    let nowhere = folder(&root.path().join("nowhere"), &[], 2).unwrap_err();
    assert!(nowhere.to_string().contains("nowhere"));
    image(root.path(), "class/a.png", [1; 3]);
    image(root.path(), "stray.png", [1; 3]);
    let mixed = folder(root.path(), &[], 2).unwrap_err().to_string();
    assert!(
        mixed.contains("stray.png") && mixed.contains("class"),
        "{mixed}"
    );
    // Where classes mean nothing, nothing is in doubt.
    let all = folder_with(root.path(), &[], 2, ClassFolders::Ignored).unwrap();
    assert_eq!(labels(&all), [None, None]);

    std::fs::remove_file(root.path().join("stray.png")).unwrap();
    let whole = std::fs::read(root.path().join("class/a.png")).unwrap();
    for (name, bytes) in [
        ("cut.png", &whole[..whole.len() / 2]),
        ("text.jpg", b"hello"),
    ] {
        let path = root.path().join("class").join(name);
        std::fs::write(&path, bytes).unwrap();
        let dataset = folder(root.path(), &[], 1).unwrap();
        let error = dataset.get(1).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn idx_files_are_read_plain_and_compressed() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let pixels: Vec<u8> = (0..3 * 2 * 4).collect();
    for end in ["", ".gz"] {
        idx(&at(&format!("i{end}")), 0x803, &[3, 2, 4], &pixels);
        idx(&at(&format!("l{end}")), 0x801, &[3], &[2, 0, 1]);
        let images = at(&format!("i{end}")).display().to_string();
        let spec = format!("idx:{images},{}", at(&format!("l{end}")).display());
        let mut dataset = Dataset::open(&spec, &[], 3).unwrap();
        assert_eq!(labels(&dataset), [Some(2), Some(0), Some(1)]);
        let second = dataset.get(1).unwrap();
        assert_eq!((second.width, second.height), (4, 2));
        assert_eq!(second.bytes, pixels[8..16]);
        dataset.limit(2);
        assert_eq!(dataset.len(), 2);
        let unlabelled = Dataset::open(&format!("idx:{images}"), &[], 3).unwrap();
        assert!(!unlabelled.is_labelled());
    }
}

#[test]
fn bad_idx_files_name_what_is_wrong() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    idx(&at("good"), 0x803, &[2, 1, 1], &[0, 0]);
    idx(&at("labels"), 0x801, &[2], &[0, 2]);
    idx(&at("three-labels"), 0x801, &[3], &[0, 0, 0]);
    idx(&at("magic"), 0x801, &[2, 1, 1], &[0, 0]);
    idx(&at("labels-magic"), 0x803, &[2], &[0, 0]);
    idx(&at("labels-short"), 0x801, &[2], &[0]);
    idx(&at("short"), 0x803, &[2, 1, 1], &[0]);
    idx(&at("long"), 0x803, &[2, 1, 1], &[0, 0, 0]);
    idx(&at("none"), 0x803, &[0, 1, 1], &[]);
    idx(&at("flat"), 0x803, &[2, 0, 1], &[]);
    idx(&at("wide"), 0x803, &[1, 1, 9000], &[0; 9000]);
    idx(&at("overflow"), 0x803, &[u32::MAX; 3], &[]);
    std::fs::write(at("header"), [0, 0, 8, 3, 0]).unwrap();
    idx(&at("cut.gz"), 0x803, &[2, 1, 1], &[0, 0]);
    let whole = std::fs::read(at("cut.gz")).unwrap();
    std::fs::write(at("cut.gz"), &whole[..whole.len() - 9]).unwrap();
    for (files, what) in [
        ("good,labels", "label 2"),
        ("good,three-labels", "expected 2"),
        ("good,labels-magic", "magic number"),
        ("good,labels-short", "labels-short: data"),
        ("good,nowhere", "nowhere"),
        ("magic", "magic number"),
        ("short", "data"),
        ("long", "data"),
        ("none", "no images"),
        ("flat", "rows"),
        ("wide", "columns"),
        ("overflow", "data"),
        ("header", "header"),
        ("cut.gz", "cut.gz"),
    ] {
        let paths: Vec<String> = files
            .split(',')
            .map(|f| at(f).display().to_string())
            .collect();
        let error = Dataset::open(&format!("idx:{}", paths.join(",")), &[], 2).unwrap_err();
        assert!(error.to_string().contains(what), "{files}: {error}");
    }
    for spec in ["", "idx:", "folder:", "tar:x", "images"] {
        let error = Dataset::open(spec, &[], 2).unwrap_err();
        assert!(
            matches!(error, DatasetError::Spec { .. }),
            "{spec}: {error}"
        );
    }
}

#[test]
fn paths_of_idx_files_may_have_commas() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    std::fs::create_dir(at("a,b")).unwrap();
    idx(&at("a,b/images,1"), 0x803, &[2, 1, 1], &[3, 4]);
    idx(&at("a,b/labels,1"), 0x801, &[2], &[1, 0]);
    let path = |name| at(name).display().to_string();
    let (images, names) = (path("a,b/images,1"), path("a,b/labels,1"));
    let both = Dataset::open(&format!("idx:{images},{names}"), &[], 2).unwrap();
    assert_eq!(labels(&both), [Some(1), Some(0)]);
    let alone = Dataset::open(&format!("idx:{images}"), &[], 2).unwrap();
    assert_eq!(labels(&alone), [None, None]);
}

#[test]
fn a_compressed_file_is_read_no_further_than_its_header_says() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("bomb.gz");
    idx(&path, 0x803, &[2, 1, 1], &vec![0; 1 << 24]);
    let error = Dataset::open(&format!("idx:{}", path.display()), &[], 2).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("data: found more bytes, expected 2 bytes"),
        "{error}"
    );
}

#[test]
fn parts_of_a_set_share_no_image() {
    let root = tempfile::tempdir().unwrap();
    for class in 0..3 {
        for number in 0..8u8 {
            let name = format!("{class}/{number}.png");
            image(root.path(), &name, [10 * class + number, 0, 0]);
        }
    }
    let whole = folder(root.path(), &[], 3).unwrap();
    let red = |part: &Dataset| -> Vec<u8> {
        let image = |index| part.get(index).unwrap().bytes[0];
        (0..part.len()).map(image).collect()
    };
    for (counts, lengths) in [
        ([6, 6, 3], [6, 6, 3]),
        ([12, 9, 3], [12, 9, 3]),
        ([40, 4, 4], [20, 2, 2]),
    ] {
        let parts = whole.split(&counts);
        let mut limited = whole.clone();
        limited.limit(lengths[0]);
        assert_eq!(
            red(&parts[0]),
            red(&limited),
            "the first is what a limit leaves"
        );
        let mut seen = Vec::new();
        for (part, length) in parts.iter().zip(lengths) {
            assert_eq!(part.len(), length);
            // As many of each class, to one.
            let of = |class| {
                labels(part)
                    .iter()
                    .filter(|&&own| own == Some(class))
                    .count()
            };
            assert!(
                (0..3).all(|class| of(class).abs_diff(length / 3) <= 1),
                "{counts:?}"
            );
            seen.extend(red(part));
        }
        let images = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), images, "{counts:?}");
    }
    let none = whole.split(&[100, 1]);
    assert_eq!((none[0].len(), none[1].is_empty()), (24, true));
}

/// Writes a list and opens it, with the model's labels or, without any, as its own classes.
fn list(root: &Path, text: &str, labels: &[&str]) -> Result<Dataset, DatasetError> {
    let path = root.join("list.csv");
    std::fs::write(&path, text).unwrap();
    let labels: Vec<String> = labels.iter().map(|&label| label.into()).collect();
    Dataset::open(&format!("list:{}", path.display()), &labels, labels.len())
}

#[test]
fn lists_have_a_header_or_two_columns() {
    let root = tempfile::tempdir().unwrap();
    for (name, red) in [("a.png", 1), ("in/b, c.png", 2), ("d.png", 3)] {
        image(root.path(), name, [red, 0, 0]);
    }
    let shoes = ["bag", "shoe"];
    for text in [
        "a.png,shoe\n\"in/b, c.png\",bag\nd.png,shoe\n",
        "path,label\na.png,shoe\n\"in/b, c.png\",bag\nd.png,shoe\n",
        "\u{feff}Class, size ,File\r\nshoe,7,a.png\r\n bag ,8,\"in/b, c.png\"\r\nshoe,9, d.png\r\n",
        // By number.
        "a.png,1\n\"in/b, c.png\",0\nd.png,1\n",
    ] {
        let set = list(root.path(), text, &shoes).unwrap();
        // In the order of the classes.
        assert_eq!(labels(&set), [Some(0), Some(1), Some(1)], "{text}");
        let red = |index| set.get(index).unwrap().bytes[0];
        assert_eq!([red(0), red(1), red(2)], [2, 1, 3], "{text}");
        assert!(set.is_labelled());
    }
    let paths = list(root.path(), "a.png\nd.png\n", &shoes).unwrap();
    assert_eq!((paths.len(), paths.is_labelled()), (2, false));
}

#[test]
fn an_image_of_a_list_may_have_several_classes_or_none() {
    let root = tempfile::tempdir().unwrap();
    let text = "path,label\na.png,shoe|bag\nb.png,\nc.png,bag | bag\n";
    let set = list(root.path(), text, &["bag", "shoe"]).unwrap();
    let classes: Vec<Vec<usize>> = (0..3).map(|i| set.classes(i).collect()).collect();
    assert_eq!(classes, [vec![], vec![0, 1], vec![0]]);
    assert!(!set.is_labelled());
    let spec = format!("list:{}", root.path().join("list.csv").display());
    let (own, names) = Dataset::open_own(&spec).unwrap();
    assert_eq!(names, ["bag", "shoe"]);
    assert_eq!(own.len(), 3);
}

#[test]
fn bad_lists_name_the_line_or_the_label() {
    let root = tempfile::tempdir().unwrap();
    for (text, reason) in [
        ("", "no images on any line"),
        ("path,label\n", "no images on any line"),
        ("a.png,bag\n,bag\n", "line 2: no path"),
        ("a.png,1,2\n", "line 1: 3 columns"),
        ("a.png,sock\n", "label \"sock\" is no class of the model"),
        ("a.png,shoe\n", "no images of class 0 \"bag\""),
        ("a.png,\"caf\\xe9\"\n", "is no class"),
    ] {
        let error = list(root.path(), text, &["bag", "shoe"])
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{text:?}: {error}");
        assert!(error.contains("list.csv"), "{error}");
    }
    std::fs::write(root.path().join("list.csv"), b"a.png,caf\xe9\n").unwrap();
    let spec = format!("list:{}", root.path().join("list.csv").display());
    let error = Dataset::open_own(&spec).unwrap_err().to_string();
    assert!(
        error.contains("line 1") && error.contains("UTF-8"),
        "{error}"
    );
    let missing = Dataset::open_own("list:no/such.csv")
        .unwrap_err()
        .to_string();
    assert!(missing.contains("no/such.csv"), "{missing}");
}

#[test]
fn a_limit_may_be_of_each_class() {
    let root = tempfile::tempdir().unwrap();
    for (class, count) in [("a", 9), ("b", 2), ("c", 5)] {
        for number in 0..count {
            image(
                root.path(),
                &format!("{class}/{number}.png"),
                [number, 0, 0],
            );
        }
    }
    let mut set = folder(root.path(), &[], 3).unwrap();
    set.limit_per_class(3);
    let expected = [0, 0, 0, 1, 1, 2, 2, 2].map(Some);
    assert_eq!(labels(&set), expected);
    let red = |index| set.get(index).unwrap().bytes[0];
    assert_eq!([red(0), red(1), red(2)], [0, 3, 6], "spread over the class");
}

#[test]
fn kept_images_are_those_that_were_decoded() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..6u8 {
        image(root.path(), &format!("{number}.png"), [40 * number, 7, 9]);
    }
    std::fs::write(root.path().join("bad.png"), "no image").unwrap();
    let kept = tempfile::tempdir().unwrap();
    let model = testing::model(16, 8, 1, 1, 1);
    let plain = folder(root.path(), &[], 1).unwrap();
    let mut cached = folder(root.path(), &[], 1).unwrap();
    cached.keep_in(kept.path()).unwrap();
    let expected = plain.batch(0..7, &model);
    for _ in 0..2 {
        let found = cached.batch(0..7, &model);
        assert_eq!(found.pixels, expected.pixels);
        assert_eq!(
            (found.places, found.skipped.len()),
            (expected.places.clone(), 1)
        );
    }
    // It is what was kept that is read: the original's time and size stay, its pixels do not.
    let path = root.path().join("0.png");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.reverse();
    std::fs::write(&path, bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    assert_eq!(cached.batch(0..7, &model).pixels, expected.pixels);
    assert_eq!(plain.batch(0..7, &model).skipped.len(), 2);
    // Another model's images are others.
    let other = testing::model(24, 8, 1, 1, 1);
    assert_eq!(
        cached.batch(1..2, &other).pixels,
        plain.batch(1..2, &other).pixels
    );
}
