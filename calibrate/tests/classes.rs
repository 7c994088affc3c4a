//! Which class a folder's images are counted as: never another one than its name says.

use mergevit_calibrate::dataset::{ClassFolders, Dataset, DatasetError};
use std::path::Path;

/// A folder with an image in each of these class folders.
fn set(names: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        image(&root.path().join(name).join("a.png"));
    }
    root
}

fn image(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::new(2, 2).save(path).unwrap();
}

/// The class of each image, in the order of the folders' names.
fn classes(
    root: &Path,
    labels: &[&str],
    classes: usize,
    rule: ClassFolders,
) -> Result<Vec<Option<usize>>, DatasetError> {
    let labels: Vec<String> = labels.iter().map(|&label| label.into()).collect();
    let spec = format!("folder:{}", root.display());
    let dataset = Dataset::open_with(&spec, &labels, classes, rule)?;
    (0..dataset.len())
        .map(|index| Ok(dataset.get(index)?.label))
        .collect()
}

/// One misspelt folder among the right ones used to number all of them anew.
#[test]
fn an_unknown_folder_is_named_with_the_nearest_label() {
    let root = set(&["Bag", "shoe"]);
    for rule in [ClassFolders::All, ClassFolders::Subset] {
        let error = classes(root.path(), &["coat", "shoe", "bag"], 3, rule).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, DatasetError::UnknownClass { .. }), "{text}");
        assert!(
            text.contains("\"Bag\"") && text.contains("nearest label is \"bag\""),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("--class-folders"));
    }
    // None of the names is known.
    let error = classes(root.path(), &["x", "y"], 2, ClassFolders::All).unwrap_err();
    assert!(
        matches!(error, DatasetError::UnknownClass { .. }),
        "{error}"
    );
}

