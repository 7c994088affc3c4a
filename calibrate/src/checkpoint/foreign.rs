//! Files that are mistaken for safetensors, by their first bytes.

use super::error::Defect;
use mergevit_runtime::foreign::{self, Kind};

const CONVERT: &str = "convert it in Python: from safetensors.torch import save_file; import torch; \
                       state = torch.load('OLD', weights_only=True); \
                       save_file({k: v.contiguous() for k, v in state.items()}, 'model.safetensors')";
const EXPORT: &str = "export the PyTorch model with safetensors.torch.save_file instead";
const RESTORE: &str = "name the checkpoint that the pack was made of";
const CHOOSE: &str = "name a checkpoint";

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
    if let Some(foreign) = foreign::recognize(bytes)
        && foreign.kind != Kind::Safetensors
    {
        return Err(Defect::Foreign {
            found: foreign.name,
            advice: foreign.advice(advice(foreign.kind)),
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

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Zip | Kind::Pickle => CONVERT,
        Kind::Model => EXPORT,
        Kind::Pack => RESTORE,
        _ => CHOOSE,
    }
}

/// Bytes of the whole file, as far as the header's length and tensors say.
fn promised(bytes: &[u8]) -> Option<u64> {
    foreign::recognize(bytes).filter(|found| found.kind == Kind::Safetensors)?;
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
            (b"PK\x03\x04 archive/data.pkl", "save_file"),
            (b"\x80\x02}q\0(X", "pickle"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x08\x07\x12\x07pytorch", "ONNX"),
            (b"<!DOCTYPE html>", "HTML"),
            (b"{\"error\": \"no access\"}", "server's answer"),
            (b"\x89MVIT\r\n\x1a\x01", "the pack was made of"),
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
