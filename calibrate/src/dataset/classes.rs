//! Which class of the model each class folder holds.

use super::error::DatasetError;
use std::collections::BTreeMap;
use std::path::Path;

/// How class folders become classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassFolders {
    /// Each folder is named like a class: by its label, in which `_` may stand for `/`, or by its number, from 0.
    /// Every class has one. Other names are taken in alphabetical order if the model has no labels.
    #[default]
    All,
    /// The same for a set without images of some classes.
    Subset,
    /// The first folder in alphabetical order is class 0, and so on; there are as many as classes.
    Alphabetical,
    /// They mean nothing: the images alone are wanted.
    Ignored,
}

/// A class folder or a label: its name, and how many images it has.
pub(super) type ClassFolder = (String, usize);

/// The class of each folder.
pub(super) struct Classes {
    pub(super) numbers: Vec<usize>,
    /// Whether the order of the names gave the numbers.
    pub(super) by_order: bool,
}

/// The classes of a model, and how the folders in `path`, or the labels in it, relate to them.
pub(super) struct Matching<'a> {
    pub(super) path: &'a Path,
    /// One a class, or none.
    pub(super) labels: &'a [String],
    pub(super) classes: usize,
    /// Not [`ClassFolders::Ignored`].
    pub(super) rule: ClassFolders,
    /// What has the names: `class folder`.
    pub(super) what: &'static str,
}

impl Matching<'_> {
    /// Numbers `folders`, which are in alphabetical order.
    ///
    /// # Errors
    /// A folder that is no class, two that are the same one, a class without images, or another number of folders
    /// than of classes.
    pub(super) fn number(&self, folders: &[ClassFolder]) -> Result<Classes, DatasetError> {
        let by_number = || {
            let names = folders.iter().map(|(name, _)| plain_number(name));
            names.collect::<Option<Vec<_>>>()
        };
        let has_label = |(name, _): &ClassFolder| !self.labelled(name).is_empty();
        let numbers = if self.rule == ClassFolders::Alphabetical {
            None
        } else if folders.iter().any(has_label) {
            Some(self.by_label(folders)?)
        } else if let Some(numbers) = by_number() {
            Some(numbers)
        } else if self.labels.is_empty() && self.rule == ClassFolders::All {
            None
        } else {
            Some(self.by_label(folders)?)
        };
        let by_order = numbers.is_none();
        let numbers = match numbers {
            Some(numbers) => self.check(folders, numbers)?,
            None => self.in_order(folders)?,
        };
        Ok(Classes { numbers, by_order })
    }

    /// The classes that have this name.
    fn labelled(&self, name: &str) -> Vec<usize> {
        let is =
            |label: &str| label == name || label.contains('/') && label.replace('/', "_") == name;
        let classes = self.labels.iter().enumerate();
        classes
            .filter(|(_, label)| is(label))
            .map(|(class, _)| class)
            .collect()
    }

    fn by_label(&self, folders: &[ClassFolder]) -> Result<Vec<usize>, DatasetError> {
        let class = |(name, _): &ClassFolder| match self.labelled(name)[..] {
            [class] => Ok(class),
            [] => Err(DatasetError::UnknownClass {
                path: self.path.into(),
                what: self.what,
                folder: name.clone(),
                nearest: self.nearest(name),
            }),
            [first, second, ..] => Err(DatasetError::SharedLabel {
                path: self.path.into(),
                what: self.what,
                label: name.clone(),
                classes: [first, second],
            }),
        };
        folders.iter().map(class).collect()
    }

    /// The label that a folder's name may have been meant to be.
    fn nearest(&self, name: &str) -> String {
        let name = name.to_lowercase();
        let likeness = |label: &String| strsim::jaro_winkler(&label.to_lowercase(), &name);
        let by_likeness = |a: &&String, b: &&String| likeness(a).total_cmp(&likeness(b));
        match self.labels.iter().max_by(by_likeness) {
            Some(label) => format!("the nearest label is {label:?}"),
            None => format!(
                "it has no labels, only numbers 0 to {}",
                self.classes.saturating_sub(1)
            ),
        }
    }

    /// Checks numbers that names gave.
    fn check(
        &self,
        folders: &[ClassFolder],
        numbers: Vec<usize>,
    ) -> Result<Vec<usize>, DatasetError> {
        let mut named = BTreeMap::new();
        for ((name, images), &class) in folders.iter().zip(&numbers) {
            if class >= self.classes {
                return Err(DatasetError::UnknownClass {
                    path: self.path.into(),
                    what: self.what,
                    folder: name.clone(),
                    nearest: format!("its classes are 0 to {}", self.classes.saturating_sub(1)),
                });
            }
            if let Some((first, _)) = named.insert(class, (name, *images)) {
                return Err(DatasetError::SameClass {
                    path: self.path.into(),
                    what: self.what,
                    folders: [first.clone(), name.clone()],
                    class: self.name(class),
                });
            }
        }
        let lacks = |class: &usize| named.get(class).is_none_or(|(_, images)| *images == 0);
        let mut missing = (0..self.classes).filter(lacks);
        match missing.next() {
            Some(class) if self.rule == ClassFolders::All => Err(DatasetError::MissingClass {
                path: self.path.into(),
                class: self.name(class),
                others: missing.count(),
            }),
            _ => Ok(numbers),
        }
    }

    fn in_order(&self, folders: &[ClassFolder]) -> Result<Vec<usize>, DatasetError> {
        if folders.len() == self.classes {
            Ok((0..self.classes).collect())
        } else {
            Err(DatasetError::ClassCount {
                path: self.path.into(),
                what: self.what,
                found: folders.len(),
                classes: self.classes,
            })
        }
    }

    /// A class by number, and by name if it has one.
    fn name(&self, class: usize) -> String {
        self.labels
            .get(class)
            .map_or_else(|| class.to_string(), |label| format!("{class} {label:?}"))
    }
}

/// A name of digits alone. `10` comes before `2` in alphabetical order, so it must not be taken by order.
fn plain_number(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok()).flatten()
}
