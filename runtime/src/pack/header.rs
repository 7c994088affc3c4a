//! The header and the section table: field ranges named once, parse and emit side by side.

use super::layout::{SectionKind, section_bound};
use crate::aligned::ALIGN;
use crate::limits::MAX_LAYERS;

/// First bytes of every pack. Like PNG's: a byte with the high bit set, and both line endings, so that a
/// transfer as text is noticed.
pub(super) const MAGIC: [u8; 8] = *b"\x89MVIT\r\n\x1a";

/// Version of the format and of the arithmetic contract.
pub const VERSION: u32 = 3;

/// Bytes of the header.
pub(super) const HEADER_SIZE: usize = 64;

/// Bytes of one entry of the section table.
pub(super) const ENTRY_SIZE: usize = 48;

/// Value of an entry's layer field for a section that belongs to no layer.
pub(super) const NO_LAYER: u32 = u32::MAX;

/// Bounds on the sections of the smallest model and of the largest.
pub(super) const MIN_SECTIONS: usize = section_bound(1, false);
pub(super) const MAX_SECTIONS: usize = section_bound(MAX_LAYERS, true);

mod header_field {
    use std::ops::Range;
    pub(super) const MAGIC: Range<usize> = 0..8;
    pub(super) const VERSION: Range<usize> = 8..12;
    pub(super) const SECTION_COUNT: Range<usize> = 12..16;
    pub(super) const FILE_LENGTH: Range<usize> = 16..24;
    pub(super) const TABLE_OFFSET: Range<usize> = 24..32;
    pub(super) const RESERVED: Range<usize> = 32..56;
    pub(super) const CHECKSUM: Range<usize> = 56..64;
}

mod entry_field {
    use std::ops::Range;
    pub(super) const KIND: Range<usize> = 0..4;
    pub(super) const LAYER: Range<usize> = 4..8;
    pub(super) const DTYPE: Range<usize> = 8..12;
    pub(super) const ROWS: Range<usize> = 12..16;
    pub(super) const COLUMNS: Range<usize> = 16..20;
    pub(super) const RESERVED: Range<usize> = 20..24;
    pub(super) const OFFSET: Range<usize> = 24..32;
    pub(super) const LENGTH: Range<usize> = 32..40;
    pub(super) const CHECKSUM: Range<usize> = 40..48;
}

const _: () = {
    assert!(header_field::CHECKSUM.end == HEADER_SIZE);
    assert!(entry_field::CHECKSUM.end == ENTRY_SIZE);
    assert!(HEADER_SIZE.is_multiple_of(ALIGN));
    assert!(MAX_SECTIONS < u32::MAX as usize);
    assert!(MAX_LAYERS < NO_LAYER as usize);
};

fn get_u32(bytes: &[u8], range: std::ops::Range<usize>) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[range]);
    u32::from_le_bytes(word)
}

fn get_u64(bytes: &[u8], range: std::ops::Range<usize>) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[range]);
    u64::from_le_bytes(word)
}

/// The header's fields. The checksum covers the header up to itself and the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: u32,
    pub(super) section_count: u32,
    pub(super) file_length: u64,
    pub(super) table_offset: u64,
    pub(super) reserved: [u8; 24],
    pub(super) checksum: u64,
}

impl Header {
    /// Where the reserved bytes start.
    pub(super) const RESERVED_OFFSET: usize = header_field::RESERVED.start;

