//! What is to be said: the last word on each topic, and which of them the broker has not heard.
//!
//! While the broker is away, only the last word on a topic is kept: memory does not grow. A state counts its changes, so
//! that whoever reads it sees that some passed unheard.

use super::discovery::{Device, Entity};
use super::topics::Parts;
use crate::link::{CameraStatus, Frame, Record, Sensors, StateChange, View};
use crate::wire::Hello;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often measurements are told.
const SENSORS: Duration = Duration::from_secs(10);

/// How often a state may change where the run decides nothing, so that every frame has its own.
const UNDECIDED: Duration = Duration::from_secs(1);

/// Payloads of availability.
pub(super) const ONLINE: &str = "online";
pub(super) const OFFLINE: &str = "offline";

/// A word on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) payload: String,
    /// Whether the broker keeps it for those who come later, and has to acknowledge it.
    pub(super) lasts: bool,
}

/// A view's state.
#[derive(Debug, Default)]
struct State {
    /// Whether the run decides on it.
    decided: bool,
    name: Option<String>,
    changes: u64,
    told: Option<Instant>,
}

/// All that.
#[derive(Debug)]
pub(super) struct News {
    device: Device,
    words: BTreeMap<String, Word>,
    unheard: BTreeSet<String>,
    parts: Parts,
    states: BTreeMap<View, State>,
    /// When measurements were told; `None` before the first.
    measured: Option<Instant>,
    lost: u64,
}

impl News {
    pub(super) fn new(device: Device) -> Self {
        let mut news = Self {
            device,
            words: BTreeMap::new(),
            unheard: BTreeSet::new(),
            parts: Parts::default(),
            states: BTreeMap::new(),
            measured: None,
            lost: 0,
        };
        news.availability(OFFLINE);
        news
    }

    /// The next word that the broker has not heard.
    pub(super) fn next(&self) -> Option<(&str, &Word)> {
        let topic = self.unheard.first()?;
        Some((topic, &self.words[topic]))
    }

    /// The word on this topic is on its way.
    pub(super) fn said(&mut self, topic: &str) {
        self.unheard.remove(topic);
    }

    /// A broker that has just been connected may know nothing: what lasts is told again.
    pub(super) fn tell_all(&mut self) {
        let lasting = self.words.iter().filter(|(_, word)| word.lasts);
        self.unheard = lasting.map(|(topic, _)| topic.clone()).collect();
    }

    /// The run is there.
    pub(super) fn connected(&mut self, hello: &Hello) {
        let name = hello.model.rsplit('/').next().unwrap_or_default();
        name.clone_into(&mut self.device.model);
        self.device.version.clone_from(&hello.version);
        // Configurations name the model: told again, as each of them comes up.
        self.parts.clear();
        self.states.clear();
        self.measured = None;
        self.configure(&self.device.schedule());
        self.word(
            "schedule",
            &json!({"schedule": hello.schedule, "reason": null}),
        );
        for source in &hello.sources {
            self.camera(&source.name, true);
        }
        self.availability(ONLINE);
    }

    /// The run is not there.
    pub(super) fn away(&mut self) {
        self.availability(OFFLINE);
    }

    /// A record came.
    pub(super) fn heard(&mut self, now: Instant, record: &Record) {
        match record {
            Record::Frame(frame) => self.frame(now, frame),
            Record::State(change) => self.state(now, change),
            Record::Switch(switch) => {
                let word =
                    json!({"schedule": switch.to, "before": switch.from, "reason": switch.reason});
                self.word("schedule", &word);
            }
            Record::Sensors(sensors) => self.sensors(now, sensors),
            Record::Camera { source, status, .. } => {
                self.camera(source, *status == CameraStatus::Streaming);
            }
            Record::Lost { records } => {
                self.lost = self.lost.saturating_add(*records);
                self.word("lost", &json!({"records": self.lost}));
            }
            Record::Reload { .. } | Record::Error { .. } | Record::Hello(_) | Record::Other => {}
        }
    }

    /// Where nothing is decided, a frame's best class is the state.
    fn frame(&mut self, now: Instant, frame: &Frame) {
        let view = View::of(frame);
        if self.states.get(&view).is_some_and(|state| state.decided) || frame.state.is_some() {
            return;
        }
        let Some(best) = frame.top.first() else {
            return;
        };
        let name = if frame.unknown {
            "unknown".into()
        } else {
            best.name()
        };
        let is_early = |state: &State| {
            state
                .told
                .is_some_and(|told| now.saturating_duration_since(told) < UNDECIDED)
        };
        let known = self.states.get(&view);
        if known.is_some_and(|state| state.name.as_ref() == Some(&name) || is_early(state)) {
            return;
        }
        self.tell_state(
            now,
            view,
            Some(name),
            false,
            json!({"confidence": best.probability, "time": frame.time}),
        );
    }

