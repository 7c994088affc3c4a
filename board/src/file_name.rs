//! Names of files in records and for people.

use crate::output::{Escaped, GROWTH};
use serde::Serialize;
use std::fmt;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A file's name, as text. Linux allows any bytes in it: those that are not UTF-8 become U+FFFD, and then the exact
/// bytes stand beside the text. Formatting and serializing do not allocate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileName {
    #[serde(rename = "file")]
    text: String,
    /// Two digits a byte; `None` if the text is exact.
    #[serde(rename = "file_hex", skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl FileName {
    /// Most bytes that the name takes in a line, as JSON or as text.
    pub(crate) fn bound(&self) -> usize {
        GROWTH * self.text.len() + self.hex.as_ref().map_or(0, String::len)
    }
}

impl<P: AsRef<Path>> From<P> for FileName {
    fn from(path: P) -> Self {
        let name = path.as_ref().as_os_str();
        let hex = |mut hex: String, byte: &u8| {
            let _ = write!(hex, "{byte:02x}");
            hex
        };
        Self {
            text: name.to_string_lossy().into_owned(),
            hex: match name.to_str() {
                Some(_) => None,
                None => Some(name.as_bytes().iter().fold(String::new(), hex)),
            },
        }
    }
}

/// For people.
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.text).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn names_are_exact_in_records_and_harmless_in_text() {
        let plain = FileName::from("a/\u{1b}[31m.png");
        assert_eq!(plain.to_string(), "a/\\u{1b}[31m.png");
        let json = serde_json::to_string(&plain).expect("it serializes");
        assert_eq!(json, r#"{"file":"a/\u001b[31m.png"}"#);
        let bytes = FileName::from(OsStr::from_bytes(b"a\xff.png"));
        let json = serde_json::to_string(&bytes).expect("it serializes");
        assert_eq!(
            json,
            "{\"file\":\"a\u{fffd}.png\",\"file_hex\":\"61ff2e706e67\"}"
        );
        assert!(json.len() <= bytes.bound() + 32);
    }
}
