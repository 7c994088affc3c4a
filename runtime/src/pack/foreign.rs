//! What a file is that is no pack: told by its first bytes, for a message that helps.

/// A kind of file that is taken for a pack.
struct Kind {
    name: &'static str,
    first: &'static [u8],
}

const fn kind(name: &'static str, first: &'static [u8]) -> Kind {
    Kind { name, first }
}

const CHECKPOINT: &str = "a PyTorch checkpoint or another ZIP archive: `mergevit-calibrate pack` makes packs, of safetensors";
const COMPRESSED: &str = "a compressed file: decompress it first";
const PAGE: &str =
    "a web page, so the download got a page in the file's place: download the file itself";
const TEXT_TRANSFER: &str = "a pack whose line endings were converted, as a transfer in text mode does: copy it in binary mode";

/// By their first bytes, in any case of letters.
const KINDS: [Kind; 16] = [
    kind(
        "a Git LFS pointer, not the file it stands for: run `git lfs pull`",
        b"version https://git-lfs",
    ),
    kind(PAGE, b"<!doctype html"),
    kind(PAGE, b"<html"),
    kind(COMPRESSED, b"\x1f\x8b"),
    kind(COMPRESSED, b"\x28\xb5\x2f\xfd"),
    kind(COMPRESSED, b"\xfd7zXZ\0"),
    kind(COMPRESSED, b"BZh"),
    kind(CHECKPOINT, b"PK\x03\x04"),
    kind(
        "an old PyTorch checkpoint: `mergevit-calibrate pack` makes packs, of safetensors",
        b"\x80\x02",
    ),
    kind("a GGUF model, which mergevit does not read", b"GGUF"),
    kind("an HDF5 file, which mergevit does not read", b"\x89HDF"),
    kind("a PNG image", b"\x89PNG"),
    kind("a JPEG image", b"\xff\xd8\xff"),
    kind("a program", b"\x7fELF"),
    kind(TEXT_TRANSFER, b"\x89MVIT"),
    kind("JSON text", b"{"),
];

/// What the file is, and what to do about it, if its first bytes tell. They are not a pack's.
pub(super) fn recognize(bytes: &[u8]) -> Option<&'static str> {
    let starts = |kind: &&Kind| {
        let first = bytes.get(..kind.first.len());
        first.is_some_and(|first| first.eq_ignore_ascii_case(kind.first))
    };
    if let Some(kind) = KINDS.iter().find(starts) {
        return Some(kind.name);
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return Some(
            "all zeros: its room was reserved, and its content never written, as after a full disk or a loss \
             of power",
        );
    }
    // The length of the JSON header, a u64, then the header.
    if let [_, _, _, _, 0, 0, 0, 0, b'{', ..] = bytes {
        return Some(
            "a safetensors file: `mergevit-calibrate pack --checkpoint` makes a pack of it",
        );
    }
    // Protobuf: field 1, the version of the format, a small number; then a string or a number.
    if let [
        0x08,
        1..=20,
        0x10 | 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a,
        ..,
    ] = bytes
    {
        return Some(
            "an ONNX model, which mergevit does not read: `mergevit-calibrate pack` makes packs of safetensors",
        );
    }
    None
}