    fn state(&mut self, now: Instant, change: &StateChange) {
        let view = View::of_change(change);
        let confidence = change.best.map(|best| best.confidence);
        let more = json!({"confidence": confidence, "since": change.since, "time": change.time});
        self.tell_state(now, view, change.state.clone(), true, more);
    }

    fn tell_state(
        &mut self,
        now: Instant,
        view: View,
        name: Option<String>,
        decided: bool,
        mut more: Value,
    ) {
        let Some((part, is_new)) = self.parts.of(&view) else {
            return;
        };
        if is_new {
            self.configure(&self.device.state(&part, &view.to_string()));
        }
        let state = self.states.entry(view).or_default();
        state.decided |= decided;
        state.changes += 1;
        state.told = Some(now);
        more["state"] = json!(name);
        more["changes"] = json!(state.changes);
        state.name = name;
        self.word(&format!("{part}/state"), &more);
    }

    fn camera(&mut self, source: &str, streams: bool) {
        let view = View {
            source: source.to_owned(),
            region: None,
        };
        let Some((part, is_new)) = self.parts.of(&view) else {
            return;
        };
        if is_new {
            self.configure(&self.device.state(&part, source));
        }
        self.configure(&self.device.camera(&part, source));
        self.set(
            &format!("{part}/camera"),
            if streams { "ON" } else { "OFF" }.into(),
            true,
        );
    }

    fn sensors(&mut self, now: Instant, sensors: &Sensors) {
        let is_early = |told: Instant| now.saturating_duration_since(told) < SENSORS;
        if self.measured.is_some_and(is_early) {
            return;
        }
        if self.measured.is_none() {
            for entity in self.device.sensors() {
                self.configure(&entity);
            }
        }
        self.measured = Some(now);
        let celsius = sensors.temperatures.iter().map(|zone| zone.celsius);
        let word = json!({
            "watts": sensors.watts,
            "celsius": celsius.max_by(f64::total_cmp),
            "gpu_percent": sensors.gpu_load.map(|load| (1000.0 * load).round() / 10.0),
            "joules_per_frame": sensors.joules_per_frame,
            "throttled": !sensors.throttled.is_empty(),
            "causes": sensors.throttled,
        });
        self.set("sensors", word.to_string(), false);
    }

    fn configure(&mut self, entity: &Entity) {
        let (topic, configuration) = self.device.configuration(entity);
        self.set_topic(topic, configuration.to_string(), true);
    }

    fn availability(&mut self, payload: &str) {
        self.set("availability", payload.into(), true);
    }

    /// A lasting word below the board's topic.
    fn word(&mut self, below: &str, value: &Value) {
        self.set(below, value.to_string(), true);
    }

    fn set(&mut self, below: &str, payload: String, lasts: bool) {
        self.set_topic(format!("{}/{below}", self.device.topic), payload, lasts);
    }

    /// What lasts and is already said need not be said again.
    fn set_topic(&mut self, topic: String, payload: String, lasts: bool) {
        let word = Word { payload, lasts };
        if lasts && self.words.get(&topic) == Some(&word) {
            return;
        }
        self.words.insert(topic.clone(), word);
        self.unheard.insert(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::super::discovery::tests::device;
    use super::*;

    const HELLO: &str = r#"{"event":"hello","protocol":1,"version":"9","model":"/etc/m.mvit","labels":["cat"],
        "image_size":8,"grid":[1,1],"schedules":[],"cascades":[],"schedule":"r0",
        "sources":[{"name":"camera0","description":"a camera"}]}"#;

    fn connected() -> News {
        let mut news = News::new(device());
        news.connected(&serde_json::from_str(HELLO).expect("a greeting"));
        news
    }

    fn hear(news: &mut News, now: Instant, record: &str) {
        news.heard(now, &serde_json::from_str(record).expect(record));
    }

    /// What is unheard, which is heard now: topic and payload.
    fn drain(news: &mut News) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        while let Some((topic, word)) = news.next() {
            let topic = topic.to_owned();
            found.insert(topic.clone(), word.payload.clone());
            news.said(&topic);
        }
        found
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_run_is_announced_and_goes() {
        let mut news = connected();
        let told = drain(&mut news);
        assert_eq!(told["mergevit/orin/availability"], "online");
        assert_eq!(told["mergevit/orin/camera0/camera"], "ON");
        let configuration = json(&told["homeassistant/sensor/mergevit_orin/camera0_state/config"]);
        assert_eq!(configuration["device"]["model"], "m.mvit");
        assert!(
            told.contains_key("homeassistant/binary_sensor/mergevit_orin/camera0_camera/config")
        );
        news.away();
        let told = drain(&mut news);
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [("mergevit/orin/availability".into(), "offline".into())]
        );
    }

