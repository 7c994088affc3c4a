//! Tensors by name, as families and assembly ask for them.

use super::error::Defect;
use super::files::TensorSet;
use mergevit_runtime::limits::MAX_LAYERS;

/// The tensors of a file.
#[derive(Clone, Copy)]
pub(super) struct Tensors<'a> {
    file: &'a TensorSet<'a>,
}

impl<'a> Tensors<'a> {
    /// The tensors of `file`.
    pub(super) fn new(file: &'a TensorSet<'a>) -> Self {
        Self { file }
    }

    /// The names, in no particular order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.file.names()
    }

    /// Whether there is a tensor of this name, even of a type that is not read: reading it is then an error.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file.has(name) || self.file.mistyped(name).is_some()
    }

    /// Whether the name of any tensor starts so.
    pub(super) fn has_start(&self, start: &str) -> bool {
        self.file.has_prefix(start)
    }

    /// The name that the file has for what goes as `name` here.
    pub(super) fn full_name(&self, name: &str) -> String {
        self.file.full_name(name)
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// [`Defect::Names`].
    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>, Defect> {
        self.file.shape(name)
    }

    /// The values of a tensor of exactly this shape, row-major.
    ///
    /// # Errors
    /// [`Defect::Names`], [`Defect::Shape`], [`Defect::Type`], [`Defect::NonFinite`].
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Defect> {
        self.file.values(name, shape)
    }

    /// The values of a tensor that holds rows of `width` values, whatever the shape around them.
    ///
    /// # Errors
    /// As [`Tensors::values`].
    pub(super) fn rows(&self, name: &str, width: usize) -> Result<Vec<f32>, Defect> {
        let shape = self.shape(name)?;
        if shape.last() != Some(&width) {
            let rows = shape.iter().rev().skip(1).product();
            return Err(Defect::Shape {
                tensor: self.full_name(name),
                expected: vec![1, rows, width],
                found: shape,
            });
        }
        self.values(name, &shape)
    }

    /// The numbers of layers in the names, `{}` standing for it in `layer`.
    fn layers(&self, layer: &str) -> impl Iterator<Item = usize> {
        let (before, after) = layer.split_once("{}").unwrap_or((layer, "."));
        self.names().filter_map(move |name| {
            let (number, _) = name.strip_prefix(before)?.split_once(after)?;
            number.parse().ok()
        })
    }

    /// What the names of the first layer start with: it tells which tensors all layers have.
    pub(super) fn first_layer(&self, layer: &str) -> String {
        let first = self.layers(layer).min().unwrap_or(0);
        layer.replace("{}", &first.to_string())
    }

    /// Layers that the names number after `start`, up to the highest, so that one missing below it is missed.
    ///
    /// # Errors
    /// [`Defect::Unsupported`] for too many layers, or none.
    pub(super) fn depth(&self, layer: &str) -> Result<usize, Defect> {
        let last = self.layers(layer).max();
        match last {
            // Bounded first, because every absent layer costs a list of names.
            Some(last) if last >= MAX_LAYERS => Err(Defect::Unsupported(format!(
                "its tensors name layer {last}; supported are layers 0 to {}",
                MAX_LAYERS - 1
            ))),
            Some(last) => Ok(last + 1),
            None => Err(Defect::Unsupported("it has no layers".into())),
        }
    }
}
