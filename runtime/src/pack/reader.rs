//! Validation: from bytes to sections that can be trusted. Every byte of the file is accounted for.
//!
//! The configuration determines kind, order, shape, offset and length of every section, so the reader
//! walks the expected layout and compares. What overlaps, is missing, comes twice or leaves a gap differs
//! from it somewhere.

use super::error::{Defect, SectionName, UnknownSection};
use super::foreign;
use super::header::{
    ENTRY_SIZE, Entry, HEADER_SIZE, Header, MAGIC, MAX_SECTIONS, MIN_SECTIONS, VERSION,
};
use super::kind::DType;
use super::layout::{Layout, SectionKind};
use super::values;
use crate::aligned::ALIGN;
use crate::config::Metadata;
use crate::limits::MAX_METADATA;
use std::cmp::Ordering;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// One section of a valid pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is.
    pub kind: SectionKind,
    /// Layer, if it belongs to one.
    pub layer: Option<usize>,
    /// Element type.
    pub dtype: DType,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// First byte in the file, a multiple of 64.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
    /// XXH3-64 of the bytes.
    pub checksum: u64,
}

impl Section {
    /// Its bytes in the file.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.length
    }

    fn name(&self) -> SectionName {
        SectionName {
            kind: self.kind,
            layer: self.layer,
        }
    }
}

/// What a valid pack holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) metadata: Metadata,
    pub(super) layout: Layout,
    pub(super) sections: Box<[Section]>,
}

/// Checks everything.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, Defect> {
    if bytes.as_ptr().align_offset(ALIGN) != 0 {
        return Err(Defect::Alignment);
    }
    let count = read_header(bytes)?;
    let mut walk = Walk {
        bytes,
        index: 0,
        cursor: HEADER_SIZE + count * ENTRY_SIZE,
    };
    let first = walk.metadata()?;
    walk.check_sum(&first)?;
    let text = &bytes[first.range()];
    let metadata: Metadata = serde_json::from_slice(text).map_err(Defect::Json)?;
    metadata.validate().map_err(Defect::Config)?;
    let layout = Layout::new(&metadata.model);
    header_field("section count", count as u64, layout.sections() as u64)?;

    let mut sections = Vec::with_capacity(count);
    sections.push(first);
    for (kind, layer) in layout.tensors() {
        let name = SectionName {
            kind: SectionKind::Tensor(kind),
            layer,
        };
        sections.push(walk.section(name, kind.shape(&metadata.model))?);
    }
    header_field("file length", bytes.len() as u64, walk.cursor as u64)?;
    for section in &sections[1..] {
        walk.check_sum(section)?;
        values::check(section.name(), &metadata.model, &bytes[section.range()])?;
    }
    Ok(Contents {
        metadata,
        layout,
        sections: sections.into(),
    })
}

fn header_field(field: &'static str, found: u64, expected: u64) -> Result<(), Defect> {
    if found == expected {
        Ok(())
    } else {
        Err(Defect::Header {
            field,
            found,
            expected,
        })
    }
}

/// Checks the header and the table's checksum. Returns the number of sections.
fn read_header(bytes: &[u8]) -> Result<usize, Defect> {
    let Some(first) = bytes.first_chunk::<HEADER_SIZE>() else {
        return Err(Defect::NoHeader { found: bytes.len() });
    };
    let header = Header::parse(first);
    if header.magic != MAGIC {
        let unknown = Defect::Magic {
            found: header.magic,
        };
        return Err(foreign::recognize(bytes).unwrap_or(unknown));
    }
    if header.version != VERSION {
        return Err(Defect::Version {
            found: header.version,
            expected: VERSION,
        });
    }
    let (found, expected) = (bytes.len() as u64, header.file_length);
    match found.cmp(&expected) {
        Ordering::Less => return Err(Defect::Truncated { found, expected }),
        Ordering::Greater => return Err(Defect::Appended { found, expected }),
        Ordering::Equal => {}
    }
    header_field("table offset", header.table_offset, HEADER_SIZE as u64)?;
    let count = header.section_count as usize;
    let nearest = count.clamp(MIN_SECTIONS, MAX_SECTIONS);
    header_field("section count", count as u64, nearest as u64)?;
    let Some(table) = bytes[HEADER_SIZE..].get(..count * ENTRY_SIZE) else {
        let most = (bytes.len() - HEADER_SIZE) / ENTRY_SIZE;
        return header_field("section count", count as u64, most as u64).map(|()| count);
    };
    let checksum = Header::checksum(first, table);
    if checksum != header.checksum {
        return Err(Defect::HeaderChecksum {
            found: checksum,
            expected: header.checksum,
        });
    }
    if let Some(at) = header.reserved.iter().position(|&byte| byte != 0) {
        return Err(Defect::Padding {
            offset: Header::RESERVED_OFFSET + at,
            found: header.reserved[at],
        });
    }
    Ok(count)
}

