//! What a file is that is not the one expected, told by its first bytes: one table for packs, checkpoints and images, so
//! that all three name a file alike. No part of the public interface.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// What it is good for.
    pub kind: Kind,
    /// Its name in a message, with an article.
    pub name: &'static str,
}

impl Foreign {
    /// What to do about the file whatever was expected, or `otherwise` where that depends on what was expected.
    pub fn advice(&self, otherwise: &'static str) -> &'static str {
        match self.kind {
            Kind::Pointer => "fetch the file itself: git lfs pull",
            Kind::Text => "fetch the file itself; a server's answer looks like this",
            Kind::Compressed => "decompress it first",
            Kind::Zeros => {
                "its room was reserved and its content never written, as after a full disk or a loss of power; \
                 copy it again"
            }
            _ => otherwise,
        }
    }
}

/// What a file is good for: what advice depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Stands for a file that Git LFS keeps elsewhere.
    Pointer,
    /// A page or a message, as servers send them.
    Text,
    /// One file, compressed.
    Compressed,
    /// Nothing but zeros.
    Zeros,
    /// A zip archive, which PyTorch's checkpoints are too.
    Zip,
    /// A pickle, which PyTorch's checkpoints once were.
    Pickle,
    /// Tensors as `mergevit-calibrate` reads them.
    Safetensors,
    /// A model in a format that is not read.
    Model,
    /// A pack, whole or not.
    Pack,
    /// A picture, or pages that can be made one.
    Picture,
    /// A video.
    Video,
    /// A program.
    Program,
}

const PICKLE: &str = "a pickle, as old PyTorch checkpoints are";

/// First bytes, and what begins with them.
const STARTS: [(&[u8], Kind, &str); 34] = [
    (
        b"version https://git-lfs",
        Kind::Pointer,
        "a pointer of Git LFS",
    ),
    (b"<svg", Kind::Picture, "an SVG"),
    (b"<", Kind::Text, "an XML or HTML file"),
    (b"{", Kind::Text, "JSON text"),
    (b"\x1f\x8b", Kind::Compressed, "a gzip file"),
    (b"\x28\xb5\x2f\xfd", Kind::Compressed, "a zstd file"),
    (b"\xfd7zXZ\0", Kind::Compressed, "an xz file"),
    (b"BZh", Kind::Compressed, "a bzip2 file"),
    (
        b"PK\x03\x04",
        Kind::Zip,
        "a zip archive, as PyTorch checkpoints are",
    ),
    (b"\x80\x02", Kind::Pickle, PICKLE),
    (b"\x80\x03", Kind::Pickle, PICKLE),
    (b"\x80\x04", Kind::Pickle, PICKLE),
    (b"\x80\x05", Kind::Pickle, PICKLE),
    (
        b"\x89HDF\r\n\x1a\n",
        Kind::Model,
        "an HDF5 file, as Keras writes",
    ),
    (b"GGUF", Kind::Model, "a GGUF model"),
    (b"\x89MVIT", Kind::Pack, "a mergevit pack"),
    (b"\x89PNG", Kind::Picture, "a PNG"),
    (b"\xff\xd8\xff", Kind::Picture, "a JPEG"),
    (b"BM", Kind::Picture, "a BMP"),
    (b"GIF8", Kind::Picture, "a GIF"),
    (b"II*\0", Kind::Picture, "a TIFF"),
    (b"MM\0*", Kind::Picture, "a TIFF"),
    (b"\xff\x0a", Kind::Picture, "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", Kind::Picture, "a JPEG XL"),
    (b"\0\0\0\x0cjP  ", Kind::Picture, "a JPEG 2000"),
    (b"P5", Kind::Picture, "a PGM"),
    (b"P6", Kind::Picture, "a PPM"),
    (b"\0\0\x01\0", Kind::Picture, "an icon"),
    (b"\x1a\x45\xdf\xa3", Kind::Video, "a video"),
    (b"YUV4MPEG2 ", Kind::Video, "a video"),
    (b"\0\0\x01\xba", Kind::Video, "a video"),
    (b"\0\0\x01\xb3", Kind::Video, "a video"),
    (b"%PDF", Kind::Picture, "a PDF"),
    (b"\x7fELF", Kind::Program, "a program"),
];

