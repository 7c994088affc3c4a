//! The states of all sources and regions, and what records say of them.

use super::decide::{Account, Best, Change, Decider, Rules, Sight, Vote};
use super::publisher::Record;
use crate::output::{Escaped, Time};
use crate::ranking::Label;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A state as text: a class's name, `unknown`, or null.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateName<'a> {
    pub(super) labels: &'a [String],
    pub(super) state: Vote,
}

impl Serialize for StateName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.state {
            Vote::Nothing => serializer.serialize_none(),
            Vote::Unknown => serializer.serialize_str("unknown"),
            Vote::Class(class) => match self.labels.get(class) {
                Some(label) => serializer.serialize_str(label),
                None => serializer.collect_str(&format_args!("class {class}")),
            },
        }
    }
}

/// For people.
impl fmt::Display for StateName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            Vote::Nothing => f.write_str("nothing"),
            Vote::Unknown => f.write_str("unknown"),
            Vote::Class(class) => {
                let labels = self.labels;
                Label { labels, class }.fmt(f)
            }
        }
    }
}

/// The frame that shows a state best.
#[derive(Clone, Copy, Debug, Serialize)]
struct BestFrame {
    frame: u64,
    confidence: f32,
}

/// A state, since when, for how long.
#[derive(Clone, Copy, Debug, Serialize)]
struct StateAccount<'a> {
    state: StateName<'a>,
    since: Time,
    duration_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<BestFrame>,
}

impl<'a> StateAccount<'a> {
    fn new(account: &Account, labels: &'a [String]) -> Self {
        let frame = |best: Best| BestFrame {
            frame: best.frame,
            confidence: best.confidence,
        };
        Self {
            state: StateName {
                labels,
                state: account.state,
            },
            since: Time::at(account.since),
            duration_s: seconds(account.duration),
            best: account.best.map(frame),
        }
    }
}

/// In milliseconds, as the times of records.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

/// A source, or a region of it, shows something else. Serializing does not allocate.
#[derive(Debug, Serialize)]
pub(super) struct StateRecord<'a> {
    event: &'static str,
    time: Time,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(flatten)]
    now: StateAccount<'a>,
    /// What ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<StateAccount<'a>>,
    #[serde(skip)]
    shows_source: bool,
}

impl<'a> StateRecord<'a> {
    pub(super) fn new(
        source: &'a str,
        region: Option<&'a str>,
        change: &Change,
        labels: &'a [String],
        shows_source: bool,
    ) -> Self {
        let before = change.before.as_ref();
        Self {
            event: "state",
            time: Time::now(),
            source,
            region,
            now: StateAccount::new(&change.now, labels),
            previous: before.map(|account| StateAccount::new(account, labels)),
            shows_source,
        }
    }
}

/// `        2026-05-04T12:34:56.789Z  nut, after bolt for 3.200 s`
impl Record for StateRecord<'_> {
    fn text(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "        {}  ", self.now.since)?;
        if self.shows_source {
            write!(to, "{}  ", Escaped(self.source))?;
        }
        if let Some(region) = self.region {
            write!(to, "[{region}]  ")?;
        }
        write!(to, "{}", self.now.state)?;
        match &self.previous {
            Some(before) => write!(
                to,
                ", after {} for {:.3} s",
                before.state, before.duration_s
            ),
            None => Ok(()),
        }
    }
}

/// A decider for each source and region.
#[derive(Debug)]
pub(super) struct States {
    deciders: Vec<Decider>,
    /// Regions a source; 1 if frames are whole.
    regions: usize,
    rules: Rules,
}

impl States {
    pub(super) fn new(rules: Rules, feeds: usize, regions: usize) -> Self {
        Self {
            // Not copies of one: they would have no room.
            deciders: (0..feeds * regions).map(|_| Decider::new(rules)).collect(),
            regions,
            rules,
        }
    }

    /// Takes an answer of a feed's region. Returns the vote, and the change if it makes one.
    pub(super) fn see(
        &mut self,
        feed: usize,
        region: usize,
        sight: &Sight,
    ) -> (Vote, Option<Change>) {
        let decider = &mut self.deciders[feed * self.regions + region];
        (self.rules.vote(sight), decider.see(sight))
    }

    /// What a feed's region shows.
    pub(super) fn state(&self, feed: usize, region: usize) -> Vote {
        self.deciders[feed * self.regions + region].state()
    }

    /// Ends the state of a feed's region.
    pub(super) fn end(&mut self, feed: usize, region: usize) -> Option<Change> {
        self.deciders[feed * self.regions + region].end()
    }
}
