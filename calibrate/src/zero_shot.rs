//! Text embeddings of class names: with them an image's embedding is a classifier, and no image of a class is needed
//! (Radford et al., arXiv 2103.00020).
//!
//! They are made on a workstation, with the text tower that belongs to the image tower, and read from a safetensors
//! file: `text_embeddings` f32 (classes, D), `logit_scale` f32 of one element, optionally `logit_bias` likewise, and
//! the names as JSON, `["a", "b"]`, under `names` in its metadata. README.md shows a script that makes one.

use mergevit_runtime::input_file::{self, InputError};
use mergevit_runtime::{Classes, EmbeddingClassifier, ModelConfig, OutputKind};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use thiserror::Error;

/// Names of classes with the vectors of their texts.
#[derive(Clone, Debug, PartialEq)]
pub struct TextEmbeddings {
    /// One a class.
    pub names: Vec<String>,
    /// (classes, D), each of length 1.
    pub vectors: Vec<f32>,
    /// One over the temperature of the logits.
    pub scale: f32,
    /// Added to them.
    pub bias: f32,
}

/// Why text embeddings cannot be used.
#[derive(Debug, Error)]
pub enum TextEmbeddingsError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] InputError),
    /// It is no safetensors file.
    #[error("no safetensors file: {0}")]
    Format(String),
    /// Something in it is missing or not as it must be.
    #[error("{what}: {found}, expected {expected}")]
    Content {
        /// The tensor, or the metadata's key.
        what: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The model has classes of its own.
    #[error(
        "the model scores {0} classes of its own: only an embedding can be compared with texts"
    )]
    Classifier(usize),
    /// The vectors are of another model.
    #[error("vectors of {found} numbers, and the model's embedding has {expected}")]
    Width {
        /// Numbers of a vector in the file.
        found: usize,
        /// Of the model's embedding.
        expected: usize,
    },
}

fn wrong<T>(
    what: &'static str,
    found: impl std::fmt::Display,
    expected: impl Into<String>,
) -> Result<T, TextEmbeddingsError> {
    Err(TextEmbeddingsError::Content {
        what,
        found: found.to_string(),
        expected: expected.into(),
    })
}

impl TextEmbeddings {
    /// Reads a file. `temperature` replaces the file's scale by its inverse.
    ///
    /// # Errors
    /// [`TextEmbeddingsError`] for whatever is unreadable, missing or not finite.
    pub fn load(path: &Path, temperature: Option<f32>) -> Result<Self, TextEmbeddingsError> {
        Self::parse(&input_file::read(path)?, temperature)
    }

    /// [`TextEmbeddings::load`] from the file's contents.
    ///
    /// # Errors
    /// As there.
    pub fn parse(bytes: &[u8], temperature: Option<f32>) -> Result<Self, TextEmbeddingsError> {
        let format =
            |error: safetensors::SafeTensorError| TextEmbeddingsError::Format(error.to_string());
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let names = names(
            header
                .metadata()
                .as_ref()
                .and_then(|text| text.get("names")),
        )?;
        let mut vectors = floats(&file, "text_embeddings")?;
        if names.is_empty() || vectors.is_empty() || !vectors.len().is_multiple_of(names.len()) {
            let found = format!("{} numbers", vectors.len());
            return wrong(
                "text_embeddings",
                found,
                format!("one vector for each of {} names", names.len()),
            );
        }
        let width = vectors.len() / names.len();
        for (row, name) in vectors.chunks_exact_mut(width).zip(&names) {
            let square: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
            if square == 0.0 {
                return wrong(
                    "text_embeddings",
                    format!("zeros for {name:?}"),
                    "a direction",
                );
            }
            let inverse = 1.0 / square.sqrt();
            row.iter_mut()
                .for_each(|x| *x = (f64::from(*x) * inverse) as f32);
        }
        let scale = match temperature {
            Some(temperature) => 1.0 / temperature,
            None => scalar(&file, "logit_scale")?,
        };
        if scale <= 0.0 {
            return wrong(
                "logit_scale",
                scale,
                "above 0: the factor, not its logarithm",
            );
        }
        let bias = match file.tensor("logit_bias") {
            Ok(_) => scalar(&file, "logit_bias")?,
            Err(_) => 0.0,
        };
        Ok(Self {
            names,
            vectors,
            scale,
            bias,
        })
    }

