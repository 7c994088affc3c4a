//! Whatever a user may name as an output: files, links, devices, pipes, folders.

use mergevit_runtime::{Defect, OutputError, OutputFile, Pack, testing};
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn write(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    OutputFile::new(path)?.write(bytes)
}

fn refusal(path: &Path) -> OutputError {
    OutputFile::new(path).expect_err("nothing can be written there")
}

fn kind(error: &OutputError) -> Option<ErrorKind> {
    match error {
        OutputError::Io { source, .. } | OutputError::NoFolder { source, .. } => {
            Some(source.kind())
        }
        _ => None,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

#[test]
fn a_new_file_and_one_that_replaces_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for bytes in [&b"short"[..], b"", &vec![7; 3_000_000], b"short again"] {
        write(&path, bytes).unwrap();
        assert!(fs::read(&path).unwrap() == bytes);
        assert_eq!(names(folder.path()), ["file"]);
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    File::create(folder.path().join("any")).unwrap();
    let usual = fs::metadata(folder.path().join("any")).unwrap();
    write(&path, b"new").unwrap();
    assert_eq!(mode(), usual.permissions().mode() & 0o777);
    for own in [0o600, 0o640, 0o666, 0o755] {
        fs::set_permissions(&path, Permissions::from_mode(own)).unwrap();
        write(&path, b"newer").unwrap();
        assert_eq!(mode(), own, "{own:o}");
    }
}

#[test]
fn a_reader_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let mut reader = File::open(&path).unwrap();
    write(&path, b"new").unwrap();
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old");
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("models")).unwrap();
    fs::write(at("models/v1"), "old").unwrap();
    symlink("models/v1", at("current")).unwrap();
    symlink("current", at("link-to-link")).unwrap();
    write(&at("link-to-link"), b"new").unwrap();
    assert!(is_link(&at("current")) && is_link(&at("link-to-link")));
    assert_eq!(fs::read(at("models/v1")).unwrap(), b"new");
    // A link to a file that is not there yet makes it, as a shell's redirection does.
    symlink("models/v2", at("next")).unwrap();
    symlink("next", at("next-to-next")).unwrap();
    write(&at("next-to-next"), b"first").unwrap();
    assert!(is_link(&at("next")) && is_link(&at("next-to-next")));
    assert_eq!(fs::read(at("models/v2")).unwrap(), b"first");
    assert_eq!(names(&at("models")), ["v1", "v2"]);
}

#[test]
fn links_that_lead_nowhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    symlink("c", at("c")).unwrap();
    symlink("nowhere/file", at("d")).unwrap();
    for name in ["a", "b", "c"] {
        assert!(refusal(&at(name)).to_string().contains("symbolic links"));
    }
    assert!(matches!(refusal(&at("d")), OutputError::NoFolder { .. }));
    assert!(["a", "b", "c", "d"].iter().all(|name| is_link(&at(name))));
}

#[test]
fn names_that_are_no_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "precious").unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("folder", at("link")).unwrap();
    for name in ["folder", "folder/", "folder/.", "folder/..", "link", "new/"] {
        let error = refusal(&at(name));
        assert!(
            matches!(error, OutputError::Folder { .. }),
            "{name}: {error}"
        );
    }
    assert!(matches!(refusal("/".as_ref()), OutputError::Folder { .. }));
    for (name, expected) in [
        ("nowhere/file", ErrorKind::NotFound),
        ("file/inside", ErrorKind::NotADirectory),
        ("file/", ErrorKind::NotADirectory),
        (&"x".repeat(256), ErrorKind::InvalidFilename),
    ] {
        let error = refusal(&at(name));
        assert_eq!(kind(&error), Some(expected), "{name}: {error}");
        assert!(
            error
                .to_string()
                .starts_with(&at(name).display().to_string())
        );
    }
    assert_eq!(kind(&refusal("".as_ref())), Some(ErrorKind::NotFound));
    assert_eq!(names(folder.path()), ["file", "folder", "link"]);
    assert_eq!(fs::read(at("file")).unwrap(), b"precious");
    // The longest name that there can be.
    let longest = at(&"x".repeat(255));
    write(&longest, b"once").unwrap();
    write(&longest, b"twice").unwrap();
    assert_eq!(fs::read(&longest).unwrap(), b"twice");
}

