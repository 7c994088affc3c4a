//! What to do about a file that was taken for a pack.

use super::error::Defect;
use crate::foreign::{self, Kind};

const CALIBRATE: &str = "`mergevit-calibrate pack` makes packs, of safetensors";

/// The defect that names what the file is, if its first bytes tell. They are not a whole pack's.
pub(super) fn recognize(bytes: &[u8]) -> Option<Defect> {
    let foreign = foreign::recognize(bytes)?;
    let (found, advice) = match foreign.kind {
        Kind::Pack => (
            "a pack whose line endings were converted, as a transfer in text mode does",
            "copy it in binary mode",
        ),
        Kind::Safetensors => (
            foreign.name,
            "`mergevit-calibrate pack --checkpoint` makes a pack of it",
        ),
        _ => (foreign.name, foreign.advice(CALIBRATE)),
    };
    Some(Defect::Foreign { found, advice })
}