    /// Makes `model` a classifier of these names.
    ///
    /// # Errors
    /// [`TextEmbeddingsError::Classifier`], [`TextEmbeddingsError::Width`].
    pub fn apply(&self, model: &mut ModelConfig) -> Result<(), TextEmbeddingsError> {
        if model.output != OutputKind::Embedding {
            return Err(TextEmbeddingsError::Classifier(model.classes));
        }
        let (found, expected) = (self.vectors.len() / self.names.len(), model.classes);
        if found != expected {
            return Err(TextEmbeddingsError::Width { found, expected });
        }
        model.labels.clone_from(&self.names);
        let (scale, bias) = (self.scale, self.bias);
        model.classifier = Some(EmbeddingClassifier::Cosine { scale, bias });
        Ok(())
    }

    /// The classes as a pack has them.
    pub fn into_classes(self) -> Classes {
        Classes::by_cosine(self.scale, self.bias, self.names, self.vectors)
    }
}

fn names(text: Option<&String>) -> Result<Vec<String>, TextEmbeddingsError> {
    let expected = "a JSON list of the classes' names in the file's metadata";
    let Some(text) = text else {
        return wrong("names", "absent", expected);
    };
    serde_json::from_str(text).or_else(|error| wrong("names", error, expected))
}

/// All values of an f32 tensor.
fn floats(file: &SafeTensors<'_>, name: &'static str) -> Result<Vec<f32>, TextEmbeddingsError> {
    let Ok(tensor) = file.tensor(name) else {
        return wrong(name, "absent", "a tensor");
    };
    if tensor.dtype() != Dtype::F32 {
        return wrong(name, format!("{:?}", tensor.dtype()), "F32");
    }
    let values: Vec<f32> = tensor
        .data()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    match values.iter().find(|x| !x.is_finite()) {
        Some(x) => wrong(name, x, "finite numbers"),
        None => Ok(values),
    }
}

fn scalar(file: &SafeTensors<'_>, name: &'static str) -> Result<f32, TextEmbeddingsError> {
    match floats(file, name)?.as_slice() {
        &[value] => Ok(value),
        values => wrong(name, format!("{} numbers", values.len()), "one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;
    use std::collections::HashMap;

    fn file(names: Option<&str>, vectors: &[f32], scale: f32) -> Vec<u8> {
        let bytes =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let (vectors, count) = (bytes(vectors), vectors.len());
        let scale = bytes(&[scale]);
        let tensors = [
            (
                "text_embeddings",
                TensorView::new(Dtype::F32, vec![count], &vectors).unwrap(),
            ),
            (
                "logit_scale",
                TensorView::new(Dtype::F32, vec![1], &scale).unwrap(),
            ),
        ];
        let metadata = names.map(|names| HashMap::from([("names".into(), names.into())]));
        safetensors::serialize(tensors, metadata).unwrap()
    }

    #[test]
    fn vectors_are_of_length_one() {
        let bytes = file(Some(r#"["a","b"]"#), &[3.0, 4.0, 0.0, -2.0], 100.0);
        let texts = TextEmbeddings::parse(&bytes, None).unwrap();
        assert_eq!(texts.names, ["a", "b"]);
        assert_eq!(texts.vectors, [0.6, 0.8, 0.0, -1.0]);
        assert_eq!((texts.scale, texts.bias), (100.0, 0.0));
        let warm = TextEmbeddings::parse(&bytes, Some(0.5)).unwrap();
        assert_eq!(warm.scale, 2.0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |bytes: &[u8]| TextEmbeddings::parse(bytes, None).unwrap_err().to_string();
        assert!(message(b"nothing").starts_with("no safetensors file"));
        assert!(message(&file(None, &[1.0], 1.0)).starts_with("names: absent"));
        assert!(message(&file(Some("7"), &[1.0], 1.0)).starts_with("names: "));
        let cases: [(&[f32], f32, &str); 4] = [
            (&[1.0, 2.0, 3.0], 1.0, "text_embeddings: 3 numbers"),
            (&[1.0, 0.0], 1.0, "text_embeddings: zeros for \"b\""),
            (&[1.0, f32::NAN], 1.0, "text_embeddings: NaN"),
            (&[1.0, 2.0], -4.6, "logit_scale: -4.6"),
        ];
        for (vectors, scale, start) in cases {
            let found = message(&file(Some(r#"["a","b"]"#), vectors, scale));
            assert!(found.starts_with(start), "{found}");
        }
    }
}