#[test]
fn what_may_not_be_written_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "protected").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    // Nothing is read-only to a privileged user.
    if File::options().append(true).open(&path).is_err() {
        assert_eq!(kind(&refusal(&path)), Some(ErrorKind::PermissionDenied));
    }
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o555)).unwrap();
    if File::create(locked.join("any")).is_err() {
        let error = refusal(&locked.join("file"));
        assert_eq!(kind(&error), Some(ErrorKind::PermissionDenied), "{error}");
        assert!(error.to_string().contains("create a file in its folder"));
    }
    assert_eq!(fs::read(&path).unwrap(), b"protected");
}

#[test]
fn a_folder_that_cannot_be_listed_takes_files() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = folder.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, Permissions::from_mode(0o300)).unwrap();
    write(&hidden.join("file"), b"once").unwrap();
    write(&hidden.join("file"), b"twice").unwrap();
    assert_eq!(fs::read(hidden.join("file")).unwrap(), b"twice");
    fs::set_permissions(&hidden, Permissions::from_mode(0o700)).unwrap();
}

fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("fifo");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    path
}

#[test]
fn pipes_are_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path());
    symlink("fifo", folder.path().join("link")).unwrap();
    for name in ["fifo", "link"] {
        let reader = path.clone();
        let reader = std::thread::spawn(move || fs::read(reader).unwrap());
        write(&folder.path().join(name), b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
    }
    assert_eq!(names(folder.path()), ["fifo", "link"]);
    // The reader went away.
    let reader = std::thread::spawn(move || drop(File::open(path).unwrap()));
    let output = OutputFile::new(folder.path().join("fifo")).unwrap();
    reader.join().unwrap();
    let error = output.write(b"to nobody").unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn devices_are_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("/dev/full", &link).unwrap();
    for path in [Path::new("/dev/full"), &link] {
        let error = write(path, b"no room").unwrap_err();
        assert_eq!(kind(&error), Some(ErrorKind::StorageFull), "{error}");
        assert!(error.to_string().contains("cannot write"), "{error}");
    }
    assert!(is_link(&link));
    let full = fs::metadata("/dev/full").unwrap();
    assert!(!full.is_file() && !full.is_dir());
}

#[test]
fn a_file_that_is_already_open_is_added_to() {
    use std::os::fd::AsRawFd;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "first\n").unwrap();
    let open = File::options().append(true).open(&path).unwrap();
    let name = PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()));
    write(&name, b"second\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first\nsecond\n");
}

#[test]
fn outputs_and_inputs_that_are_one_file_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").unwrap();
    symlink("file", at("link")).unwrap();
    fs::hard_link(at("file"), at("hard")).unwrap();
    let new = |name: &str| OutputFile::new(at(name)).unwrap();
    assert!(new("file").is_same_as(&new("link")));
    assert!(new("absent").is_same_as(&new("./absent")));
    assert!(!new("file").is_same_as(&new("absent")));
    assert!(new("file").would_replace(&at("link")) && new("link").would_replace(&at("file")));
    assert!(new("file").would_replace(&at("hard")));
    assert!(!new("absent").would_replace(&at("file")));
    assert!(!new("file").would_replace(&at("absent")));
    let standard = OutputFile::standard_output();
    assert!(standard.is_standard_output() && standard.is_same_as(&OutputFile::standard_output()));
    assert!(!standard.is_same_as(&new("file")) && !standard.would_replace(&at("file")));
    assert!(OutputFile::new("/dev/stdout").unwrap().is_standard_output());
}

#[test]
fn a_pack_goes_through_a_link_and_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let writer = testing::writer(&testing::tiny(), &[0], 1);
    let bytes = writer.to_bytes().unwrap();
    fs::write(at("v1.mvit"), "old").unwrap();
    symlink("v1.mvit", at("model.mvit")).unwrap();
    writer.finish(&at("model.mvit")).unwrap();
    assert!(is_link(&at("model.mvit")));
    assert!(fs::read(at("v1.mvit")).unwrap() == bytes[..]);
    Pack::open(&at("model.mvit")).unwrap();
    let path = fifo(folder.path());
    let reader = std::thread::spawn(move || fs::read(path).unwrap());
    writer.finish(&at("fifo")).unwrap();
    assert!(reader.join().unwrap() == bytes[..]);
    assert_eq!(names(folder.path()), ["fifo", "model.mvit", "v1.mvit"]);
}

#[test]
fn a_file_that_cannot_be_mapped_is_no_pack() {
    // Linux gives some of its own files a size but no memory.
    let path = Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
    if !path.exists() {
        return;
    }
    let error = Pack::open(path).expect_err("not a pack");
    assert!(
        matches!(error.defect, Defect::Io { action: "map", .. }),
        "{error}"
    );
}
