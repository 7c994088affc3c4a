//! Every operation of replacing a file fails in turn. Whatever fails: the old file or the whole new one is
//! there, nothing else, and the error names the file and what was tried.

use super::error::OutputError;
use super::filesystem::{FileSystem, System};
use super::replace::{probe, replace};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

const OLD: &[u8] = b"old bytes";
const NEW: &[u8] = b"new bytes, more of them than the old file had";

/// The operating system's file system, with one fault.
struct Faulty {
    /// The operation that fails: its place in the order of all operations. It fails once.
    at: usize,
    with: Errno,
    /// Whether there are files without a name, and a way to name them.
    has_unnamed: bool,
    can_link: bool,
    /// Most bytes that one write takes.
    most: usize,
    /// A bit of this byte flips on its way back.
    flipped: Option<u64>,
    operations: RefCell<Vec<&'static str>>,
}

impl Faulty {
    fn new(at: usize, with: Errno) -> Self {
        Self {
            at,
            with,
            has_unnamed: true,
            can_link: true,
            most: usize::MAX,
            flipped: None,
            operations: RefCell::default(),
        }
    }

    /// Without a fault.
    fn sound() -> Self {
        Self::new(usize::MAX, Errno::IO)
    }

    fn begin(&self, operation: &'static str) -> io::Result<()> {
        let mut operations = self.operations.borrow_mut();
        let fails = operations.len() == self.at;
        operations.push(operation);
        if fails { Err(self.with.into()) } else { Ok(()) }
    }
}

impl FileSystem for Faulty {
    fn create_unnamed(&self, folder: &Path) -> io::Result<File> {
        self.begin("create_unnamed")?;
        if !self.has_unnamed {
            return Err(Errno::OPNOTSUPP.into());
        }
        System.create_unnamed(folder)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.begin("create")?;
        System.create(path)
    }

    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        self.begin("set_mode")?;
        System.set_mode(file, mode)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.begin("write")?;
        System.write(file, &bytes[..bytes.len().min(self.most)])
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.begin("sync")?;
        System.sync(file)
    }

    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.begin("read")?;
        let count = System.read(file, buffer, offset)?;
        if let Some(flipped) = self.flipped {
            buffer[(flipped - offset) as usize] ^= 1;
        }
        Ok(count)
    }

    fn link(&self, file: &File, path: &Path) -> io::Result<()> {
        self.begin("link")?;
        if !self.can_link {
            return Err(Errno::NOENT.into());
        }
        System.link(file, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin("rename")?;
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin("remove")?;
        System.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.begin("sync_folder")?;
        System.sync_folder(folder)
    }
}

/// Replaces `old`, if there is such a file, and checks all that must hold. The operations, and the error.
fn check(system: &Faulty, old: Option<&[u8]>) -> (Vec<&'static str>, Option<OutputError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    if let Some(old) = old {
        fs::write(&path, old).unwrap();
    }
    let result = replace(system, &path, NEW);
    let operations = system.operations.borrow().clone();
    let found = fs::read(&path).ok();
    // Once the name is taken, what is left is to sync the folder.
    let is_new = result.is_ok() || operations.last() == Some(&"sync_folder");
    let expected = if is_new { Some(NEW) } else { old };
    assert_eq!(found.as_deref(), expected, "{operations:?}");
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, usize::from(found.is_some()), "{operations:?}");
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(text.starts_with(&path.display().to_string()), "{text}");
    }
    (operations, result.err())
}

/// The ways a file is replaced: without a name, without a way to name it, under a hidden name.
fn ways() -> [impl Fn(Faulty) -> Faulty; 3] {
    [(true, true), (true, false), (false, true)].map(|(has_unnamed, can_link)| {
        move |system| Faulty {
            has_unnamed,
            can_link,
            ..system
        }
    })
}

/// What the error says was tried when `operation` failed.
fn action(operation: &str) -> &str {
    match operation {
        "create_unnamed" | "create" => "cannot create a file in its folder",
        "set_mode" => "cannot keep its permissions",
        "write" => "cannot write",
        "sync" => "cannot sync:",
        "read" => "cannot read back",
        "link" => "cannot ", // Its own name, or a hidden one.
        "rename" => "cannot replace it",
        "sync_folder" => "cannot sync its folder",
        other => unreachable!("{other} is there to clean up after the others"),
    }
}

