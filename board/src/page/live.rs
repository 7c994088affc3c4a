//! What the page knows of the run: the sum of the records so far.

use super::recent::{Rate, Times};
use super::totals::Totals;
use crate::every::Every;
use crate::link::{CameraStatus, Class, Frame, Record, Sensors, StateChange, Switch, View};
use crate::wire::Hello;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Most views that are kept apart: sources times regions.
const MAX_VIEWS: usize = 64;

/// Classes kept of a frame, and how often: a minute in all.
const CLASSES: usize = 5;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
const SAMPLES: usize = 240;

/// Notices kept.
const NOTICES: usize = 30;

/// What was seen in a view.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) rate: Rate,
    pub(super) state: Option<String>,
    /// Whether `state` was ever told.
    pub(super) decides: bool,
    pub(super) history: VecDeque<Sample>,
    sampling: Every,
}

/// The classes of a frame.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) top: Vec<Class>,
}

/// Whether a source gives frames.
#[derive(Clone, Debug)]
pub(super) struct Camera {
    pub(super) status: CameraStatus,
    pub(super) reason: Option<String>,
    pub(super) since: Instant,
}

/// Something that people may want to know afterwards.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Notice {
    #[serde(skip)]
    pub(super) at: Instant,
    /// `state`, `switch`, `camera`, `reload`, `error`, `lost` or `run`.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// Where the run is.
#[derive(Clone, Debug)]
pub(super) enum Run {
    Away { since: Instant, reason: String },
    Here(Box<Hello>),
}

/// All that.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) run: Run,
    /// What runs: a schedule or a cascade.
    pub(super) schedule: Option<String>,
    /// Whether somebody holds it.
    pub(super) held: bool,
    /// The last change of it.
    pub(super) switch: Option<(Instant, Switch)>,
    pub(super) budget_us: Option<f64>,
    pub(super) views: BTreeMap<View, Seen>,
    pub(super) cameras: BTreeMap<String, Camera>,
    pub(super) sensors: Option<(Instant, Sensors)>,
    pub(super) latency: Times,
    pub(super) age: Times,
    pub(super) notices: VecDeque<Notice>,
    pub(super) totals: Totals,
}

impl Live {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            run: Run::Away {
                since: now,
                reason: "not connected yet".into(),
            },
            schedule: None,
            held: false,
            switch: None,
            budget_us: None,
            views: BTreeMap::new(),
            cameras: BTreeMap::new(),
            sensors: None,
            latency: Times::default(),
            age: Times::default(),
            notices: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// The run is there, for the first time or again, or has loaded another model.
    pub(super) fn connected(&mut self, now: Instant, mut hello: Hello) {
        // Where the pack lies is nobody's business.
        if let Some((_, name)) = hello.model.rsplit_once('/') {
            hello.model = name.to_owned();
        }
        if matches!(self.run, Run::Away { .. }) {
            self.notice(now, "run", format!("{} runs", hello.model));
            self.cameras.clear();
            self.sensors = None;
            self.switch = None;
            self.budget_us = None;
        }
        // What was seen with another model is not comparable.
        self.views.clear();
        self.schedule = Some(hello.schedule.clone());
        self.held = hello.held;
        self.run = Run::Here(Box::new(hello));
    }

    /// The run is not there. Whether that is news.
    pub(super) fn away(&mut self, now: Instant, why: &str) -> bool {
        if let Run::Away { reason, .. } = &mut self.run {
            let news = reason != why;
            why.clone_into(reason);
            return news;
        }
        self.notice(now, "run", format!("away: {why}"));
        self.run = Run::Away {
            since: now,
            reason: why.to_owned(),
        };
        true
    }