/// How web pages begin, in letters of either case.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// Brands of the pictures among the files whose bytes 4 to 8 are `ftyp` (ISO/IEC 14496-12, 23008-12).
const BRANDS: [(&[u8], &str); 7] = [
    (b"avif", "an AVIF"),
    (b"avis", "an AVIF"),
    (b"heic", "a HEIC"),
    (b"heix", "a HEIC"),
    (b"hevc", "a HEIC"),
    (b"mif1", "a HEIF"),
    (b"msf1", "a HEIF"),
];

/// What a file is, from its first bytes, the more the better; `None` if they do not tell.
pub fn recognize(bytes: &[u8]) -> Option<Foreign> {
    let found = |kind, name| Some(Foreign { kind, name });
    // First, because the length in front of it may look like any other start.
    if is_safetensors(bytes) {
        return found(Kind::Safetensors, "a safetensors file");
    }
    if PAGES.iter().any(|page| starts_in_any_case(bytes, page)) {
        return found(Kind::Text, "a web page (HTML)");
    }
    if let Some(&(_, kind, name)) = STARTS.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return found(kind, name);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        let brand = bytes.get(8..12).unwrap_or_default();
        let picture = BRANDS.iter().find(|(name, _)| *name == brand);
        return picture.map_or(found(Kind::Video, "a video"), |&(_, name)| {
            found(Kind::Picture, name)
        });
    }
    if bytes.starts_with(b"RIFF") {
        return match bytes.get(8..12)? {
            b"WEBP" => found(Kind::Picture, "a WebP"),
            b"AVI " => found(Kind::Video, "a video"),
            _ => None,
        };
    }
    if is_onnx(bytes) {
        return found(Kind::Model, "an ONNX model");
    }
    let zeros = !bytes.is_empty() && bytes.iter().all(|&byte| byte == 0);
    zeros.then_some(Foreign {
        kind: Kind::Zeros,
        name: "all zeros",
    })
}

fn starts_in_any_case(bytes: &[u8], start: &[u8]) -> bool {
    bytes
        .get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// The length of the JSON header, a u64 whose high bytes are zeros in any real file, then the header.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(5..9) == Some(b"\0\0\0{")
}

/// Protobuf: field 1, the version of the format, a small number; then a string or a number.
fn is_onnx(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [
            0x08,
            1..=20,
            0x10 | 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a,
            ..
        ]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_recognized_as_what_it_says() {
        for (start, kind, name) in STARTS {
            assert_eq!(recognize(start), Some(Foreign { kind, name }), "{start:?}");
        }
    }

    #[test]
    fn what_lies_behind_the_start_tells_containers_apart() {
        for (bytes, kind, name) in [
            (&b"\0\0\0\x18ftypmp42\0\0\0\0"[..], Kind::Video, "a video"),
            (b"\0\0\0\x18ftyp", Kind::Video, "a video"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", Kind::Picture, "an AVIF"),
            (b"RIFF\x10\0\0\0WEBPVP8L", Kind::Picture, "a WebP"),
            (b"RIFF\x10\0\0\0AVI LIST", Kind::Video, "a video"),
            (b"\x08\x07\x12\x07pytorch", Kind::Model, "an ONNX model"),
            (b"<HTML><head>", Kind::Text, "a web page (HTML)"),
            (&[0; 32], Kind::Zeros, "all zeros"),
        ] {
            assert_eq!(recognize(bytes), Some(Foreign { kind, name }), "{bytes:?}");
        }
    }

    /// Header lengths of safetensors that are the starts of other files.
    #[test]
    fn a_header_of_any_length_is_safetensors() {
        for length in [
            &b"BM\0\0\0"[..],
            b"\0\0\x01\0\0",
            b"{\0\0\0\0",
            b"\x80\x02\0\0\0",
        ] {
            let bytes = [length, b"\0\0\0{\"a\":"].concat();
            let found = recognize(&bytes).expect("it is known");
            assert_eq!(found.kind, Kind::Safetensors, "{bytes:?}");
        }
    }

    #[test]
    fn other_bytes_are_nothing_known() {
        for bytes in [&b""[..], b"hello", b"RIFF", b"RIFF\x10\0\0\0WAVE", b"\x89"] {
            assert_eq!(recognize(bytes), None, "{bytes:?}");
        }
    }
}
