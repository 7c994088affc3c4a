//! Small files that the kernel writes anew each time they are read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of the longest number with its line end: 20 digits and a sign.
const LONGEST: usize = 22;

/// A file that holds one whole number, kept open: each reading is one `pread`, and no memory.
#[derive(Debug)]
pub(super) struct Number(File);

impl Number {
    /// The file at `path`, if it is there and may be read, whatever it holds.
    pub(super) fn open(path: &Path) -> Option<Self> {
        File::open(path).ok().map(Self)
    }

    /// What the file holds now; `None` if that is no number, or if the device does not answer.
    pub(super) fn read(&self) -> Option<i64> {
        // A byte more than any number has: a file that fills it holds something else.
        let mut bytes = [0; LONGEST + 1];
        let length = self.0.read_at(&mut bytes, 0).ok()?;
        let text = std::str::from_utf8(bytes[..length].trim_ascii()).ok()?;
        text.parse().ok().filter(|_| length <= LONGEST)
    }

    /// What the file holds now, if it is not negative.
    pub(super) fn count(&self) -> Option<u64> {
        self.read()?.try_into().ok()
    }
}

/// What a folder holds, sorted by name; nothing if it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// A file's text without surrounding white space and the zero byte that ends strings in a device tree.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_end_matches('\0').trim();
    (!text.is_empty()).then(|| text.into())
}

/// The number that a file holds, if it is one.
pub(super) fn number(path: &Path) -> Option<u64> {
    Number::open(path)?.count()
}

/// Whether a file's name, without its folder, fits.
pub(super) fn is_named(path: &Path, fits: impl Fn(&str) -> bool) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("value");
        let read = |text: &[u8]| {
            fs::write(&path, text).expect("a file");
            Number::open(&path).expect("the file is there").read()
        };
        assert_eq!(read(b"45500\n"), Some(45_500));
        assert_eq!(read(b"-256000"), Some(-256_000));
        assert_eq!(read(b"-9223372036854775808\n"), Some(i64::MIN));
        for garbage in [
            &b""[..],
            b"\n",
            b"12 34\n",
            b"0x10",
            b"1.5",
            b"\xff\xfe",
            b"9223372036854775808\n",
            b"1                                  ",
        ] {
            assert_eq!(read(garbage), None, "{garbage:?}");
        }
        assert!(Number::open(&folder.path().join("none")).is_none());
        // A folder opens, and cannot be read.
        assert_eq!(Number::open(folder.path()).and_then(|f| f.read()), None);
    }

    #[test]
    fn a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("value");
        fs::write(&path, "1000\n").expect("a file");
        let number = Number::open(&path).expect("the file is there");
        assert_eq!(number.count(), Some(1000));
        fs::write(&path, "-7\n").expect("a file");
        assert_eq!((number.read(), number.count()), (Some(-7), None));
    }
}
