//! The first message of a connection: what the records that follow are about.

use serde::{Deserialize, Serialize};

/// The version of what goes through the socket. Additions keep it; a client of another version goes away.
pub(crate) const PROTOCOL: u32 = 1;

/// What runs. It stays true for a connection; after a reload of the model a new one is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "hello")]
pub(crate) struct Hello {
    /// [`PROTOCOL`].
    pub(crate) protocol: u32,
    /// The program's.
    pub(crate) version: String,
    /// The pack, for people.
    pub(crate) model: String,
    /// A name for each class; none if the model has none.
    pub(crate) labels: Vec<String>,
    /// Side of the square picture in pixels.
    pub(crate) image_size: usize,
    /// Rows and columns of patches.
    pub(crate) grid: [usize; 2],
    pub(crate) schedules: Vec<ScheduleInfo>,
    /// Names.
    pub(crate) cascades: Vec<String>,
    pub(crate) sources: Vec<SourceInfo>,
    /// The name of what runs now: a schedule or a cascade.
    pub(crate) schedule: String,
    /// Whether a client holds it, so that no governor changes it.
    #[serde(default)]
    pub(crate) held: bool,
}

/// A schedule of the pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScheduleInfo {
    pub(crate) name: String,
    /// 10⁹ multiply-accumulates an image.
    pub(crate) gmacs: f64,
    /// That leave the last layer.
    pub(crate) tokens: usize,
    /// Share of the calibration's images that get the class of the model in full precision, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agreement: Option<f64>,
    /// Share of the calibration's labelled images that are classified rightly, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<f64>,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceInfo {
    /// As in the records.
    pub(crate) name: String,
    /// For people.
    pub(crate) description: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hello_is_what_is_documented_and_survives_the_way() {
        let hello = Hello {
            protocol: PROTOCOL,
            version: "0.1.0".into(),
            model: "m.mvit".into(),
            labels: vec!["cat".into()],
            image_size: 32,
            grid: [4, 4],
            schedules: vec![ScheduleInfo {
                name: "r3".into(),
                gmacs: 0.5,
                tokens: 11,
                agreement: Some(0.75),
                accuracy: None,
            }],
            cascades: vec![],
            sources: vec![SourceInfo {
                name: "camera0".into(),
                description: "a camera".into(),
            }],
            schedule: "r3".into(),
            held: true,
        };
        let expected = json!({
            "event": "hello", "protocol": 1, "version": "0.1.0", "model": "m.mvit", "labels": ["cat"],
            "image_size": 32, "grid": [4, 4],
            "schedules": [{"name": "r3", "gmacs": 0.5, "tokens": 11, "agreement": 0.75}],
            "cascades": [], "sources": [{"name": "camera0", "description": "a camera"}], "schedule": "r3",
            "held": true,
        });
        let value = serde_json::to_value(&hello).expect("it serializes");
        assert_eq!(value, expected);
        let read: Hello = serde_json::from_value(value).expect("it is one");
        assert_eq!(read, hello);
    }

    #[test]
    fn a_later_version_may_add_keys() {
        let text = r#"{"event":"hello","protocol":1,"version":"9","model":"m","labels":[],"image_size":8,
            "grid":[1,1],"schedules":[],"cascades":[],"sources":[],"schedule":"r0","moon":"full"}"#;
        assert!(serde_json::from_str::<Hello>(text).is_ok());
    }
}
