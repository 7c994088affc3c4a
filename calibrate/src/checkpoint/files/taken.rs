//! The tensors that were taken of what a file holds, and which these are.

use super::set::TensorSet;
use crate::checkpoint::error::{Candidate, Defect};
use std::collections::{BTreeMap, BTreeSet};

/// What stands for the outermost tensors, all of them.
pub(super) const WHOLE: &str = ".";

/// Fewer tensors are no transformer: patches, two norms, four matrices and a last norm are eight.
pub(super) const MIN_TENSORS: usize = 8;

/// Words for another version of a model than the one that was trained: an average of it over time, or one that it
/// learns from.
const VERSIONS: [&str; 8] = [
    "ema", "swa", "averaged", "teacher", "student", "momentum", "target", "online",
];

/// The most versions of one model that are told apart.
const MAX_VERSIONS: usize = 16;

/// The tensors that were taken.
#[derive(Debug)]
pub(in crate::checkpoint) struct Taken<'a> {
    pub(in crate::checkpoint) tensors: TensorSet<'a>,
    /// Where they were; none if they are all that the files hold.
    pub(in crate::checkpoint) key: Option<String>,
}

impl<'a> Taken<'a> {
    /// Tensors that were at `path`, empty for the outermost.
    pub(super) fn of(tensors: TensorSet<'a>, path: &str) -> Self {
        let key = (!path.is_empty()).then(|| path.to_owned());
        Self { tensors, key }
    }

    /// Those of the tensors whose names start with `prefix` and a dot, without it.
    ///
    /// # Errors
    /// [`Defect::Key`] if there are none.
    pub(super) fn behind(self, prefix: &str) -> Result<Self, Defect> {
        let tensors = self.tensors.chosen(&format!("{prefix}."));
        let key = match self.key {
            Some(path) => format!("{path}.{prefix}"),
            None => prefix.into(),
        };
        if tensors.names().next().is_none() {
            let found = groups(&self.tensors);
            let found = found.into_iter().map(|(group, names)| Candidate {
                key: group.into(),
                tensors: names.len(),
            });
            let found = found.collect();
            return Err(Defect::Key { key, found });
        }
        let key = Some(key);
        Ok(Self { tensors, key })
    }

    /// Checks that the names are not those of two versions of one model.
    ///
    /// # Errors
    /// [`Defect::Choice`].
    pub(super) fn check_versions(&self) -> Result<(), Defect> {
        let groups = groups(&self.tensors);
        let whole: BTreeSet<&str> = self.tensors.names().collect();
        let listed = |group: &str, tensors| Candidate {
            key: match &self.key {
                Some(path) if group == WHOLE => path.clone(),
                Some(path) => format!("{path}.{group}"),
                None => group.into(),
            },
            tensors,
        };
        let versions = groups
            .iter()
            .filter(|(group, names)| names.len() >= MIN_TENSORS && is_version(group));
        // One is compared with everything, and no file has many.
        for (version, names) in versions.take(MAX_VERSIONS) {
            let is_same =
                |others: &BTreeSet<&str>| names.intersection(others).count() >= MIN_TENSORS;
            let mut found = vec![listed(version, names.len())];
            let others = groups.iter().filter(|(group, _)| *group != version);
            let others = others.filter(|(_, others)| is_same(others));
            found.extend(others.map(|(group, names)| listed(group, names.len())));
            if is_same(&whole) {
                found.push(listed(WHOLE, whole.len()));
            }
            if found.len() > 1 {
                return Err(Defect::Choice(found));
            }
        }
        Ok(())
    }
}

/// The names after their first part, by that part.
fn groups<'s>(set: &'s TensorSet<'_>) -> BTreeMap<&'s str, BTreeSet<&'s str>> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (group, name) in set.names().filter_map(|name| name.split_once('.')) {
        groups.entry(group).or_default().insert(name);
    }
    groups
}

/// Whether a part of a name says that this is another version of a model.
fn is_version(group: &str) -> bool {
    let lower = group.to_ascii_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| VERSIONS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::super::element::Element;
    use super::super::stored::Stored;
    use super::*;

    /// Eight tensors behind each prefix.
    fn taken(prefixes: &[&str]) -> Taken<'static> {
        let mut set = TensorSet::default();
        for prefix in prefixes {
            for i in 0..MIN_TENSORS {
                let tensor = Stored::row_major(Element::F32, vec![0], &[]);
                set.insert(format!("{prefix}blocks.{i}.weight"), tensor)
                    .unwrap();
            }
        }
        Taken::of(set, "")
    }

    #[test]
    fn two_versions_of_a_model_are_a_question() {
        for (prefixes, keys) in [
            (&["model.", "model_ema."][..], &["model_ema", "model"][..]),
            (&["student.", "teacher."], &["student", "teacher"]),
            (&["", "ema."], &["ema", "."]),
            (
                &["net.", "target_encoder.", "loss."],
                &["target_encoder", "loss", "net"],
            ),
        ] {
            let error = taken(prefixes).check_versions().unwrap_err();
            let Defect::Choice(found) = error else {
                panic!("{error}");
            };
            let found: Vec<_> = found.iter().map(|weights| weights.key.as_str()).collect();
            assert_eq!(found, keys);
        }
        for prefixes in [
            &["model."][..],
            &["text_model.", "vision_model."],
            &["teacher."],
            &["schema.", "x."],
        ] {
            taken(prefixes).check_versions().unwrap();
        }
    }

    #[test]
    fn a_key_is_a_prefix_of_the_names() {
        let chosen = taken(&["model.", "ema.net."]).behind("ema").unwrap();
        assert_eq!(chosen.key.as_deref(), Some("ema"));
        assert!(chosen.tensors.has("net.blocks.0.weight"));
        assert_eq!(chosen.tensors.names().count(), MIN_TENSORS);
        assert!(chosen.tensors.outside().is_empty());
        let error = taken(&["model.", "ema.net."])
            .behind("em")
            .unwrap_err()
            .to_string();
        assert!(error.contains("ema") && error.contains("model"), "{error}");
    }
}
