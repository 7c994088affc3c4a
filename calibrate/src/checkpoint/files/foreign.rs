//! Files that are mistaken for weights, by their first bytes.

use crate::checkpoint::error::Defect;
use mergevit_runtime::foreign::{Foreign, Kind, recognize};

const CONVERT: &str = "write it again in Python: import torch; \
                       torch.save(torch.load('OLD', weights_only=True), 'NEW')";
const EXPORT: &str = "export the PyTorch model with safetensors.torch.save_file instead";
const OTHER: &str = "give the file that holds the weights: safetensors, or what torch.save writes";

/// What torch.save wrote first until version 1.6: a number, in a pickle of its own.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// What to do about a file that holds no weights as they are read here.
fn advice(foreign: &Foreign) -> &'static str {
    foreign.advice(match foreign.kind {
        Kind::Pickle => CONVERT,
        Kind::Model => EXPORT,
        _ => OTHER,
    })
}

/// Names what `bytes` are instead of safetensors.
///
/// # Errors
/// [`Defect::Foreign`] for what is known, [`Defect::Cut`] if the header promises more than there is.
pub(super) fn check(bytes: &[u8]) -> Result<(), Defect> {
    if bytes.is_empty() {
        return Err(Defect::Foreign {
            found: "an empty file",
            advice: "copy or download it again",
        });
    }
    if bytes.starts_with(LEGACY) {
        return Err(Defect::Foreign {
            found: "a file of PyTorch before version 1.6",
            advice: CONVERT,
        });
    }
    // A header's length looks like a magic number about never: its high bytes are zeros.
    if let Some(foreign) = recognize(bytes)
        && foreign.kind != Kind::Safetensors
        && !is_header(bytes)
    {
        return Err(Defect::Foreign {
            found: foreign.name,
            advice: advice(&foreign),
        });
    }
    match promised(bytes) {
        Some(expected) if expected > bytes.len() as u64 => Err(Defect::Cut {
            found: bytes.len() as u64,
            expected,
        }),
        _ => Ok(()),
    }
}

/// Whether a JSON object follows the length of the header.
fn is_header(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes.get(5..8) == Some(&[0; 3])
}

/// Bytes of the whole file, as far as the header's length and tensors say.
fn promised(bytes: &[u8]) -> Option<u64> {
    if !is_header(bytes) {
        return None;
    }
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|n| rest.get(..n));
    let Some(header) = header else {
        return length.checked_add(8);
    };
    let tensors: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(header).ok()?;
    let end = |tensor: &serde_json::Value| tensor.get("data_offsets")?.get(1)?.as_u64();
    let data = tensors.values().filter_map(end).max().unwrap_or(0);
    data.checked_add(length)?.checked_add(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_named_with_advice() {
        for (bytes, what) in [
            (&b""[..], "empty"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "git lfs pull",
            ),
            (
                b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
                "before version 1.6",
            ),
            (b"\x80\x02}q\0(X", "weights_only=True"),
            (b"\x80\x05}q\0(X", "pickle"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x08\x07\x12\x07pytorch", "ONNX"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"{\"error\": \"no access\"}", "a server's answer"),
            (b"\x89PNG\r\n\x1a\n", "the file that holds the weights"),
        ] {
            let error = check(bytes).unwrap_err();
            let text = format!("{error} {}", error.hint().unwrap());
            assert!(text.contains(what), "{what}: {text}");
        }
    }

    #[test]
    fn a_cut_file_names_both_lengths() {
        let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let file = [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 8]].concat();
        assert!(check(&file).is_ok());
        for cut in [20, file.len() - 3] {
            let error = check(&file[..cut]).unwrap_err().to_string();
            assert!(error.contains(&format!("{cut} bytes")), "{error}");
        }
    }
}