#[test]
fn a_class_without_images_is_named_unless_a_subset_is_meant() {
    let root = set(&["shoe"]);
    std::fs::create_dir(root.path().join("bag")).unwrap();
    let labels = ["coat", "shoe", "bag"];
    let error = classes(root.path(), &labels, 3, ClassFolders::All).unwrap_err();
    assert!(
        error.to_string().contains("class 0 \"coat\" and 1 more"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("subset"));
    let found = classes(root.path(), &labels, 3, ClassFolders::Subset).unwrap();
    assert_eq!(found, [Some(1)]);
}

#[test]
fn folders_named_by_number_are_those_classes() {
    // In alphabetical order 10 comes before 2.
    let names: Vec<String> = (0..11).map(|class| class.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let root = set(&names);
    let expected: Vec<_> = [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9].map(Some).into();
    assert_eq!(
        classes(root.path(), &[], 11, ClassFolders::All).unwrap(),
        expected
    );
    let labels: Vec<String> = (0..11).map(|class| format!("label {class}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(
        classes(root.path(), &labels, 11, ClassFolders::All).unwrap(),
        expected
    );
    let beyond = classes(root.path(), &[], 10, ClassFolders::Subset).unwrap_err();
    assert!(
        beyond.to_string().contains("its classes are 0 to 9"),
        "{beyond}"
    );
    let twice = set(&["1", "01"]);
    let error = classes(twice.path(), &[], 2, ClassFolders::Subset).unwrap_err();
    assert!(matches!(error, DatasetError::SameClass { .. }), "{error}");
}

#[test]
fn labels_that_no_folder_or_two_classes_can_have() {
    let root = set(&["T-shirt_top"]);
    let found = classes(
        root.path(),
        &["coat", "T-shirt/top"],
        2,
        ClassFolders::Subset,
    );
    assert_eq!(found.unwrap(), [Some(1)]);
    let root = set(&["crane"]);
    let error = classes(
        root.path(),
        &["crane", "cat", "crane"],
        3,
        ClassFolders::Subset,
    )
    .unwrap_err();
    assert!(error.to_string().contains("classes 0 and 2"), "{error}");
}

#[test]
fn alphabetical_order_counts_only_where_nothing_else_can() {
    let root = set(&["n01", "n02"]);
    let found = |labels: &[&str], n, rule| classes(root.path(), labels, n, rule);
    let in_order = [Some(0), Some(1)];
    assert_eq!(found(&[], 2, ClassFolders::All).unwrap(), in_order);
    let labelled = found(&["tench", "goldfish"], 2, ClassFolders::Alphabetical);
    assert_eq!(labelled.unwrap(), in_order);
    for rule in [ClassFolders::All, ClassFolders::Alphabetical] {
        let error = found(&[], 3, rule).unwrap_err();
        assert!(error.to_string().contains("2 class folders"), "{error}");
    }
    // Which of the classes are there cannot be told.
    let error = found(&[], 3, ClassFolders::Subset).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it has no labels, only numbers 0 to 2"),
        "{error}"
    );
    let spec = format!("folder:{}", root.path().display());
    let dataset = Dataset::open(&spec, &[], 2).unwrap();
    assert_eq!(dataset.numbered_folders(), ["n01", "n02"]);
}

#[test]
fn calibration_needs_no_classes() {
    let root = set(&["anything", "at all"]);
    let found = classes(root.path(), &["coat"], 1, ClassFolders::Ignored).unwrap();
    assert_eq!(found, [None, None]);
}

#[test]
fn a_class_has_the_images_of_all_folders_in_it() {
    let root = set(&["shoe/left", "shoe/right/high", "bag", ".hidden/shoe"]);
    image(&root.path().join("shoe/b.png"));
    let found = classes(root.path(), &["shoe", "bag"], 2, ClassFolders::All).unwrap();
    assert_eq!(found, [Some(1), Some(0), Some(0), Some(0)]);
    // The folders in a class folder are no classes, whatever they are called.
    let own = set(&["shoe/bag", "bag/shoe"]);
    let found = classes(own.path(), &["shoe", "bag"], 2, ClassFolders::All).unwrap();
    assert_eq!(found, [Some(1), Some(0)]);
}

#[test]
fn a_file_is_no_folder_and_a_folder_no_file() {
    let root = set(&["bag"]);
    let file = root.path().join("bag/a.png");
    let error = classes(&file, &[], 1, ClassFolders::All).unwrap_err();
    assert!(
        error.to_string().contains("a file, expected a folder"),
        "{error}"
    );
    let spec = format!("idx:{}", root.path().display());
    let error = Dataset::open(&spec, &[], 1).unwrap_err();
    assert!(
        error.to_string().contains("a folder, expected an IDX file"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_circles_are_not() {
    use std::os::unix::fs::symlink;
    let elsewhere = set(&["real"]);
    let root = set(&["bag"]);
    symlink(elsewhere.path().join("real"), root.path().join("shoe")).unwrap();
    let found = classes(root.path(), &["bag", "shoe"], 2, ClassFolders::All).unwrap();
    assert_eq!(found, [Some(0), Some(1)]);
    // A class folder that holds itself, and one that holds them all.
    symlink(root.path().join("bag"), root.path().join("bag/circle")).unwrap();
    symlink(root.path(), root.path().join("bag/all")).unwrap();
    let found = classes(root.path(), &["bag", "shoe"], 2, ClassFolders::All).unwrap();
    assert_eq!(found[0], Some(0));
    assert_eq!(found[found.len() - 1], Some(1));
    assert!(found.len() < 10, "{found:?}");
}

#[cfg(unix)]
#[test]
fn a_pipe_and_a_broken_link_are_skipped_like_any_bad_image() {
    use mergevit_runtime::testing;
    let root = set(&["class"]);
    let at = |name: &str| root.path().join("class").join(name);
    let made = std::process::Command::new("mkfifo")
        .arg(at("pipe.jpg"))
        .status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("nowhere", at("link.png")).unwrap();
    std::fs::create_dir(at("folder.png")).unwrap();
    let spec = format!("folder:{}", root.path().display());
    let dataset = Dataset::open(&spec, &[], 1).unwrap();
    let batch = dataset.batch(0..dataset.len(), &testing::model(16, 8, 1, 1, 1));
    assert_eq!(batch.labels, [Some(0)]);
    let skipped: Vec<String> = batch.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert!(skipped[0].contains("link.png: cannot open"), "{skipped:?}");
    assert!(skipped[1].contains("pipe.jpg: a named pipe"), "{skipped:?}");
}
