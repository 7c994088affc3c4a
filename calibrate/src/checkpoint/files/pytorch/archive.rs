//! The zip archives that `torch.save` writes: every record is stored as it is, one after the other.
//!
//! `caffe2/serialize/inline_container.h` in PyTorch describes them. All records lie in one folder of any name:
//! `data.pkl` is the pickle, `data/KEY` are the storages, `byteorder` is `little` or `big`.

use crate::checkpoint::error::Defect;
use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord, ZipSliceArchive};
use std::collections::BTreeMap;

/// What every archive starts with.
const START: &[u8] = b"PK\x03\x04";

const PICKLE: &str = "data.pkl";

const EXPORT: &str = "export its tensors in Python: import torch; \
                      torch.save(torch.jit.load('OLD').state_dict(), 'NEW')";
const NUMPY: &str = "if these are weights of Google's JAX models, convert them with timm in Python: \
                     m = timm.create_model('NAME', checkpoint_path='OLD'); \
                     torch.save(m.state_dict(), 'pytorch_model.bin')";
const SAVE: &str =
    "save the model's tensors in Python: torch.save(model.state_dict(), 'pytorch_model.bin')";

/// A record and its check sum.
#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    data: &'a [u8],
    crc: u32,
    /// Whether the data are the record's, neither compressed nor encrypted.
    is_stored: bool,
}

/// The records of a file, by their names after the folder's.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    records: BTreeMap<String, Record<'a>>,
}

/// Whether a file begins as an archive does.
pub(in crate::checkpoint::files) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(START)
}

impl<'a> Archive<'a> {
    /// Finds the records: every one once, and where no other is.
    ///
    /// # Errors
    /// [`Defect::Archive`] for a damaged archive, [`Defect::Foreign`] for one of another program.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Defect> {
        let damaged = |error: rawzip::Error| Defect::Archive(error.to_string());
        let zip = ZipArchive::from_slice(bytes).map_err(damaged)?;
        let mut records = BTreeMap::new();
        let mut ranges = Vec::new();
        for entry in zip.entries() {
            let entry = entry.map_err(damaged)?;
            let Ok(name) = std::str::from_utf8(entry.file_path().as_bytes()).map(str::to_owned)
            else {
                return Err(Defect::Archive("the name of a record is no text".into()));
            };
            let (record, end) = record(bytes, &zip, &entry, &name)?;
            ranges.push((entry.local_header_offset(), end));
            if records.insert(name.clone(), record).is_some() {
                return Err(Defect::Archive(format!("two records are named {name}")));
            }
        }
        if records.len() as u64 != zip.entries_hint() {
            return Err(Defect::Archive("its directory is damaged".into()));
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[1].0 < pair[0].1) {
            return Err(Defect::Archive("its records overlap".into()));
        }
        Self::in_folder(records)
    }

    /// The records beside the pickle.
    fn in_folder(records: BTreeMap<String, Record<'a>>) -> Result<Self, Defect> {
        let folder = |name: &str| {
            let folder = name.strip_suffix(PICKLE)?;
            let is_folder = folder.find('/').is_some_and(|at| at + 1 == folder.len());
            is_folder.then(|| folder.to_owned())
        };
        let mut folders = records.keys().filter_map(|name| folder(name));
        let Some(folder) = folders.next() else {
            return Err(foreign(&records));
        };
        if let Some(other) = folders.next() {
            return Err(Defect::Archive(format!(
                "it holds two models, in {folder} and {other}"
            )));
        }
        let inside = |(name, record): (String, Record<'a>)| {
            Some((name.strip_prefix(&folder)?.to_owned(), record))
        };
        let records: BTreeMap<_, _> = records.into_iter().filter_map(inside).collect();
        if records.contains_key("constants.pkl") {
            return Err(Defect::Foreign {
                found: "a TorchScript program",
                advice: EXPORT,
            });
        }
        let archive = Self { records };
        match archive.find("byteorder")? {
            None | Some(b"little") => Ok(archive),
            Some(_) => Err(Defect::Archive("its numbers are not little-endian".into())),
        }
    }

    /// The pickle.
    ///
    /// # Errors
    /// [`Defect::Archive`].
    pub(super) fn pickle(&self) -> Result<&'a [u8], Defect> {
        self.get(PICKLE)
    }

    /// A storage.
    ///
    /// # Errors
    /// [`Defect::Archive`] if it is not there, or damaged.
    pub(super) fn storage(&self, key: &str) -> Result<&'a [u8], Defect> {
        self.get(&format!("data/{key}"))
    }

    fn get(&self, name: &str) -> Result<&'a [u8], Defect> {
        let data = self.find(name)?;
        data.ok_or_else(|| Defect::Archive(format!("it has no record {}", name.escape_debug())))
    }

    fn find(&self, name: &str) -> Result<Option<&'a [u8]>, Defect> {
        let Some(record) = self.records.get(name) else {
            return Ok(None);
        };
        if !record.is_stored {
            return Err(Defect::Archive(format!(
                "record {name} is compressed or encrypted, which PyTorch never does"
            )));
        }
        if rawzip::crc32(record.data) != record.crc {
            return Err(Defect::Archive(format!(
                "the check sum of record {name} is wrong: the file is damaged, or was saved with \
                 torch.serialization.set_crc32_options(False)"
            )));
        }
        Ok(Some(record.data))
    }
}

/// The record of an entry, and where in the file it ends.
fn record<'a>(
    bytes: &'a [u8],
    zip: &ZipSliceArchive<&'a [u8]>,
    entry: &ZipFileHeaderRecord<'_>,
    name: &str,
) -> Result<(Record<'a>, u64), Defect> {
    let fail = |what: &str| Defect::Archive(format!("record {name} {what}"));
    let found = zip.get_entry(entry.wayfinder());
    let found = found.map_err(|error| fail(&format!("cannot be read: {error}")))?;
    let (start, end) = found.compressed_data_range();
    let is_stored = entry.compression_method() == CompressionMethod::STORE
        && !entry.flags().is_encrypted()
        && end - start == found.claim_verifier().uncompressed_size;
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let data = range.and_then(|(start, end)| bytes.get(start..end));
    let data = data.ok_or_else(|| fail("is not in the file"))?;
    let crc = found.claim_verifier().crc;
    Ok((
        Record {
            data,
            crc,
            is_stored,
        },
        end,
    ))
}

/// What an archive without a pickle is.
fn foreign(records: &BTreeMap<String, Record<'_>>) -> Defect {
    let has = |end: &str| records.keys().any(|name| name.ends_with(end));
    let (found, advice) = if has(".npy") {
        ("a NumPy archive", NUMPY)
    } else if has(".weights.h5") {
        ("a Keras model", SAVE)
    } else {
        ("a zip archive that torch.save did not write", SAVE)
    };
    Defect::Foreign { found, advice }
}

#[cfg(any(test, fuzzing))]
impl<'a> Archive<'a> {
    /// An archive of these records.
    pub(super) fn of(records: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let record = |data| Record {
            data,
            crc: rawzip::crc32(data),
            is_stored: true,
        };
        let records = records.into_iter();
        Self {
            records: records
                .map(|(name, data)| (name.into(), record(data)))
                .collect(),
        }
    }
}
