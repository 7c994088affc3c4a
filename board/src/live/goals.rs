//! Goals that are missed though the governor did all for them, and that they no longer are.

use super::publisher::Record;
use crate::governor::Missed;
use crate::output::Time;
use serde::{Serialize, Serializer};
use std::fmt;

/// Other goals are missed than before. Serializing does not allocate.
#[derive(Debug, Serialize)]
pub(super) struct GoalsRecord {
    event: &'static str,
    time: Time,
    #[serde(serialize_with = "flags")]
    missed: Missed,
}

impl GoalsRecord {
    pub(super) fn new(missed: Missed) -> Self {
        Self {
            event: "goals",
            time: Time::now(),
            missed,
        }
    }
}

/// The flags that ask for what is missed.
fn names(missed: Missed) -> impl Iterator<Item = &'static str> {
    let rate = missed.frames_per_second.then_some("target-fps");
    rate.into_iter().chain(missed.watts.then_some("power"))
}

fn flags<S: Serializer>(missed: &Missed, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names(*missed))
}

/// `        missed: target-fps, power` or `        all goals are met`
impl Record for GoalsRecord {
    fn text(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = names(self.missed);
        let Some(first) = names.next() else {
            return to.write_str("        all goals are met");
        };
        write!(to, "        missed: {first}")?;
        names.try_for_each(|name| write!(to, ", {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line(GoalsRecord);

    impl fmt::Display for Line {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.text(f)
        }
    }

    #[test]
    fn what_is_missed_is_named_as_on_the_command_line() {
        let mut missed = Missed::default();
        let said = |missed| {
            let record = GoalsRecord::new(missed);
            let json = serde_json::to_value(&record).expect("JSON");
            (json["missed"].to_string(), Line(record).to_string())
        };
        assert_eq!(
            said(missed),
            ("[]".into(), "        all goals are met".into())
        );
        missed.watts = true;
        assert_eq!(said(missed).0, r#"["power"]"#);
        missed.frames_per_second = true;
        let both = r#"["target-fps","power"]"#;
        assert_eq!(
            said(missed),
            (both.into(), "        missed: target-fps, power".into())
        );
    }
}
