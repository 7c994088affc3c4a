//! The named tensors of a checkpoint, whatever files they are in.

use super::element::Element;
use super::stored::Stored;
use crate::checkpoint::error::Defect;
use std::collections::BTreeMap;

/// Named tensors, or a view of them behind a prefix of their names.
///
/// Tensors of types that no weight is stored in, such as integers, are not among them; whoever needs one learns its
/// type from [`TensorSet::mistyped`].
#[derive(Clone, Debug, Default)]
pub(in crate::checkpoint) struct TensorSet<'a> {
    tensors: BTreeMap<String, Stored<'a>>,
    /// Types of the others.
    others: BTreeMap<String, &'static str>,
    /// What the names in the files start with, before the names here.
    prefix: String,
    /// Full names of the tensors that do not start so.
    outside: Vec<String>,
}

impl<'a> TensorSet<'a> {
    /// Adds a tensor.
    ///
    /// # Errors
    /// [`Defect::Twice`] if there is one of this name.
    pub(super) fn insert(&mut self, name: String, tensor: Stored<'a>) -> Result<(), Defect> {
        if self.holds(&name) {
            return Err(Defect::Twice(name));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Adds the name of a tensor whose type is not read.
    ///
    /// # Errors
    /// [`Defect::Twice`] if there is one of this name.
    pub(super) fn insert_other(&mut self, name: String, element: Element) -> Result<(), Defect> {
        if self.holds(&name) {
            return Err(Defect::Twice(name));
        }
        self.others.insert(name, element.name());
        Ok(())
    }

    /// Whether there is a tensor of this name, of any type.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.others.contains_key(name)
    }

    /// The names of the tensors of every type.
    pub(super) fn all_names(&self) -> impl Iterator<Item = &str> {
        self.tensors
            .keys()
            .chain(self.others.keys())
            .map(String::as_str)
    }

    /// Adds all tensors of another set.
    ///
    /// # Errors
    /// [`Defect::Twice`] if both have a tensor of one name.
    pub(super) fn append(&mut self, other: Self) -> Result<(), Defect> {
        if let Some(name) = other.all_names().find(|name| self.holds(name)) {
            return Err(Defect::Twice(name.into()));
        }
        self.tensors.extend(other.tensors);
        self.others.extend(other.others);
        Ok(())
    }

    /// The names of all tensors, in order.
    pub(in crate::checkpoint) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub(in crate::checkpoint) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether the name of any tensor starts so.
    pub(in crate::checkpoint) fn has_prefix(&self, prefix: &str) -> bool {
        let mut from = self.tensors.range(prefix.to_owned()..);
        from.next()
            .is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// [`Defect::Names`], or [`Defect::Type`] if its type is not read.
    pub(in crate::checkpoint) fn shape(&self, name: &str) -> Result<Vec<usize>, Defect> {
        Ok(self.find(name)?.shape().to_vec())
    }

    /// The values of a tensor, row-major, which must have exactly this shape.
    ///
    /// # Errors
    /// [`Defect::Names`], [`Defect::Shape`], [`Defect::Type`], [`Defect::NonFinite`], with the name in the file.
    pub(in crate::checkpoint) fn values(
        &self,
        name: &str,
        shape: &[usize],
    ) -> Result<Vec<f32>, Defect> {
        let tensor = self.find(name)?;
        if tensor.shape() != shape {
            return Err(Defect::Shape {
                tensor: self.full_name(name),
                found: tensor.shape().to_vec(),
                expected: shape.to_vec(),
            });
        }
        let values = tensor.values();
        check_finite(&self.full_name(name), &values)?;
        Ok(values)
    }

    /// The error of a tensor that is there, but of a type that is not read.
    pub(in crate::checkpoint) fn mistyped(&self, name: &str) -> Option<Defect> {
        self.others.get(name).map(|found| Defect::Type {
            tensor: self.full_name(name),
            found: (*found).into(),
        })
    }

    /// The name that a file has for what this view calls `name`.
    pub(in crate::checkpoint) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Full names of the tensors that no view with this prefix shows.
    pub(in crate::checkpoint) fn outside(&self) -> &[String] {
        &self.outside
    }

    /// The tensors whose names start with `prefix`, without it; errors keep the full names.
    pub(in crate::checkpoint) fn stripped(&self, prefix: &str) -> Self {
        let short = |name: &str| name.strip_prefix(prefix).map(str::to_owned);
        let mut view = Self {
            prefix: self.full_name(prefix),
            outside: self.outside.clone(),
            ..Self::default()
        };
        for (name, tensor) in &self.tensors {
            match short(name) {
                Some(name) => {
                    view.tensors.insert(name, tensor.clone());
                }
                None => view.outside.push(self.full_name(name)),
            }
        }
        let others = self.others.iter();
        view.others = others
            .filter_map(|(name, found)| Some((short(name)?, *found)))
            .collect();
        view
    }

    /// [`TensorSet::stripped`], for a user who wants no others.
    pub(super) fn chosen(&self, prefix: &str) -> Self {
        Self {
            outside: Vec::new(),
            ..self.stripped(prefix)
        }
    }

    fn find(&self, name: &str) -> Result<&Stored<'a>, Defect> {
        let absent = || {
            self.mistyped(name).unwrap_or_else(|| Defect::Names {
                missing: vec![self.full_name(name)],
                unknown: Vec::new(),
            })
        };
        self.tensors.get(name).ok_or_else(absent)
    }
}

/// Fails at the first value that is NaN or infinite.
pub(in crate::checkpoint) fn check_finite(name: &str, values: &[f32]) -> Result<(), Defect> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(Defect::NonFinite {
            tensor: name.into(),
            index,
            value: values[index],
        }),
        None => Ok(()),
    }
}