    pub(super) fn new(section_count: usize, file_length: u64) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            section_count: section_count as u32,
            file_length,
            table_offset: HEADER_SIZE as u64,
            reserved: [0; 24],
            checksum: 0,
        }
    }

    pub(super) fn parse(bytes: &[u8; HEADER_SIZE]) -> Self {
        use header_field as field;
        let (mut magic, mut reserved) = ([0; 8], [0; 24]);
        magic.copy_from_slice(&bytes[field::MAGIC]);
        reserved.copy_from_slice(&bytes[field::RESERVED]);
        Self {
            magic,
            version: get_u32(bytes, field::VERSION),
            section_count: get_u32(bytes, field::SECTION_COUNT),
            file_length: get_u64(bytes, field::FILE_LENGTH),
            table_offset: get_u64(bytes, field::TABLE_OFFSET),
            reserved,
            checksum: get_u64(bytes, field::CHECKSUM),
        }
    }

    pub(super) fn emit(&self) -> [u8; HEADER_SIZE] {
        use header_field as field;
        let mut bytes = [0; HEADER_SIZE];
        bytes[field::MAGIC].copy_from_slice(&self.magic);
        bytes[field::VERSION].copy_from_slice(&self.version.to_le_bytes());
        bytes[field::SECTION_COUNT].copy_from_slice(&self.section_count.to_le_bytes());
        bytes[field::FILE_LENGTH].copy_from_slice(&self.file_length.to_le_bytes());
        bytes[field::TABLE_OFFSET].copy_from_slice(&self.table_offset.to_le_bytes());
        bytes[field::RESERVED].copy_from_slice(&self.reserved);
        bytes[field::CHECKSUM].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// The checksum of a header and the section table after it.
    pub(super) fn checksum(header: &[u8; HEADER_SIZE], table: &[u8]) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        hasher.update(&header[..header_field::CHECKSUM.start]);
        hasher.update(table);
        hasher.digest()
    }
}

/// One entry of the section table, unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: u32,
    pub(super) layer: u32,
    pub(super) dtype: u32,
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) reserved: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) checksum: u64,
}

impl Entry {
    pub(super) fn new(kind: SectionKind, layer: Option<usize>, shape: (usize, usize)) -> Self {
        Self {
            kind: kind.code(),
            layer: layer.map_or(NO_LAYER, |layer| layer as u32),
            dtype: kind.dtype() as u32,
            rows: shape.0 as u32,
            columns: shape.1 as u32,
            reserved: 0,
            offset: 0,
            length: (shape.0 * shape.1 * kind.dtype().size()) as u64,
            checksum: 0,
        }
    }

    pub(super) fn parse(bytes: &[u8; ENTRY_SIZE]) -> Self {
        use entry_field as field;
        Self {
            kind: get_u32(bytes, field::KIND),
            layer: get_u32(bytes, field::LAYER),
            dtype: get_u32(bytes, field::DTYPE),
            rows: get_u32(bytes, field::ROWS),
            columns: get_u32(bytes, field::COLUMNS),
            reserved: get_u32(bytes, field::RESERVED),
            offset: get_u64(bytes, field::OFFSET),
            length: get_u64(bytes, field::LENGTH),
            checksum: get_u64(bytes, field::CHECKSUM),
        }
    }

    pub(super) fn emit(&self) -> [u8; ENTRY_SIZE] {
        use entry_field as field;
        let mut bytes = [0; ENTRY_SIZE];
        bytes[field::KIND].copy_from_slice(&self.kind.to_le_bytes());
        bytes[field::LAYER].copy_from_slice(&self.layer.to_le_bytes());
        bytes[field::DTYPE].copy_from_slice(&self.dtype.to_le_bytes());
        bytes[field::ROWS].copy_from_slice(&self.rows.to_le_bytes());
        bytes[field::COLUMNS].copy_from_slice(&self.columns.to_le_bytes());
        bytes[field::RESERVED].copy_from_slice(&self.reserved.to_le_bytes());
        bytes[field::OFFSET].copy_from_slice(&self.offset.to_le_bytes());
        bytes[field::LENGTH].copy_from_slice(&self.length.to_le_bytes());
        bytes[field::CHECKSUM].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emit_and_parse_are_inverse_on_all_bytes() {
        let bytes: [u8; HEADER_SIZE] = std::array::from_fn(|i| (i * 37 + 11) as u8);
        assert_eq!(Header::parse(&bytes).emit(), bytes);
        let bytes: [u8; ENTRY_SIZE] = std::array::from_fn(|i| (i * 41 + 5) as u8);
        assert_eq!(Entry::parse(&bytes).emit(), bytes);
    }
}
