//! Images at model resolution that are kept on disk, so that decoding a large set is paid for once.
//!
//! Each image is a file of its own, named by what its pixels depend on: path, size and time of the original, and the
//! preprocessing. So nothing is ever stale, several models and processes share a folder, and an interrupted process leaves
//! at worst a file that nobody reads.

use mergevit_runtime::image::has_known_extension;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Marks a folder as one that backups leave out (bford.info/cachedir).
const TAG: (&str, &str) = (
    "CACHEDIR.TAG",
    "Signature: 8a477f597d28d172789f06886806bc55\n# Images at model resolution, made by mergevit-calibrate.\n",
);

/// What an unfinished file's name begins with.
const UNFINISHED: &str = "unfinished-";

/// Age after which an unfinished file is nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Bytes of the checksum behind the pixels.
const CHECKSUM: usize = 8;

/// Whatever changes pixels beside the preprocessing: the decoders.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A folder of pixels.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    /// Told once that it cannot be written.
    is_warned: AtomicBool,
    unfinished: AtomicU64,
}

/// What an image's pixels depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Key {
    /// Of the image at `path`, preprocessed as `preprocessing` says; none if it cannot be looked at.
    pub(super) fn of(path: &Path, preprocessing: &str) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let metadata = fs::metadata(&path).ok()?;
        let modified = modified(&metadata)?;
        let mut text = path.as_os_str().as_encoded_bytes().to_vec();
        let facts = [
            metadata.len().to_string(),
            modified,
            VERSION.into(),
            preprocessing.into(),
        ];
        for fact in facts {
            text.push(0);
            text.extend_from_slice(fact.as_bytes());
        }
        Some(Self(xxh3_128(&text)))
    }
}

/// Nanoseconds since 1970.
fn modified(metadata: &Metadata) -> Option<String> {
    let since = metadata
        .modified()
        .ok()?
        .duration_since(SystemTime::UNIX_EPOCH);
    Some(since.ok()?.as_nanos().to_string())
}

impl Cache {
    /// Uses `folder`, which is made if it is not there. Removes what interrupted processes have left in it.
    ///
    /// # Errors
    /// A folder that cannot be made or written to, or one with other images in it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = SystemTime::now();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if has_known_extension(&entry.path()) {
                return Err(io::Error::other(format!(
                    "{} is in it: expected an empty folder, or one that was a cache before",
                    entry.file_name().to_string_lossy()
                )));
            }
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let age = entry.metadata()?.modified().ok();
                let age = age.and_then(|then| now.duration_since(then).ok());
                if age.is_some_and(|age| age > ABANDONED) {
                    // Another process may have been faster.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        let (tag, text) = TAG;
        fs::write(folder.join(tag), text)?;
        Ok(Self {
            folder: folder.into(),
            is_warned: AtomicBool::new(false),
            unfinished: AtomicU64::new(0),
        })
    }

    /// In folders of 1/256 each, because file systems and people are slow with 50,000 files in one.
    fn path(&self, Key(key): Key) -> PathBuf {
        let name = format!("{key:032x}");
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Fills `pixels`, if they are there, whole and undamaged.
    pub(super) fn read(&self, key: Key, pixels: &mut [u8]) -> bool {
        let Ok(bytes) = fs::read(self.path(key)) else {
            return false;
        };
        let Some((found, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else {
            return false;
        };
        let is_whole = found.len() == pixels.len() && xxh3_64(found).to_le_bytes() == *checksum;
        if is_whole {
            pixels.copy_from_slice(found);
        }
        is_whole
    }

    /// Keeps `pixels`. What cannot be written is not kept; the first time, a warning says so.
    pub(super) fn write(&self, key: Key, pixels: &[u8]) {
        if let Err(error) = self.try_write(key, pixels)
            && !self.is_warned.swap(true, Ordering::Relaxed)
        {
            log::warn!("{}: images are not kept: {error}", self.folder.display());
        }
    }

    fn try_write(&self, key: Key, pixels: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let name = format!("{UNFINISHED}{}-{number}", std::process::id());
        let unfinished = self.folder.join(name);
        let mut file = File::create(&unfinished)?;
        let written = file
            .write_all(pixels)
            .and_then(|()| file.write_all(&xxh3_64(pixels).to_le_bytes()))
            .and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("original");
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn pixels_are_found_again_until_anything_changes() {
        let folder = tempfile::tempdir().unwrap();
        let at = original(folder.path(), "one");
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let key = Key::of(&at, "small").unwrap();
        let mut pixels = [0; 4];
        assert!(!cache.read(key, &mut pixels));
        cache.write(key, &[1, 2, 3, 4]);
        assert!(cache.read(key, &mut pixels));
        assert_eq!(pixels, [1, 2, 3, 4]);
        assert_ne!(Key::of(&at, "large"), Some(key));
        original(folder.path(), "other");
        assert_ne!(Key::of(&at, "small"), Some(key));
        assert_eq!(Key::of(&folder.path().join("nowhere"), "small"), None);
    }

    #[test]
    fn damage_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = original(folder.path(), "one");
        let cache = Cache::open(folder.path()).unwrap();
        let key = Key::of(&at, "small").unwrap();
        cache.write(key, &[1, 2, 3, 4]);
        let path = cache.path(key);
        let whole = fs::read(&path).unwrap();
        for bytes in [&whole[..0], &whole[..7], &whole[1..], &[0; 12]] {
            fs::write(&path, bytes).unwrap();
            let mut pixels = [9; 4];
            assert!(!cache.read(key, &mut pixels));
            assert_eq!(pixels, [9; 4]);
        }
        assert!(!cache.read(key, &mut [0; 5]), "another size");
    }

    #[test]
    fn what_was_left_unfinished_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (old, new) = (at("unfinished-1-0"), at("unfinished-1-1"));
        fs::write(&old, "half").unwrap();
        fs::write(&new, "half").unwrap();
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        Cache::open(folder.path()).unwrap();
        assert_eq!((old.exists(), new.exists()), (false, true));
    }

    #[test]
    fn a_folder_of_images_is_no_cache() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cat.jpg"), "").unwrap();
        let error = Cache::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("cat.jpg is in it"), "{error}");
    }
}