#[test]
fn every_operation_fails_in_turn() {
    let mut failed = BTreeSet::new();
    for way in ways() {
        for old in [None, Some(OLD)] {
            let (all, error) = check(&way(Faulty::sound()), old);
            assert!(error.is_none(), "{error:?}");
            for (at, operation) in all.into_iter().enumerate() {
                failed.insert(operation);
                for with in [Errno::NOSPC, Errno::IO, Errno::DQUOT, Errno::ROFS] {
                    let (_, error) = check(&way(Faulty::new(at, with)), old);
                    let error = error.expect("the operation failed").to_string();
                    assert!(error.contains(action(operation)), "{operation}: {error}");
                    let reason = io::Error::from(with).to_string();
                    assert!(error.ends_with(&reason), "{operation}: {error}");
                }
            }
        }
    }
    assert_eq!(failed.len(), 9, "{failed:?}");
}

#[test]
fn what_a_signal_interrupts_is_repeated() {
    for way in ways() {
        for old in [None, Some(OLD)] {
            let (all, _) = check(&way(Faulty::sound()), old);
            for at in 0..all.len() {
                let (operations, error) = check(&way(Faulty::new(at, Errno::INTR)), old);
                assert!(error.is_none(), "{error:?}");
                assert_eq!(operations[at], operations[at + 1]);
            }
        }
    }
}

#[test]
fn short_writes_go_on_and_empty_ones_are_an_error() {
    for most in [1, 7, NEW.len()] {
        let system = Faulty {
            most,
            ..Faulty::sound()
        };
        let (operations, error) = check(&system, Some(OLD));
        assert!(error.is_none(), "{error:?}");
        let writes = operations.iter().filter(|&&name| name == "write").count();
        assert_eq!(writes, NEW.len().div_ceil(most));
    }
    let system = Faulty {
        most: 0,
        ..Faulty::sound()
    };
    let (_, error) = check(&system, Some(OLD));
    let error = error.expect("nothing is ever written").to_string();
    assert!(error.contains("cannot write"), "{error}");
}

#[test]
fn the_disk_may_fill_up_after_any_byte() {
    for at in 0..=NEW.len() {
        let system = Faulty {
            most: 1,
            ..Faulty::new(2 + at, Errno::NOSPC)
        };
        let (operations, error) = check(&system, Some(OLD));
        let wrote = operations.iter().filter(|&&name| name == "write").count();
        assert_eq!(wrote, (at + 1).min(NEW.len()));
        assert!(error.is_some());
    }
}

#[test]
fn a_byte_that_changes_on_the_disk_is_found() {
    let system = Faulty {
        flipped: Some(11),
        ..Faulty::sound()
    };
    let (_, error) = check(&system, Some(OLD));
    assert!(
        matches!(error, Some(OutputError::ReadBack { offset: 11, .. })),
        "{error:?}"
    );
}

#[test]
fn a_folder_that_takes_no_files_is_found_before_the_work() {
    for way in ways() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        probe(&way(Faulty::sound()), &path).unwrap();
        for at in 0..2 {
            let system = way(Faulty::new(at, Errno::NOSPC));
            let result = probe(&system, &path);
            let reached = system.operations.borrow().get(at).copied();
            let fails = matches!(reached, Some("create" | "create_unnamed"));
            assert_eq!(result.is_err(), fails, "{reached:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn names_of_killed_processes_are_stepped_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, OLD).unwrap();
    let left = |attempt| {
        let name = format!(".mergevit-{}-{attempt}", std::process::id());
        folder.path().join(name)
    };
    for attempt in 0..3 {
        fs::write(left(attempt), "of another").unwrap();
    }
    for way in ways() {
        replace(&way(Faulty::sound()), &path, NEW).unwrap();
        assert_eq!(fs::read(&path).unwrap(), NEW);
    }
    assert_eq!(fs::read(left(2)).unwrap(), b"of another");
    assert!(!left(3).exists());
}
