//! Why bytes are not a pack.

use super::header::MAGIC;
use super::layout::SectionKind;
use super::origin::PackChanged;
use crate::config::ConfigError;
use std::path::PathBuf;
use thiserror::Error;

/// A file or a byte slice that is not a valid pack.
#[derive(Debug, Error)]
#[error("{}: {defect}", self.name())]
pub struct PackError {
    /// The file, or `None` for bytes in memory.
    pub path: Option<PathBuf>,
    /// What is wrong.
    #[source]
    pub defect: Defect,
}

impl PackError {
    fn name(&self) -> std::path::Display<'_> {
        self.path
            .as_deref()
            .unwrap_or("pack in memory".as_ref())
            .display()
    }
}

/// A section as errors name it: kind, and layer where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionName {
    /// What it is.
    pub kind: SectionKind,
    /// Layer, if it belongs to one.
    pub layer: Option<usize>,
}

impl std::fmt::Display for SectionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "{} of layer {layer}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// What is wrong with a pack.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Defect {
    /// The operating system refused.
    #[error("cannot {action}: {source}")]
    Io {
        /// `open`, `map`, ...
        action: &'static str,
        /// Its reason.
        source: std::io::Error,
    },
    /// A directory.
    #[error("a directory, not a regular file: name the .mvit file in it")]
    Directory,
    /// A device or a pipe.
    #[error("a device or a pipe, not a regular file, which a memory map needs: copy it to one")]
    NotAFile,
    /// Written to while it was read.
    #[error("{0}")]
    Changed(#[source] PackChanged),
    /// Bytes in memory that do not start at a 64-byte boundary.
    #[error("bytes at an address that is not a multiple of 64")]
    Alignment,
    /// Shorter than the header.
    #[error(
        "{}{found} bytes, expected at least the header's 64: copy or download it again",
        if *found == 0 { "the file is empty: " } else { "the file is too short: " }
    )]
    NoHeader {
        /// Length of the file.
        found: usize,
    },
    /// Some other kind of file, of which nothing more is known.
    #[error("not a .mvit pack: magic {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// Some other kind of file that is known.
    #[error("not a .mvit pack but {found}: {advice}")]
    Foreign {
        /// What it is.
        found: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// Shorter than its header says.
    #[error(
        "the file ends after {found} of {expected} bytes: it was cut short when it was copied or downloaded; copy \
         it again"
    )]
    Truncated {
        /// Bytes of the file.
        found: u64,
        /// Bytes that the header says it has.
        expected: u64,
    },
    /// Longer than its header says.
    #[error(
        "the file has {found} bytes, and its header says {expected}: something was appended; copy it again"
    )]
    Appended {
        /// Bytes of the file.
        found: u64,
        /// Bytes that the header says it has.
        expected: u64,
    },
    /// Written for another version of this program.
    #[error(
        "format version {found}, expected {expected}: made by {} mergevit; {}",
        if found > expected { "a newer" } else { "an older" },
        if found > expected { "update this one, or make the pack again with its own mergevit-calibrate" }
        else { "make it again from the checkpoint: mergevit-calibrate pack --help" }
    )]
    Version {
        /// Version of the file.
        found: u32,
        /// The version this program reads.
        expected: u32,
    },
    /// A field of the header is out of its range.
    #[error("header field {field}: {found}, expected {expected}")]
    Header {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it must be, or the nearest value allowed.
        expected: u64,
    },
    /// A reserved or padding byte that is not zero.
    #[error("byte {offset} is {found:#04x}, expected zero padding")]
    Padding {
        /// Offset in the file.
        offset: usize,
        /// Its value.
        found: u8,
    },
    /// The header or the section table was damaged.
    #[error(
        "damaged: header checksum {found:016x}, expected {expected:016x}; copy it again, or make it again"
    )]
    HeaderChecksum {
        /// Of the bytes.
        found: u64,
        /// As the header says.
        expected: u64,
    },
    /// A section's bytes were damaged.
    #[error(
        "damaged in section {section}: checksum {found:016x}, expected {expected:016x}; copy it again, or make it again"
    )]
    Checksum {
        /// Which section.
        section: SectionName,
        /// Of the bytes.
        found: u64,
        /// As the table says.
        expected: u64,
    },
    /// An entry of the section table has a field that the layout does not allow.
    #[error("section {index}: {field} {found}, expected {expected}")]
    Entry {
        /// Index in the table.
        index: usize,
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it must be, or the nearest value allowed.
        expected: u64,
    },
    /// A section of an unknown kind, or another one than the layout has here.
    #[error("section {index}: kind {found}, expected {expected}")]
    SectionKind {
        /// Index in the table.
        index: usize,
        /// Code of its kind, with its layer field.
        found: UnknownSection,
        /// The section that the configuration puts here.
        expected: SectionName,
    },
    /// The metadata is not the JSON it must be.
    #[error("metadata: {0}")]
    Json(#[source] serde_json::Error),
    /// The metadata describes an impossible model.
    #[error("metadata: {0}")]
    Config(#[source] ConfigError),
    /// An i8 weight of -128, which the arithmetic excludes.
    #[error("section {section}: element ({row}, {column}) is -128, expected -127 to 127")]
    Weight {
        /// Which section.
        section: SectionName,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A patch weight beyond the patch's last pixel that is not zero.
    #[error(
        "section {section}: element ({row}, {column}) is {found}, expected zero beyond the patch"
    )]
    PatchPadding {
        /// Which section.
        section: SectionName,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// Its value.
        found: i8,
    },
    /// An f32 that is not finite, too large, or not what its tensor needs.
    #[error("section {section}: element {index} is {found}, expected {expected}")]
    Value {
        /// Which section.
        section: SectionName,
        /// Index of the element, row-major.
        index: usize,
        /// Its value.
        found: f32,
        /// What it must be.
        expected: &'static str,
    },
}

/// Kind and layer fields of an entry as they are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSection {
    /// The kind field.
    pub kind: u32,
    /// The layer field; `u32::MAX` for none.
    pub layer: u32,
}

impl std::fmt::Display for UnknownSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layer = (self.layer != super::header::NO_LAYER).then_some(self.layer as usize);
        match SectionKind::from_code(self.kind) {
            Some(kind) => SectionName { kind, layer }.fmt(f),
            None => write!(f, "{} (unknown)", self.kind),
        }
    }
}

/// No schedule of that name in the pack, and no cascade.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("schedule {name:?}: unknown, expected one of {}", known.join(", "))]
pub struct UnknownSchedule {
    /// The name given.
    pub name: String,
    /// The names there are.
    pub known: Vec<String>,
}
