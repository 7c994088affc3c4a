//! For tests: a damaged pack whose checksums are right, so that the checks behind them are reached.

use super::header::{ENTRY_SIZE, Entry, HEADER_SIZE, Header};

/// Recomputes the checksums of sections that lie inside the bytes, then the header's.
pub(crate) fn reseal(bytes: &mut [u8]) {
    let Some(&first) = bytes.first_chunk::<HEADER_SIZE>() else {
        return;
    };
    let mut header = Header::parse(&first);
    let table = HEADER_SIZE..HEADER_SIZE.saturating_add(header.section_count as usize * ENTRY_SIZE);
    if bytes.get(table.clone()).is_none() {
        return;
    }
    for start in table.clone().step_by(ENTRY_SIZE) {
        let mut raw = [0; ENTRY_SIZE];
        raw.copy_from_slice(&bytes[start..][..ENTRY_SIZE]);
        let mut entry = Entry::parse(&raw);
        let (offset, length) = (entry.offset as usize, entry.length as usize);
        if let Some(section) = bytes.get(offset..).and_then(|rest| rest.get(..length)) {
            entry.checksum = xxhash_rust::xxh3::xxh3_64(section);
        }
        bytes[start..][..ENTRY_SIZE].copy_from_slice(&entry.emit());
    }
    header.checksum = Header::checksum(&first, &bytes[table]);
    bytes[..HEADER_SIZE].copy_from_slice(&header.emit());
}