    /// Adds a record.
    pub(super) fn heard(&mut self, now: Instant, record: &Record) {
        self.totals.heard(record);
        match record {
            Record::Frame(frame) => self.frame(now, frame),
            Record::State(change) => self.state(now, change),
            Record::Switch(switch) => self.switched(now, switch),
            Record::Sensors(sensors) => self.sensors = Some((now, sensors.clone())),
            Record::Camera {
                source,
                status,
                reason,
            } => self.camera(now, source, *status, reason.as_deref()),
            Record::Lost { records } => {
                self.notice(
                    now,
                    "lost",
                    format!("this page was slow: {records} records are missing"),
                );
            }
            Record::Reload { ok: true, .. } => {
                self.notice(now, "reload", "the model was loaded again".into());
            }
            Record::Reload { ok: false, reason } => {
                let reason = reason.as_deref().unwrap_or("no reason given");
                self.notice(now, "reload", format!("the old model stays: {reason}"));
            }
            Record::Error { reason } => self.notice(now, "error", reason.clone()),
            Record::Hello(_) | Record::Other => {}
        }
    }

    fn frame(&mut self, now: Instant, frame: &Frame) {
        self.latency.record(frame.latency_us);
        if let Some(age) = frame.age_us {
            self.age.record(age);
        }
        // Frames are the proof that a camera streams, whatever was told before.
        if let Some(camera) = self.cameras.get_mut(&frame.source)
            && camera.status != CameraStatus::Streaming
        {
            *camera = Camera {
                status: CameraStatus::Streaming,
                reason: None,
                since: now,
            };
        }
        let Some(seen) = self.seen(View::of(frame)) else {
            return;
        };
        seen.rate.frame(now);
        if let Some(state) = &frame.state {
            seen.decides = true;
            seen.state.clone_from(state);
        }
        if seen.sampling.is_due(now) {
            if seen.history.len() == SAMPLES {
                seen.history.pop_front();
            }
            let top = frame.top.iter().take(CLASSES).cloned().collect();
            seen.history.push_back(Sample { at: now, top });
        }
    }

    fn state(&mut self, now: Instant, change: &StateChange) {
        let view = View::of_change(change);
        let state = change.state.as_deref().unwrap_or("nothing sure");
        let text = match change.best {
            Some(best) => format!("{view}: {state} ({:.0} %)", 100.0 * best.confidence),
            None => format!("{view}: {state}"),
        };
        self.notice(now, "state", text);
        if let Some(seen) = self.seen(view) {
            seen.decides = true;
            seen.state.clone_from(&change.state);
        }
    }

    fn switched(&mut self, now: Instant, switch: &Switch) {
        match switch.reason.as_str() {
            "held" => self.held = true,
            "released" => self.held = false,
            _ => {}
        }
        self.budget_us = switch.budget_us.or(self.budget_us);
        self.schedule = Some(switch.to.clone());
        self.notice(
            now,
            "switch",
            format!(
                "{} → {}: {}",
                switch.from,
                switch.to,
                switch.reason.replace('_', " ")
            ),
        );
        self.switch = Some((now, switch.clone()));
    }

    fn camera(&mut self, now: Instant, source: &str, status: CameraStatus, reason: Option<&str>) {
        let what = match status {
            CameraStatus::Streaming => "streaming",
            CameraStatus::Lost => "lost",
            CameraStatus::Waiting => "waited for",
        };
        let text = match reason {
            Some(reason) => format!("{source}: {what}: {reason}"),
            None => format!("{source}: {what}"),
        };
        self.notice(now, "camera", text);
        if self.cameras.len() < MAX_VIEWS || self.cameras.contains_key(source) {
            let camera = Camera {
                status,
                reason: reason.map(str::to_owned),
                since: now,
            };
            self.cameras.insert(source.to_owned(), camera);
        }
    }

    /// `None` where there are too many views.
    fn seen(&mut self, view: View) -> Option<&mut Seen> {
        if self.views.len() >= MAX_VIEWS && !self.views.contains_key(&view) {
            return None;
        }
        Some(self.views.entry(view).or_insert_with(|| Seen {
            rate: Rate::default(),
            state: None,
            decides: false,
            history: VecDeque::new(),
            sampling: Every::new(SAMPLE_INTERVAL),
        }))
    }

