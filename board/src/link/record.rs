//! The records of a run, as a client reads them: what it needs of them. Keys that it does not know are none of its
//! business, and neither are events.

use crate::wire::Hello;
use serde::{Deserialize, Deserializer, Serialize};

/// A line of `mergevit run --json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Record {
    Hello(Box<Hello>),
    Frame(Frame),
    State(StateChange),
    Switch(Switch),
    Sensors(Sensors),
    Camera {
        source: String,
        status: CameraStatus,
        reason: Option<String>,
    },
    /// The reader was slow: so many records are missing before the next.
    Lost {
        records: u64,
    },
    Reload {
        ok: bool,
        reason: Option<String>,
    },
    Error {
        reason: String,
    },
    #[serde(other)]
    Other,
}

/// A classified frame.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Frame {
    pub(crate) time: String,
    pub(crate) frame: u64,
    pub(crate) source: String,
    /// The part of the frame, as `--region` has it.
    pub(crate) region: Option<String>,
    pub(crate) schedule: Option<String>,
    /// Best first. Empty for an embedding.
    pub(crate) top: Vec<Class>,
    pub(crate) unknown: bool,
    /// What was decided, if anything is to be: a label, `unknown`, or `None` where nothing is sure.
    #[serde(deserialize_with = "present")]
    pub(crate) state: Option<Option<String>>,
    pub(crate) latency_us: f64,
    pub(crate) age_us: Option<f64>,
    pub(crate) dropped: Dropped,
}

/// A key that is there, though its value may be null.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Frames lost before a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Dropped {
    /// By the camera's driver.
    pub(crate) driver: u64,
    /// By the loop: newer ones replaced them.
    pub(crate) replaced: u64,
}

/// A class and how likely it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) class: usize,
    /// `None` if the model has no labels.
    pub(crate) label: Option<String>,
    /// 0 to 1.
    pub(crate) probability: f64,
}

#[cfg(any(test, feature = "mqtt"))]
impl Class {
    /// Its label, or else its number.
    pub(crate) fn name(&self) -> String {
        let number = || format!("class {}", self.class);
        self.label.clone().unwrap_or_else(number)
    }
}

/// What is seen has changed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct StateChange {
    #[serde(default)]
    pub(crate) time: String,
    #[serde(default)]
    pub(crate) source: String,
    /// The part of the frame, as `--region` has it.
    pub(crate) region: Option<String>,
    /// A label, `unknown`, or `None` where nothing is sure.
    pub(crate) state: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) best: Option<Best>,
}

/// The frame that shows a state best.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Best {
    /// 0 to 1.
    pub(crate) confidence: f64,
}

/// The schedule has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Switch {
    #[serde(default)]
    pub(crate) time: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// `over_budget`, `slack`, `power`, `held` or `released`.
    pub(crate) reason: String,
    pub(crate) latency_us: Option<f64>,
    pub(crate) budget_us: Option<f64>,
    pub(crate) watts: Option<f64>,
}

/// What the board measures of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sensors {
    /// Of the whole board.
    pub(crate) watts: Option<f64>,
    pub(crate) rails: Vec<Rail>,
    pub(crate) temperatures: Vec<Temperature>,
    pub(crate) gpu_clock_hz: Option<f64>,
    /// 0 to 1.
    pub(crate) gpu_load: Option<f64>,
    /// What throttles the board now.
    pub(crate) throttled: Vec<String>,
    pub(crate) joules_per_frame: Option<f64>,
    pub(crate) over_currents: Vec<OverCurrent>,
}

/// Events of a supply that gave too much, since the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OverCurrent {
    pub(crate) name: String,
    pub(crate) events: u64,
}

/// A supply of power.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rail {
    pub(crate) name: String,
    pub(crate) watts: f64,
}

/// A thermal zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Temperature {
    pub(crate) name: String,
    pub(crate) celsius: f64,
}

/// Whether a source gives frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CameraStatus {
    Streaming,
    /// It is gone, and is waited for.
    Lost,
    /// It was not there yet.
    Waiting,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Record {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn records_are_read_as_they_are_documented() {
        let Record::Frame(frame) = read(
            r#"{"event":"frame","time":"2026-05-04T12:34:56.789Z","frame":7,"source":"camera0","sequence":9,
            "dropped":{"driver":1,"replaced":2},"schedule":"r16","region":"1,2,3,4",
            "top":[{"class":3,"label":null,"probability":0.5}],"unknown":true,"state":"cat",
            "latency_us":1500.5,"age_us":3000}"#,
        ) else {
            panic!("no frame")
        };
        assert_eq!((frame.frame, frame.latency_us), (7, 1500.5));
        assert_eq!((frame.dropped.driver, frame.dropped.replaced), (1, 2));
        assert_eq!(frame.top[0].name(), "class 3");
        assert_eq!(frame.region.as_deref(), Some("1,2,3,4"));
        assert_eq!(frame.state, Some(Some("cat".into())));
        let Record::Switch(switch) = read(
            r#"{"event":"switch","time":"t","from":"r0","to":"r16","reason":"over_budget","latency_us":1,"budget_us":2}"#,
        ) else {
            panic!("no switch")
        };
        assert_eq!((switch.to.as_str(), switch.watts), ("r16", None));
        let lost = read(r#"{"event":"lost","time":"t","records":5}"#);
        assert_eq!(lost, Record::Lost { records: 5 });
    }

    #[test]
    fn other_events_and_sparse_frames_are_no_errors() {
        assert_eq!(read(r#"{"event":"summary","frames":1}"#), Record::Other);
        assert_eq!(
            read(r#"{"event":"frame"}"#),
            Record::Frame(Frame::default())
        );
        let Record::Frame(unsure) = read(r#"{"event":"frame","state":null}"#) else {
            panic!("no frame")
        };
        assert_eq!(unsure.state, Some(None));
        let embedding = read(r#"{"event":"frame","embedding":[0.5,0.5]}"#);
        assert_eq!(embedding, Record::Frame(Frame::default()));
        assert!(serde_json::from_str::<Record>("[]").is_err());
    }
}
