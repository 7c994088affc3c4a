//! The index of weights in several files, as transformers writes it.

use super::set::TensorSet;
use crate::checkpoint::error::Defect;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// The file of every tensor.
#[derive(Debug)]
pub(super) struct Index {
    files: BTreeMap<String, String>,
}

impl Index {
    /// Parses `{"weight_map": {NAME: FILE}}`. The files lie beside the index.
    ///
    /// # Errors
    /// [`Defect::Index`].
    pub(super) fn parse(text: &[u8]) -> Result<Self, Defect> {
        let json: Value =
            serde_json::from_slice(text).map_err(|error| Defect::Index(error.to_string()))?;
        let map = json.get("weight_map").and_then(Value::as_object);
        let map = map.filter(|map| !map.is_empty());
        let map = map.ok_or_else(|| Defect::Index("it has no weight_map".into()))?;
        let file = |(name, file): (&String, &Value)| match file.as_str() {
            Some(file) if is_plain(file) => Ok((name.clone(), file.to_owned())),
            _ => Err(Defect::Index(format!(
                "weight_map: {name} is in {file}, expected the name of a file beside the index"
            ))),
        };
        let files = map.iter().map(file).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// The files, each once.
    pub(super) fn files(&self) -> BTreeSet<&str> {
        self.files.values().map(String::as_str).collect()
    }

    /// Checks that a file has the tensors that the index says, and no others.
    ///
    /// # Errors
    /// [`Defect::Index`].
    pub(super) fn check(&self, file: &str, tensors: &TensorSet<'_>) -> Result<(), Defect> {
        let here = self.files.iter().filter(|(_, of)| *of == file);
        let mut absent = here.filter(|(name, _)| !tensors.holds(name));
        if let Some((name, _)) = absent.next() {
            return Err(Defect::Index(format!(
                "the index says that it has {name}, and it has not"
            )));
        }
        for name in tensors.all_names() {
            match self.files.get(name) {
                Some(of) if of == file => {}
                Some(of) => {
                    return Err(Defect::Index(format!(
                        "it has {name}, which the index says is in {of}"
                    )));
                }
                None => {
                    return Err(Defect::Index(format!(
                        "it has {name}, of which the index says nothing"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_names_no_files_beside_it_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"weight_map": {}}"#,
            r#"{"weight_map": ["a"]}"#,
            r#"{"weight_map": {"a": 1}}"#,
            r#"{"weight_map": {"a": ""}}"#,
            r#"{"weight_map": {"a": "../b"}}"#,
            r#"{"weight_map": {"a": "/b"}}"#,
            r#"{"weight_map": {"a": "b/c"}}"#,
            r#"{"weight_map": {"a": ".."}}"#,
        ] {
            assert!(
                matches!(Index::parse(text.as_bytes()), Err(Defect::Index(_))),
                "{text}"
            );
        }
        let index = Index::parse(br#"{"weight_map": {"a": "x", "b": "y", "c": "x"}}"#).unwrap();
        assert_eq!(index.files(), ["x", "y"].into());
    }
}
