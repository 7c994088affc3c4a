//! Files of class names, and what a class name may be.
//!
//! A label has 1 to [`MAX_TEXT`](crate::limits::MAX_TEXT) bytes, at least one of which is no blank, and no control
//! characters. [`ModelConfig::validate`](crate::ModelConfig::validate) holds packs and checkpoints to the same. Two
//! classes may share a name, as cranes do in ImageNet; [`duplicates`] finds them.

use crate::config::{ConfigError, check_label};
use crate::input_file;
use crate::limits::{MAX_CLASSES, MAX_METADATA};
use serde_json::Value;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A file of labels that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
#[error("{}: {defect}", path.display())]
pub struct LabelsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub defect: LabelsDefect,
}

/// What is wrong with a file of labels.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabelsDefect {
    /// It cannot be read.
    #[error("cannot read: {0}")]
    Io(#[source] io::Error),
    /// It is neither lines of text nor JSON of a known form.
    #[error(
        "{0}, expected one label a line, a JSON list of labels, or a JSON object from \"0\", \"1\", ... to labels"
    )]
    Form(String),
    /// A label is not what a label must be.
    #[error(transparent)]
    Label(#[from] ConfigError),
    /// There are more or fewer labels than classes.
    #[error("{found} labels, expected {classes}, one for each class of the model")]
    Count {
        /// Labels in the file.
        found: usize,
        /// Classes of the model.
        classes: usize,
    },
}

/// Reads the labels of `classes` classes. As text, line n names class n, counted from 0; blanks around a label and
/// empty lines at the end do not count. As JSON, a list, or an object from `"0"`, `"1"`, ... to names; the object may
/// be the field `id2label` of another one, as in the `config.json` of transformers.
///
/// # Errors
/// [`LabelsError`] names the file, and the label or the count.
pub fn read(path: impl AsRef<Path>, classes: usize) -> Result<Vec<String>, LabelsError> {
    let path = path.as_ref();
    read_bytes(path)
        .and_then(|bytes| parse(&bytes, classes))
        .map_err(|defect| LabelsError {
            path: path.into(),
            defect,
        })
}

/// [`read`] of as many classes as there are labels.
///
/// # Errors
/// As [`read`].
pub fn read_all(path: impl AsRef<Path>) -> Result<Vec<String>, LabelsError> {
    let path = path.as_ref();
    read_bytes(path)
        .and_then(|bytes| parse_all(&bytes))
        .map_err(|defect| LabelsError {
            path: path.into(),
            defect,
        })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, LabelsDefect> {
    let mut bytes = Vec::new();
    let limit = MAX_METADATA as u64;
    input_file::open(path)
        .map_err(io::Error::from)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(LabelsDefect::Io)?;
    if bytes.len() as u64 > limit {
        return Err(LabelsDefect::Form(format!("more than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

/// [`read`] from a file's content.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], classes: usize) -> Result<Vec<String>, LabelsDefect> {
    let labels = parse_all(bytes)?;
    let found = labels.len();
    if found == classes {
        Ok(labels)
    } else {
        Err(LabelsDefect::Count { found, classes })
    }
}

fn parse_all(bytes: &[u8]) -> Result<Vec<String>, LabelsDefect> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| LabelsDefect::Form(format!("no UTF-8 text ({error})")))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let labels = if text.starts_with(['[', '{']) {
        from_json(text)?
    } else {
        text.lines().map(|line| line.trim().to_owned()).collect()
    };
    for (index, label) in labels.iter().enumerate() {
        check_label(|| format!("label {index}"), label)?;
    }
    Ok(labels)
}

fn from_json(text: &str) -> Result<Vec<String>, LabelsDefect> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| LabelsDefect::Form(format!("no JSON ({error})")))?;
    let value = value.get("id2label").unwrap_or(&value);
    let name = |index: usize, value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .map(|label| label.trim().to_owned())
            .ok_or_else(|| LabelsDefect::Form(format!("no text for class {index}")))
    };
    match value {
        Value::Array(list) => (list.iter().enumerate())
            .map(|(index, value)| name(index, Some(value)))
            .collect(),
        Value::Object(fields) => (0..fields.len().min(MAX_CLASSES + 1))
            .map(|index| name(index, fields.get(&index.to_string())))
            .collect(),
        _ => Err(LabelsDefect::Form("another JSON value".into())),
    }
}

/// The classes that have the name of an earlier class: pairs of the earlier and the later one.
pub fn duplicates(labels: &[String]) -> Vec<(usize, usize)> {
    let mut first = std::collections::HashMap::new();
    let seen = labels.iter().enumerate().map(|(class, label)| {
        let earlier = *first.entry(label).or_insert(class);
        (earlier, class)
    });
    seen.filter(|(earlier, class)| earlier != class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_same_labels() {
        for text in [
            "cat\ndog\nbird",
            "\u{feff}cat\r\n  dog \r\nbird\r\n\n",
            r#"["cat", "dog", "bird"]"#,
            r#" {"1": "dog", "0": "cat", "2": "bird"}"#,
            r#"{"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "bird"}}"#,
        ] {
            let found = parse(text.trim_start_matches(' ').as_bytes(), 3).unwrap();
            assert_eq!(found, ["cat", "dog", "bird"], "{text}");
        }
    }

    #[test]
    fn what_is_no_label_is_named() {
        for (text, what) in [
            (&b"cat\n\nbird"[..], "label 1: \"\", expected a name"),
            (b"cat\n \t \nbird", "label 1"),
            (br#"["cat", "", "bird"]"#, "label 1"),
            (b"cat\ndo\x1b[31mg\nbird", "label 1"),
            (b"cat\ndog", "2 labels, expected 3"),
            (b"", "0 labels, expected 3"),
            (br#"["cat", 1, "bird"]"#, "no text for class 1"),
            (
                br#"{"0": "cat", "2": "bird", "3": "dog"}"#,
                "no text for class 1",
            ),
            (br#"{"0": ["n01", "cat"]}"#, "no text for class 0"),
            (b"[\"cat\",", "no JSON"),
            (b"caf\xe9", "no UTF-8 text"),
        ] {
            let error = parse(text, 3).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        let missing = read("no/such/labels.txt", 3).unwrap_err().to_string();
        assert!(
            missing.contains("no/such/labels.txt: cannot read"),
            "{missing}"
        );
        assert!(read(".", 3).is_err());
    }

    #[test]
    fn names_in_use_twice_are_found() {
        let labels = ["crane", "cat", "crane", "crane"].map(String::from);
        assert_eq!(duplicates(&labels), [(0, 2), (0, 3)]);
        assert_eq!(duplicates(&labels[..2]), []);
    }
}
