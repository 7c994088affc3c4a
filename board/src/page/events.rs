//! `/events`: what the page's script hears, as server-sent events whose data are JSON.

use super::live::{Live, Notice, Run, Seen};
use super::picture::Picture;
use super::recent::Distribution;
use crate::link::{CameraStatus, Class, Frame, Sensors, Switch, View};
use crate::wire::{Hello, ScheduleInfo, SourceInfo};
use axum::body::Bytes;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use std::time::Instant;

/// An event, as it goes to every page.
pub(super) fn text(name: &str, data: &impl Serialize) -> Bytes {
    // JSON has no line ends, which would end the data.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// `run`: what runs, or that nothing does. On connecting, and when it changes.
#[derive(Serialize)]
#[serde(untagged)]
enum RunEvent<'a> {
    Away {
        reason: &'a str,
        since_s: f64,
    },
    /// Without the labels: a model may have sixty thousand, and frames have those that matter.
    Here {
        version: &'a str,
        model: &'a str,
        image_size: usize,
        grid: [usize; 2],
        schedules: &'a [ScheduleInfo],
        cascades: &'a [String],
        sources: &'a [SourceInfo],
    },
}

pub(super) fn run(live: &Live, now: Instant) -> Bytes {
    let event = match &live.run {
        Run::Away { since, reason } => RunEvent::Away {
            reason,
            since_s: ago(*since, now),
        },
        Run::Here(hello) => here(hello),
    };
    text("run", &event)
}

fn here(hello: &Hello) -> RunEvent<'_> {
    RunEvent::Here {
        version: &hello.version,
        model: &hello.model,
        image_size: hello.image_size,
        grid: hello.grid,
        schedules: &hello.schedules,
        cascades: &hello.cascades,
        sources: &hello.sources,
    }
}

/// `frame`: some of the frames, as many as people can see.
#[derive(Serialize)]
struct FrameEvent<'a> {
    #[serde(flatten)]
    view: View,
    time: &'a str,
    frame: u64,
    schedule: Option<&'a str>,
    top: &'a [Class],
    unknown: bool,
    latency_us: f64,
    age_us: Option<f64>,
    /// A JPEG in base64.
    picture: Option<String>,
    /// A little-endian u16 for each patch, in base64.
    tokens: Option<String>,
}

/// Classes that a page shows.
const CLASSES: usize = 8;

pub(super) fn frame(frame: &Frame, picture: Option<&Picture>) -> Bytes {
    let base64 = |bytes: &Bytes| BASE64_STANDARD.encode(bytes);
    let event = FrameEvent {
        view: View::of(frame),
        time: &frame.time,
        frame: frame.frame,
        schedule: frame.schedule.as_deref(),
        top: &frame.top[..frame.top.len().min(CLASSES)],
        unknown: frame.unknown,
        latency_us: frame.latency_us,
        age_us: frame.age_us,
        picture: picture.map(|picture| base64(&picture.jpeg)),
        tokens: picture
            .filter(|picture| !picture.tokens.is_empty())
            .map(|picture| base64(&picture.tokens)),
    };
    text("frame", &event)
}

/// `history`: the classes of the last minute. On connecting.
#[derive(Serialize)]
struct HistoryEvent<'a> {
    #[serde(flatten)]
    view: &'a View,
    /// Oldest first.
    samples: Vec<SampleEvent<'a>>,
}

#[derive(Serialize)]
struct SampleEvent<'a> {
    ago_s: f64,
    top: &'a [Class],
}

pub(super) fn history(view: &View, seen: &Seen, now: Instant) -> Bytes {
    let samples = seen.history.iter().map(|sample| SampleEvent {
        ago_s: ago(sample.at, now),
        top: &sample.top,
    });
    let samples = samples.collect();
    text("history", &HistoryEvent { view, samples })
}

/// `status`: everything else, at a calm pace.
#[derive(Serialize)]
struct StatusEvent<'a> {
    schedule: Option<&'a str>,
    held: bool,
    switch: Option<Aged<&'a Switch>>,
    budget_us: Option<f64>,
    views: Vec<ViewEvent<'a>>,
    cameras: Vec<CameraEvent<'a>>,
    sensors: Option<Aged<&'a Sensors>>,
    latency: Option<Distribution>,
    age: Option<Distribution>,
    dropped_by_driver: u64,
    replaced: u64,
    errors: u64,
    lost: u64,
    /// Oldest first.
    notices: Vec<Aged<&'a Notice>>,
    viewers: usize,
}

/// Something, and how long ago it was.
#[derive(Serialize)]
struct Aged<T> {
    #[serde(flatten)]
    it: T,
    ago_s: f64,
}

#[derive(Serialize)]
struct ViewEvent<'a> {
    #[serde(flatten)]
    view: &'a View,
    frames_per_second: Option<f64>,
    state: Option<&'a str>,
    /// Whether `state` means anything.
    decides: bool,
}

