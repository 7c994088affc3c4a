//! Prefixes that wrappers put before every name, and the names that nobody asks for.

use super::set::TensorSet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What wrappers put before the names of the model inside: `DataParallel`, `torch.compile`, Lightning's modules, and
/// models that have the encoder as a part.
const WRAPPERS: [&str; 10] = [
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "timm_model.",
    "net.",
    "network.",
    "encoder.",
    "vit.",
    "visual.",
];

/// Wrappers inside wrappers, at most.
const MAX_NESTING: usize = 4;

impl TensorSet<'_> {
    /// The set as it is, then without the prefixes that every name has, one wrapper after the other.
    ///
    /// A prefix that only some names have is left: whether the others are needed, only the model's family knows, which
    /// may call [`TensorSet::stripped`].
    pub(in crate::checkpoint) fn views(&self) -> Vec<Self> {
        let mut views = vec![self.clone()];
        while let Some(last) = views.last()
            && views.len() <= MAX_NESTING
            && let Some(prefix) = common_wrapper(last)
        {
            views.push(last.stripped(prefix));
        }
        views
    }

    /// The tensors that nobody used, for a warning, `used` being names of this view.
    pub(in crate::checkpoint) fn unused(&self, used: &BTreeSet<String>) -> Unused {
        let mut groups = BTreeMap::new();
        let mut count = |group| *groups.entry(group).or_default() += 1;
        for name in self.names().filter(|name| !used.contains(*name)) {
            count(self.full_name(&group(name, used)));
        }
        let nobody = BTreeSet::new();
        self.outside()
            .iter()
            .for_each(|name| count(group(name, &nobody)));
        Unused { groups }
    }
}

/// What stands for an unused name: all that starts with the same part, if nothing used does; else the name without its
/// numbers, as in `blocks.*.attn.relative_position_index`.
fn group(name: &str, used: &BTreeSet<String>) -> String {
    let Some((first, _)) = name.split_once('.') else {
        return name.into();
    };
    let start = format!("{first}.");
    let mut from = used.range(start.clone()..);
    if !from.next().is_some_and(|used| used.starts_with(&start)) {
        return start + "*";
    }
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name
        .split('.')
        .map(|part| if is_number(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

/// The wrapper whose prefix every name has.
fn common_wrapper(set: &TensorSet<'_>) -> Option<&'static str> {
    let first = set.names().next()?;
    let is_common = |prefix: &&&str| {
        first.starts_with(**prefix) && set.names().all(|name| name.starts_with(**prefix))
    };
    WRAPPERS.iter().find(is_common).copied()
}

/// Tensors that a model does not use, grouped for one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::checkpoint) struct Unused {
    /// What stands for the names, and how many they are.
    groups: BTreeMap<String, usize>,
}

impl Unused {
    /// Whether every tensor was used.
    pub(in crate::checkpoint) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// As in `decoder.* (12), mask_token`.
impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (group, count)) in self.groups.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{group}")?;
            if *count > 1 {
                write!(f, " ({count})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::element::Element;
    use super::super::stored::Stored;
    use super::*;

    fn set(names: &[&str]) -> TensorSet<'static> {
        let mut set = TensorSet::default();
        for name in names {
            let tensor = Stored::row_major(Element::F32, vec![0], &[]);
            set.insert((*name).into(), tensor).unwrap();
        }
        set
    }

    fn names(set: &TensorSet<'_>) -> Vec<String> {
        set.names().map(str::to_owned).collect()
    }

    #[test]
    fn prefixes_that_every_name_has_are_stripped_one_by_one() {
        let set = set(&["module.model.a", "module.model.b.c"]);
        let views = set.views();
        assert_eq!(views.len(), 3);
        assert_eq!(names(&views[0]), ["module.model.a", "module.model.b.c"]);
        assert_eq!(names(&views[2]), ["a", "b.c"]);
        assert_eq!(views[2].full_name("a"), "module.model.a");
        let error = views[2].shape("d").unwrap_err().to_string();
        assert!(error.contains("module.model.d"), "{error}");
    }

    #[test]
    fn a_prefix_that_some_names_lack_is_left() {
        assert_eq!(set(&["backbone.a", "head.weight"]).views().len(), 1);
        assert_eq!(TensorSet::default().views().len(), 1);
        let wrapped = "model.".repeat(9) + "a";
        assert_eq!(set(&[wrapped.as_str()]).views().len(), MAX_NESTING + 1);
    }

    #[test]
    fn what_is_unused_fits_one_line() {
        let set = set(&[
            "model.blocks.0.index",
            "model.blocks.0.norm",
            "model.blocks.1.index",
            "model.mask",
            "model.pooler.bias",
            "model.pooler.weight",
            "ema.a",
            "ema.b",
            "center",
        ]);
        let view = set.stripped("model.");
        let unused = view.unused(&["blocks.0.norm".to_owned()].into());
        assert!(!unused.is_empty());
        assert_eq!(
            unused.to_string(),
            "center, ema.* (2), model.blocks.*.index (2), model.mask, model.pooler.* (2)"
        );
        let all: BTreeSet<String> = names(&set).into_iter().collect();
        assert!(set.unused(&all).is_empty());
    }
}