    #[test]
    fn states_are_told_on_change_and_count() {
        let mut news = connected();
        drain(&mut news);
        let now = Instant::now();
        let frame = r#"{"event":"frame","source":"camera0","state":"cat","top":[{"class":0,"label":"dog","probability":0.9}]}"#;
        hear(&mut news, now, frame);
        assert!(
            drain(&mut news).is_empty(),
            "what is decided is told by its own record"
        );
        for (state, changes) in [("\"cat\"", 1), ("null", 2), ("\"unknown\"", 3)] {
            let record = format!(
                r#"{{"event":"state","time":"t","source":"camera0","state":{state},"since":"s","duration_s":0,
                    "best":{{"frame":1,"confidence":0.5}}}}"#
            );
            hear(&mut news, now, &record);
            let told = drain(&mut news);
            assert_eq!(told.len(), 1, "{told:?}");
            let word = json(&told["mergevit/orin/camera0/state"]);
            assert_eq!(
                (&word["state"], &word["changes"]),
                (&json(state), &json!(changes))
            );
            assert_eq!(word["confidence"], 0.5);
        }
    }

    #[test]
    fn without_decisions_the_best_class_is_the_state_at_a_calm_pace() {
        let mut news = connected();
        drain(&mut news);
        let begin = Instant::now();
        let mut told = 0;
        for index in 0..100u64 {
            let label = ["cat", "dog"][(index % 2) as usize];
            let frame = format!(
                r#"{{"event":"frame","source":"camera0","top":[{{"class":0,"label":"{label}","probability":0.9}}]}}"#
            );
            hear(&mut news, begin + Duration::from_millis(33 * index), &frame);
            told += drain(&mut news).len();
        }
        assert_eq!(told, 4);
        let frame = r#"{"event":"frame","source":"camera0","unknown":true,"top":[{"class":0,"label":"cat","probability":0.9}]}"#;
        hear(&mut news, begin + Duration::from_secs(60), frame);
        assert_eq!(
            json(&drain(&mut news)["mergevit/orin/camera0/state"])["state"],
            "unknown"
        );
    }

    #[test]
    fn measurements_are_told_now_and_then_and_do_not_last() {
        let mut news = connected();
        drain(&mut news);
        let begin = Instant::now();
        let record = r#"{"event":"sensors","watts":7.5,"temperatures":[{"name":"a","celsius":40},{"name":"b","celsius":50}],
            "gpu_load":0.255,"throttled":["oc3"]}"#;
        hear(&mut news, begin, record);
        let told = drain(&mut news);
        let word = json(&told["mergevit/orin/sensors"]);
        assert_eq!(
            (&word["celsius"], &word["gpu_percent"], &word["throttled"]),
            (&json!(50.0), &json!(25.5), &json!(true))
        );
        assert!(told.contains_key("homeassistant/sensor/mergevit_orin/watts/config"));
        hear(&mut news, begin + Duration::from_secs(9), record);
        assert!(drain(&mut news).is_empty());
        hear(&mut news, begin + Duration::from_secs(10), record);
        assert_eq!(drain(&mut news).len(), 1);
        news.tell_all();
        assert!(!drain(&mut news).contains_key("mergevit/orin/sensors"));
    }

    #[test]
    fn a_new_broker_hears_all_that_lasts_and_memory_is_bounded() {
        let mut news = connected();
        let before = drain(&mut news);
        for index in 0..10_000 {
            hear(
                &mut news,
                Instant::now(),
                &format!(r#"{{"event":"switch","from":"a","to":"b{index}","reason":"held"}}"#),
            );
        }
        hear(&mut news, Instant::now(), r#"{"event":"lost","records":5}"#);
        hear(&mut news, Instant::now(), r#"{"event":"lost","records":6}"#);
        let told = drain(&mut news);
        assert_eq!(told.len(), 2);
        assert_eq!(json(&told["mergevit/orin/schedule"])["schedule"], "b9999");
        assert_eq!(json(&told["mergevit/orin/lost"])["records"], 11);
        news.tell_all();
        assert_eq!(drain(&mut news).len(), before.len() + 1);
    }
}