#[derive(Serialize)]
struct CameraEvent<'a> {
    source: &'a str,
    status: CameraStatus,
    reason: Option<&'a str>,
    since_s: f64,
}

pub(super) fn status(live: &mut Live, viewers: usize, now: Instant) -> Bytes {
    let aged = |at: Instant| ago(at, now);
    let views = live.views.iter_mut().map(|(view, seen)| ViewEvent {
        view,
        frames_per_second: seen.rate.frames_per_second(now),
        state: seen.state.as_deref(),
        decides: seen.decides,
    });
    let views = views.collect();
    let cameras = live.cameras.iter().map(|(source, camera)| CameraEvent {
        source,
        status: camera.status,
        reason: camera.reason.as_deref(),
        since_s: aged(camera.since),
    });
    let notices = live.notices.iter().map(|notice| Aged {
        it: notice,
        ago_s: aged(notice.at),
    });
    let totals = live.totals.sources.values();
    let event = StatusEvent {
        schedule: live.schedule.as_deref(),
        held: live.held,
        switch: live.switch.as_ref().map(|(at, switch)| Aged {
            it: switch,
            ago_s: aged(*at),
        }),
        budget_us: live.budget_us,
        views,
        cameras: cameras.collect(),
        sensors: live.sensors.as_ref().map(|(at, sensors)| Aged {
            it: sensors,
            ago_s: aged(*at),
        }),
        latency: live.latency.distribution(),
        age: live.age.distribution(),
        dropped_by_driver: totals.clone().map(|totals| totals.dropped_by_driver).sum(),
        replaced: totals.map(|totals| totals.replaced).sum(),
        errors: live.totals.errors,
        lost: live.totals.lost,
        notices: notices.collect(),
        viewers,
    };
    text("status", &event)
}

/// Seconds.
fn ago(at: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(at).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::{FRAME, after};
    use super::*;
    use crate::link::Record;
    use serde_json::{Value, json};

    /// The data of an event of this name.
    fn data(event: &Bytes, name: &str) -> Value {
        let text = std::str::from_utf8(event).expect("text");
        let data = text
            .strip_prefix(&format!("event: {name}\ndata: "))
            .expect("the name");
        let data = data.strip_suffix("\n\n").expect("an end");
        assert!(!data.contains('\n'));
        serde_json::from_str(data).expect("JSON")
    }

    #[test]
    fn a_run_is_described_without_its_labels() {
        let now = Instant::now();
        let mut live = after(now, &[]);
        let here = data(&run(&live, now), "run");
        assert_eq!(here["grid"], json!([2, 2]));
        assert_eq!(here["schedules"][1]["agreement"], 0.99);
        assert!(here.get("labels").is_none());
        live.away(now, "it ended");
        let away = data(&run(&live, now), "run");
        assert_eq!(away, json!({"reason": "it ended", "since_s": 0.0}));
    }

    #[test]
    fn a_frame_carries_its_picture() {
        let Ok(Record::Frame(record)) = serde_json::from_str(FRAME) else {
            panic!("no frame")
        };
        let picture = Picture::new(&[7; 3 * 16], &[1, 0, 2, 1]).expect("a square");
        let with = data(&frame(&record, Some(&picture)), "frame");
        assert_eq!(
            (&with["source"], &with["tokens"]),
            (&json!("camera0"), &json!("AQACAQ=="))
        );
        let jpeg = BASE64_STANDARD
            .decode(with["picture"].as_str().expect("text"))
            .expect("base64");
        assert_eq!(jpeg, picture.jpeg);
        let without = data(&frame(&record, None), "frame");
        assert_eq!(without["picture"], Value::Null);
    }

    #[test]
    fn a_status_has_what_is_known() {
        let now = Instant::now();
        let mut live = after(
            now,
            &[
                FRAME,
                r#"{"event":"sensors","watts":7.5}"#,
                r#"{"event":"camera","source":"camera0","status":"lost","reason":"unplugged\n"}"#,
                r#"{"event":"switch","from":"r0","to":"r1","reason":"held"}"#,
            ],
        );
        let found = data(&status(&mut live, 1, now), "status");
        assert_eq!(found["schedule"], "r1");
        assert_eq!(found["held"], true);
        assert_eq!(found["switch"]["reason"], "held");
        assert_eq!(found["sensors"]["watts"], 7.5);
        assert_eq!(found["cameras"][0]["status"], "lost");
        assert_eq!(found["views"][0]["state"], "cat");
        assert_eq!(found["latency"]["p50_us"], 2000.0);
        assert_eq!(found["replaced"], 2);
        let history = data(
            &history(
                &live.views.keys().next().expect("a view").clone(),
                live.views.values().next().expect("a view"),
                now,
            ),
            "history",
        );
        assert_eq!(history["samples"][0]["top"][0]["label"], "cat");
    }
}
