//! Names of topics.

use crate::link::View;
use std::collections::BTreeMap;

/// Most views that have topics: sources times regions.
const MAX_VIEWS: usize = 64;

/// Longest part of a topic in bytes.
const MAX_PART: usize = 64;

/// Reads the topic under which everything is.
///
/// # Errors
/// If it is no topic that one can publish to.
pub(crate) fn parse_topic(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let has_empty_part = text.split('/').any(str::is_empty);
    match !has_empty_part && text.len() <= 128 && text.chars().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => {
            Err("expected names of letters, digits, '-', '_' and '.', separated by '/'".into())
        }
    }
}

/// A name that others chose as a part of a topic, or as an identifier of Home Assistant.
pub(super) fn part(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    plain.truncate(MAX_PART);
    let plain = plain.trim_matches('_');
    if plain.is_empty() {
        "source".into()
    } else {
        plain.into()
    }
}

/// A topic's part for each view, no two the same.
#[derive(Debug, Default)]
pub(super) struct Parts(BTreeMap<View, String>);

impl Parts {
    /// The part of a view, and whether it is new; `None` if there are too many.
    pub(super) fn of(&mut self, view: &View) -> Option<(String, bool)> {
        if let Some(part) = self.0.get(view) {
            return Some((part.clone(), false));
        }
        if self.0.len() == MAX_VIEWS {
            return None;
        }
        let wanted = part(&view.to_string());
        let is_free = |part: &String| self.0.values().all(|taken| taken != part);
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let chosen = std::iter::once(wanted.clone())
            .chain(numbered)
            .find(is_free)?;
        self.0.insert(view.clone(), chosen.clone());
        Some((chosen, true))
    }

    /// Forgets all views.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_that_can_be_published_to() {
        for good in ["mergevit", "home/garage/mergevit-1", "a.b_c"] {
            assert_eq!(parse_topic(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "a/+",
            "#",
            "a b",
            "ä",
            &"x".repeat(129),
        ] {
            assert!(parse_topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_become_parts() {
        for (name, expected) in [
            ("camera0", "camera0"),
            ("v4l2:/dev/video0", "v4l2__dev_video0"),
            ("/#/+", "source"),
            ("Küche", "K_che"),
        ] {
            assert_eq!(part(name), expected);
        }
        assert_eq!(part(&"x".repeat(1000)).len(), MAX_PART);
    }

    #[test]
    fn no_two_views_share_a_part() {
        let mut parts = Parts::default();
        let view = |source: &str| View {
            source: source.into(),
            region: None,
        };
        assert_eq!(parts.of(&view("a/b")), Some(("a_b".into(), true)));
        assert_eq!(parts.of(&view("a:b")), Some(("a_b_2".into(), true)));
        assert_eq!(parts.of(&view("a/b")), Some(("a_b".into(), false)));
        let many = (0..2 * MAX_VIEWS).filter_map(|index| parts.of(&view(&format!("c{index}"))));
        assert_eq!(many.count(), MAX_VIEWS - 2);
    }
}
