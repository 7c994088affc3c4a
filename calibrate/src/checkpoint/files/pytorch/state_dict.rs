//! The state dictionaries of a file, and which one is meant.
//!
//! A training script keeps more than a model: its average over time, a teacher, an optimizer. Which model is meant no
//! file says, so where there are several it must be asked.

use super::pickle::{Heap, Id, Object};
use crate::checkpoint::error::{Candidate, Defect};
use crate::checkpoint::files::taken::{MIN_TENSORS, WHOLE};
use std::collections::HashSet;

/// Dictionaries in dictionaries, at most.
const MAX_NESTING: usize = 6;
/// The most dictionaries beside each other.
const MAX_DICTIONARIES: usize = 10_000;
/// The longest key of a dictionary, in bytes.
const MAX_KEY: usize = 256;

/// A dictionary with tensors of the types that weights have.
#[derive(Clone, Debug)]
pub(super) struct StateDict<'h> {
    /// The keys that lead to it, joined by dots; empty for the outermost.
    pub(super) path: String,
    pub(super) items: &'h [(Id, Id)],
    tensors: usize,
}

/// All state dictionaries that keys of text lead to: an optimizer's have numbers.
///
/// # Errors
/// [`Defect::Pickle`] for more dictionaries than a training keeps.
pub(super) fn find<'h>(heap: &'h Heap<'_>, root: Id) -> Result<Vec<StateDict<'h>>, Defect> {
    let mut found = Vec::new();
    // Level by level: a dictionary in two places has the shorter path.
    let mut level = vec![(String::new(), root)];
    let mut seen = HashSet::new();
    for _ in 0..MAX_NESTING {
        let mut next = Vec::new();
        for (path, id) in level {
            let Object::Dict(items) = heap.get(id) else {
                continue;
            };
            if !seen.insert(id) {
                continue;
            }
            let is_read = |&&(key, value): &&(Id, Id)| {
                heap.text(key).is_some()
                    && matches!(heap.get(value), Object::Tensor(tensor) if tensor.element.is_read())
            };
            let tensors = items.iter().filter(is_read).count();
            for &(key, value) in items {
                let is_dict = matches!(heap.get(value), Object::Dict(_));
                let key = heap.text(key).filter(|key| key.len() <= MAX_KEY);
                let Some(key) = key.filter(|_| is_dict && !seen.contains(&value)) else {
                    continue;
                };
                if next.len() == MAX_DICTIONARIES {
                    let what = "it has more dictionaries than a training keeps";
                    return Err(Defect::Pickle(what.into()));
                }
                let dot = if path.is_empty() { "" } else { "." };
                next.push((format!("{path}{dot}{key}"), value));
            }
            if tensors > 0 {
                found.push(StateDict {
                    path,
                    items,
                    tensors,
                });
            }
        }
        level = next;
    }
    Ok(found)
}

/// The state dictionary that `key` names, and the part of the key after its path; without a key the only one that
/// can be a model.
///
/// # Errors
/// [`Defect::Choice`], [`Defect::Key`], or [`Defect::Pickle`] if there is none at all.
pub(super) fn choose<'f, 'h, 'k>(
    found: &'f [StateDict<'h>],
    key: Option<&'k str>,
) -> Result<(&'f StateDict<'h>, Option<&'k str>), Defect> {
    let listed = |dicts: &[&'f StateDict<'h>]| dicts.iter().map(|dict| dict.listed()).collect();
    let all: Vec<&'f StateDict<'h>> = found.iter().collect();
    let Some(key) = key else {
        let mut models = all.clone();
        models.retain(|dict| dict.tensors >= MIN_TENSORS);
        let contenders = if models.is_empty() { all } else { models };
        return match contenders[..] {
            [] => Err(Defect::Pickle(
                "it has no dictionary of floating-point tensors".into(),
            )),
            [only] => Ok((only, None)),
            _ => Err(Defect::Choice(listed(&contenders))),
        };
    };
    if key == WHOLE {
        let root = found.iter().find(|dict| dict.path.is_empty());
        return root
            .map(|root| (root, None))
            .ok_or_else(|| unknown(key, listed(&all)));
    }
    let rest = |dict: &StateDict<'_>| {
        if dict.path.is_empty() {
            return Some(Some(key));
        }
        let rest = key.strip_prefix(&dict.path)?;
        if rest.is_empty() {
            Some(None)
        } else {
            rest.strip_prefix('.').map(Some)
        }
    };
    let fits = found.iter().filter_map(|dict| Some((dict, rest(dict)?)));
    let longest = fits.max_by_key(|(dict, _)| dict.path.len());
    longest.ok_or_else(|| unknown(key, listed(&all)))
}

fn unknown(key: &str, found: Vec<Candidate>) -> Defect {
    Defect::Key {
        key: key.into(),
        found,
    }
}

impl StateDict<'_> {
    fn listed(&self) -> Candidate {
        Candidate {
            key: if self.path.is_empty() {
                WHOLE.into()
            } else {
                self.path.clone()
            },
            tensors: self.tensors,
        }
    }
}
