//! What a family's files call the tensors of a model, and which of a file's tensors is which.

use super::error::Defect;
use super::file::TensorFile;
use super::tensor::{Dimensions, Tensor};
use mergevit_runtime::limits::MAX_LAYERS;
use std::collections::{BTreeMap, BTreeSet};

/// Tensors and their names.
pub(super) type Names = [(&'static str, Tensor)];

/// The names of a model's tensors.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    /// Full names outside the layers.
    model: Vec<(String, Tensor)>,
    /// What the names of a layer's tensors start with, `{}` standing for the layer's number.
    layer: String,
    /// Names of a layer's tensors, after that start.
    block: Vec<(&'static str, Tensor)>,
}

impl Naming {
    /// No tensors yet. The names of a layer's tensors start with `layer`, with the layer's number for `{}`.
    pub(super) fn new(layer: impl Into<String>) -> Self {
        Self {
            model: Vec::new(),
            layer: layer.into(),
            block: Vec::new(),
        }
    }

    /// Adds tensors outside the layers, each name after `prefix`.
    pub(super) fn model(mut self, prefix: &str, names: &Names) -> Self {
        let full = names
            .iter()
            .map(|&(name, tensor)| (format!("{prefix}{name}"), tensor));
        self.model.extend(full);
        self
    }

    /// Adds tensors that every layer has.
    pub(super) fn block(mut self, names: &Names) -> Self {
        self.block.extend(names);
        self
    }

    /// The layer that a tensor's name belongs to.
    fn layer_of(&self, name: &str) -> Option<usize> {
        let (before, after) = self.layer.split_once("{}")?;
        let (index, _) = name.strip_prefix(before)?.split_once(after)?;
        index.parse().ok()
    }

    /// The names of all tensors of a model with `depth` layers.
    pub(super) fn expand(&self, depth: usize) -> BTreeMap<String, (Tensor, usize)> {
        let model = self.model.iter().map(|(name, t)| (name.clone(), (*t, 0)));
        let blocks = (0..depth).flat_map(|layer| {
            let start = self.layer.replace("{}", &layer.to_string());
            let name = move |&(name, t)| (format!("{start}{name}"), (t, layer));
            self.block.iter().map(name)
        });
        model.chain(blocks).collect()
    }
}

/// A tensor of a model and its name in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) tensor: Tensor,
    /// The layer; 0 outside the layers.
    pub(super) layer: usize,
    pub(super) name: String,
    /// Whether the file has the tensor.
    pub(super) present: bool,
}

/// The tensors of one file: none is missing, and each has a meaning.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// Layer by layer, the tensors of one in the order of [`Tensor`].
    pub(super) entries: Vec<Entry>,
    depth: usize,
}

impl Listing {
    /// Finds the tensors of `file` by name alone.
    ///
    /// # Errors
    /// [`Defect::Names`] with every name that is missing or unknown; [`Defect::Unsupported`] for too many
    /// layers.
    pub(super) fn new(file: &TensorFile<'_>, naming: &Naming) -> Result<Self, Defect> {
        // Up to the highest number, so that a layer missing below it is named as missing; bounded first,
        // because every absent layer costs a list of names.
        let last = file.names().filter_map(|name| naming.layer_of(name)).max();
        if let Some(last) = last.filter(|last| *last >= MAX_LAYERS) {
            return Err(Defect::Unsupported(format!(
                "its tensors name layer {last}; supported are layers 0 to {}",
                MAX_LAYERS - 1
            )));
        }
        let depth = last.map_or(0, |last| last + 1);
        let expected = naming.expand(depth);
        let present: BTreeSet<&str> = file.names().collect();
        let absent = |(name, (tensor, _)): &(&String, &(Tensor, usize))| {
            tensor.is_required() && !present.contains(name.as_str())
        };
        let missing: Vec<String> = expected
            .iter()
            .filter(absent)
            .map(|(name, _)| name.clone())
            .collect();
        let unknown: Vec<String> = present
            .iter()
            .filter(|name| !expected.contains_key(**name))
            .map(|name| (*name).to_owned())
            .collect();
        if let Some(defect) = missing.iter().find_map(|name| file.mistyped(name)) {
            return Err(defect);
        }
        if !missing.is_empty() || !unknown.is_empty() {
            return Err(Defect::Names { missing, unknown });
        }
        let mut entries: Vec<Entry> = expected
            .into_iter()
            .map(|(name, (tensor, layer))| Entry {
                present: present.contains(name.as_str()),
                tensor,
                layer,
                name,
            })
            .collect();
        entries.sort_by_key(|entry| (entry.layer, entry.tensor));
        Ok(Self { entries, depth })
    }

    /// The first tensor of this kind.
    fn find(&self, tensor: Tensor) -> Result<&Entry, Defect> {
        let found = self.entries.iter().find(|entry| entry.tensor == tensor);
        found.ok_or_else(|| Defect::Unsupported(format!("it has no tensor for {tensor:?}")))
    }

    /// Reads the dimensions off the shapes of the tensors that carry them.
    ///
    /// # Errors
    /// [`Defect::Shape`] if one of these has a shape that no model gives it; [`Defect::Unsupported`] if
    /// one of them is not there, because the model has no layers.
    pub(super) fn dimensions(&self, file: &TensorFile<'_>) -> Result<Dimensions, Defect> {
        let shape = |tensor| file.shape(&self.find(tensor)?.name);
        let patch = shape(Tensor::PatchWeight)?;
        let first = |shape: &[usize]| shape.first().copied().unwrap_or(0);
        let dimensions = Dimensions {
            width: first(&patch),
            patch_size: patch.last().copied().unwrap_or(0),
            mlp_width: first(&shape(Tensor::Fc1Weight)?),
            classes: first(&shape(Tensor::HeadWeight)?),
            tokens: shape(Tensor::Position)?.get(1).copied().unwrap_or(0),
            depth: self.depth,
            class_token: self.find(Tensor::ClassToken).is_ok_and(|e| e.present),
        };
        // Whatever the rank, each shape must be the one that its own dimensions lead to.
        for tensor in [
            Tensor::PatchWeight,
            Tensor::Position,
            Tensor::Fc1Weight,
            Tensor::HeadWeight,
        ] {
            let (found, expected) = (shape(tensor)?, tensor.shape(&dimensions));
            if found != expected {
                return Err(Defect::Shape {
                    tensor: self.find(tensor)?.name.clone(),
                    found,
                    expected,
                });
            }
        }
        Ok(dimensions)
    }
}
