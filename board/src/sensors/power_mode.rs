//! The power mode of a Jetson: what `nvpmodel` was told.

use super::files::text;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// A power mode.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PowerMode {
    /// As `nvpmodel` keeps it, e.g. `0002`.
    #[serde(rename = "power_mode")]
    id: Option<String>,
    /// What `/etc/nvpmodel.conf` calls it, e.g. `15W` or `MAXN_SUPER`.
    #[serde(rename = "power_mode_name")]
    name: Option<String>,
}

impl PowerMode {
    pub(super) fn read(root: &Path) -> Self {
        let status = text(&root.join("var/lib/nvpmodel/status"));
        let id: Option<String> = status.map(|text| text.trim_start_matches("pmode:").into());
        let number = id.as_deref().and_then(|id| id.parse().ok());
        let name = number.and_then(|number| {
            let configuration = text(&root.join("etc/nvpmodel.conf"))?;
            name(&configuration, number).map(Into::into)
        });
        Self { id, name }
    }

    /// Whether the machine has any.
    pub(super) fn is_known(&self) -> bool {
        self.id.is_some()
    }
}

/// E.g. `power mode 15W (0002)`.
impl fmt::Display for PowerMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("unknown");
        match &self.name {
            Some(name) => write!(f, "power mode {name} ({id})"),
            None => write!(f, "power mode {id}"),
        }
    }
}

/// The name of mode `number` in a configuration: `< POWER_MODEL ID=2 NAME=15W >`.
fn name(configuration: &str, number: u32) -> Option<&str> {
    configuration.lines().find_map(|line| {
        let inner = line.trim().strip_prefix('<')?.strip_suffix('>')?;
        let mut words = inner.split_whitespace();
        (words.next() == Some("POWER_MODEL")).then_some(())?;
        let values = || words.clone().filter_map(|word| word.split_once('='));
        let value = |key| values().find_map(|(name, value)| (name == key).then_some(value));
        (value("ID")?.parse() == Ok(number)).then(|| value("NAME"))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_modes_alone() {
        let text = "# < POWER_MODEL ID=2 NAME=COMMENT >\n\
                    < PARAM TYPE=FILE NAME=CPU_ONLINE >\n\
                    < POWER_MODEL ID=0 NAME=15W >\n\
                    CPU_ONLINE CORE_0 1\n\
                    <POWER_MODEL ID=2 NAME=MAXN_SUPER>\n\
                    < POWER_MODEL ID=3 >\n\
                    < PM_CONFIG DEFAULT=1 >\n";
        assert_eq!(name(text, 0), Some("15W"));
        assert_eq!(name(text, 2), Some("MAXN_SUPER"));
        assert_eq!((name(text, 1), name(text, 3)), (None, None));
    }
}
