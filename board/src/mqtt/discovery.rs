//! What Home Assistant is told, so that entities appear by themselves
//! (<https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>).

use serde_json::{Value, json};

/// What all entities of a board share.
#[derive(Clone, Debug)]
pub(super) struct Device {
    /// Where Home Assistant looks for configurations.
    pub(super) prefix: String,
    /// The topic under which everything is.
    pub(super) topic: String,
    /// Letters, digits, `-` and `_`; no two boards of a broker have the same.
    pub(super) node: String,
    /// For people.
    pub(super) name: String,
    /// What runs.
    pub(super) model: String,
    pub(super) version: String,
}

/// Something that Home Assistant shows.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// `sensor` or `binary_sensor`.
    pub(super) component: &'static str,
    /// Unique on the board.
    pub(super) id: String,
    /// For people.
    pub(super) name: String,
    /// Below the board's.
    pub(super) topic: String,
    /// What else is told of it.
    pub(super) more: Value,
}

impl Device {
    /// The topic of an entity's configuration, and the configuration.
    pub(super) fn configuration(&self, entity: &Entity) -> (String, Value) {
        let Self {
            prefix,
            topic,
            node,
            ..
        } = self;
        let Entity {
            component,
            id,
            name,
            ..
        } = entity;
        let mut configuration = json!({
            "name": name,
            "unique_id": format!("{node}_{id}"),
            "object_id": format!("{node}_{id}"),
            "state_topic": format!("{topic}/{}", entity.topic),
            "availability_topic": format!("{topic}/availability"),
            "device": {
                "identifiers": [node],
                "name": self.name,
                "model": self.model,
                "manufacturer": "mergevit",
                "sw_version": self.version,
            },
            "origin": {"name": "mergevit", "sw_version": env!("CARGO_PKG_VERSION")},
        });
        if let (Some(configuration), Some(more)) =
            (configuration.as_object_mut(), entity.more.as_object())
        {
            configuration.extend(more.clone());
        }
        (
            format!("{prefix}/{component}/{node}/{id}/config"),
            configuration,
        )
    }

    /// What is seen in a view, whose topics begin with `part`.
    pub(super) fn state(&self, part: &str, title: &str) -> Entity {
        let topic = format!("{part}/state");
        let more = json!({
            "value_template": "{{ value_json.state if value_json.state is not none else 'None' }}",
            "json_attributes_topic": format!("{}/{topic}", self.topic),
            "icon": "mdi:eye-outline",
        });
        Entity {
            component: "sensor",
            id: format!("{part}_state"),
            name: format!("{title} state"),
            topic,
            more,
        }
    }

    /// Whether a source gives frames.
    pub(super) fn camera(&self, part: &str, title: &str) -> Entity {
        Entity {
            component: "binary_sensor",
            id: format!("{part}_camera"),
            name: format!("{title} camera"),
            topic: format!("{part}/camera"),
            more: json!({"device_class": "connectivity", "entity_category": "diagnostic"}),
        }
    }

    /// What runs.
    pub(super) fn schedule(&self) -> Entity {
        Entity {
            component: "sensor",
            id: "schedule".into(),
            name: "Schedule".into(),
            topic: "schedule".into(),
            more: json!({
                "value_template": "{{ value_json.schedule }}",
                "json_attributes_topic": format!("{}/schedule", self.topic),
                "entity_category": "diagnostic",
            }),
        }
    }

    /// What the board measures of itself.
    pub(super) fn sensors(&self) -> Vec<Entity> {
        let measured = |key: &str, name: &str, more: Value| {
            let mut configuration = json!({
                "value_template": format!("{{{{ value_json.{key} }}}}"),
                "state_class": "measurement",
                "entity_category": "diagnostic",
            });
            if let (Some(all), Some(more)) = (configuration.as_object_mut(), more.as_object()) {
                all.extend(more.clone());
            }
            Entity {
                component: "sensor",
                id: key.into(),
                name: name.into(),
                topic: "sensors".into(),
                more: configuration,
            }
        };
        vec![
            measured(
                "watts",
                "Power",
                json!({"device_class": "power", "unit_of_measurement": "W"}),
            ),
            measured(
                "celsius",
                "Temperature",
                json!({"device_class": "temperature", "unit_of_measurement": "°C"}),
            ),
            measured(
                "gpu_percent",
                "GPU load",
                json!({"unit_of_measurement": "%"}),
            ),
            Entity {
                component: "binary_sensor",
                id: "throttled".into(),
                name: "Throttled".into(),
                topic: "sensors".into(),
                more: json!({
                    "value_template": "{{ 'ON' if value_json.throttled else 'OFF' }}",
                    "device_class": "problem",
                    "entity_category": "diagnostic",
                }),
            },
        ]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::mqtt) fn device() -> Device {
        Device {
            prefix: "homeassistant".into(),
            topic: "mergevit/orin".into(),
            node: "mergevit_orin".into(),
            name: "mergevit on orin".into(),
            model: "m.mvit".into(),
            version: "9".into(),
        }
    }

    #[test]
    fn a_configuration_says_where_the_state_is() {
        let device = device();
        let (topic, found) = device.configuration(&device.state("camera0", "camera0"));
        assert_eq!(
            topic,
            "homeassistant/sensor/mergevit_orin/camera0_state/config"
        );
        assert_eq!(found["state_topic"], "mergevit/orin/camera0/state");
        assert_eq!(found["availability_topic"], "mergevit/orin/availability");
        assert_eq!(found["unique_id"], "mergevit_orin_camera0_state");
        assert_eq!(found["json_attributes_topic"], found["state_topic"]);
        assert_eq!(found["device"]["sw_version"], "9");
    }

    #[test]
    fn entities_of_a_board_are_told_apart() {
        let device = device();
        let mut entities = device.sensors();
        entities.extend([
            device.schedule(),
            device.state("a", "a"),
            device.camera("a", "a"),
        ]);
        let mut topics: Vec<String> = entities
            .iter()
            .map(|entity| device.configuration(entity).0)
            .collect();
        let count = topics.len();
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), count);
    }
}