/// A walk over the sections in file order.
struct Walk<'a> {
    bytes: &'a [u8],
    /// Index of the next section.
    index: usize,
    /// End of the previous section.
    cursor: usize,
}

impl Walk<'_> {
    fn entry(&self) -> Entry {
        let start = HEADER_SIZE + self.index * ENTRY_SIZE;
        let mut bytes = [0; ENTRY_SIZE];
        bytes.copy_from_slice(&self.bytes[start..][..ENTRY_SIZE]);
        Entry::parse(&bytes)
    }

    fn field(&self, field: &'static str, found: u64, expected: u64) -> Result<(), Defect> {
        if found == expected {
            Ok(())
        } else {
            Err(Defect::Entry {
                index: self.index,
                field,
                found,
                expected,
            })
        }
    }

    /// The first section: one row of text, as long as it says.
    fn metadata(&mut self) -> Result<Section, Defect> {
        let entry = self.entry();
        let most = MAX_METADATA.min(self.bytes.len()) as u64;
        self.field("length", entry.length, entry.length.min(most))?;
        let name = SectionName {
            kind: SectionKind::Metadata,
            layer: None,
        };
        self.section(name, (1, entry.length as usize))
    }

    /// The next section, which must be `name` with `shape` rows and columns.
    fn section(&mut self, name: SectionName, shape: (usize, usize)) -> Result<Section, Defect> {
        let found = self.entry();
        let start = self.cursor.next_multiple_of(ALIGN);
        let expected = Entry {
            offset: start as u64,
            ..Entry::new(name.kind, name.layer, shape)
        };
        if (found.kind, found.layer) != (expected.kind, expected.layer) {
            return Err(Defect::SectionKind {
                index: self.index,
                found: UnknownSection {
                    kind: found.kind,
                    layer: found.layer,
                },
                expected: name,
            });
        }
        self.field("dtype", found.dtype.into(), expected.dtype.into())?;
        self.field("rows", found.rows.into(), expected.rows.into())?;
        self.field("columns", found.columns.into(), expected.columns.into())?;
        self.field("reserved", found.reserved.into(), 0)?;
        self.field("offset", found.offset, expected.offset)?;
        self.field("length", found.length, expected.length)?;
        let length = expected.length as usize;
        let end = start + length;
        let most = end.min(self.bytes.len());
        self.field("end", end as u64, most as u64)?;
        self.check_padding(self.cursor..start)?;
        self.cursor = end;
        self.index += 1;
        Ok(Section {
            kind: name.kind,
            layer: name.layer,
            dtype: name.kind.dtype(),
            rows: shape.0,
            columns: shape.1,
            offset: start,
            length,
            checksum: found.checksum,
        })
    }

    fn check_padding(&self, range: Range<usize>) -> Result<(), Defect> {
        let start = range.start;
        let padding = &self.bytes[range];
        match padding.iter().position(|&byte| byte != 0) {
            Some(at) => Err(Defect::Padding {
                offset: start + at,
                found: padding[at],
            }),
            None => Ok(()),
        }
    }

    fn check_sum(&self, section: &Section) -> Result<(), Defect> {
        let found = xxh3_64(&self.bytes[section.range()]);
        if found == section.checksum {
            Ok(())
        } else {
            Err(Defect::Checksum {
                section: section.name(),
                found,
                expected: section.checksum,
            })
        }
    }
}