    fn notice(&mut self, at: Instant, kind: &'static str, text: String) {
        if self.notices.len() == NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice { at, kind, text });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A greeting with two schedules and a source.
    pub(in crate::page) const HELLO: &str = r#"{"event":"hello","protocol":1,"version":"9","model":"/etc/m.mvit",
        "labels":["cat","dog"],"image_size":16,"grid":[2,2],
        "schedules":[{"name":"r0","gmacs":1.5,"tokens":5},{"name":"r1","gmacs":1,"tokens":3,"agreement":0.99}],
        "cascades":["easy"],"sources":[{"name":"camera0","description":"a camera"}],"schedule":"r0"}"#;

    pub(in crate::page) fn hello() -> Hello {
        serde_json::from_str(HELLO).expect("a greeting")
    }

    /// A run that is there, after these records.
    pub(in crate::page) fn after(now: Instant, records: &[&str]) -> Live {
        let mut live = Live::new(now);
        live.connected(now, hello());
        for record in records {
            live.heard(now, &serde_json::from_str(record).expect(record));
        }
        live
    }

    pub(in crate::page) const FRAME: &str = r#"{"event":"frame","time":"t","frame":7,"source":"camera0","schedule":"r0",
        "dropped":{"driver":1,"replaced":2},"top":[{"class":0,"label":"cat","probability":0.75}],"state":"cat",
        "latency_us":2000,"age_us":5000}"#;

    fn view() -> View {
        View {
            source: "camera0".into(),
            region: None,
        }
    }

    #[test]
    fn frames_fill_the_history_at_its_pace() {
        let now = Instant::now();
        let mut live = after(now, &[]);
        let frame = serde_json::from_str(FRAME).expect("a frame");
        for millisecond in (0..120_000).step_by(100) {
            live.heard(now + Duration::from_millis(millisecond), &frame);
        }
        let seen = &live.views[&view()];
        assert_eq!((seen.history.len(), seen.decides), (SAMPLES, true));
        assert_eq!(seen.state.as_deref(), Some("cat"));
        let span = seen.history[SAMPLES - 1].at - seen.history[0].at;
        assert!(span >= SAMPLE_INTERVAL * (SAMPLES as u32 - 1));
    }

    #[test]
    fn switches_say_what_runs_and_who_decides() {
        let held = r#"{"event":"switch","from":"r0","to":"r1","reason":"held"}"#;
        let live = after(Instant::now(), &[held]);
        assert_eq!((live.schedule.as_deref(), live.held), (Some("r1"), true));
        let over =
            r#"{"event":"switch","from":"r1","to":"r0","reason":"released","budget_us":33333}"#;
        let live = after(Instant::now(), &[held, over]);
        assert_eq!((live.schedule.as_deref(), live.held), (Some("r0"), false));
        assert_eq!(live.budget_us, Some(33333.0));
    }

    #[test]
    fn a_camera_is_lost_until_frames_come() {
        let lost = r#"{"event":"camera","source":"camera0","status":"lost","reason":"unplugged"}"#;
        let live = after(Instant::now(), &[FRAME, lost]);
        assert_eq!(live.cameras["camera0"].status, CameraStatus::Lost);
        let live = after(Instant::now(), &[FRAME, lost, FRAME]);
        assert_eq!(live.cameras["camera0"].status, CameraStatus::Streaming);
        assert!(
            live.notices
                .iter()
                .any(|notice| notice.text == "camera0: lost: unplugged")
        );
    }

    #[test]
    fn being_away_is_told_once_for_each_reason() {
        let now = Instant::now();
        let mut live = after(now, &[FRAME]);
        assert!(live.away(now, "it ended"));
        assert!(!live.away(now, "it ended"));
        assert!(live.away(now, "no such file"));
        let away = live
            .notices
            .iter()
            .filter(|notice| notice.text.starts_with("away"));
        assert_eq!(away.count(), 1);
        live.connected(now, hello());
        assert!(live.views.is_empty() && matches!(live.run, Run::Here(_)));
    }

    #[test]
    fn memory_is_bounded_whatever_a_run_says() {
        let now = Instant::now();
        let mut live = after(now, &[]);
        for index in 0..10 * MAX_VIEWS {
            let frame = FRAME.replace("camera0", &format!("camera{index}"));
            live.heard(now, &serde_json::from_str(&frame).expect("a frame"));
            live.camera(now, &format!("camera{index}"), CameraStatus::Lost, None);
        }
        assert_eq!(
            (live.views.len(), live.cameras.len()),
            (MAX_VIEWS, MAX_VIEWS)
        );
        assert_eq!(live.notices.len(), NOTICES);
    }
}
