//! What the sensors said at one time, and how records say it.

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// Most rails that are read.
pub(super) const RAILS: usize = 12;

/// Most temperatures that are read.
pub(super) const TEMPERATURES: usize = 16;

/// Most alerts that are read.
pub(super) const ALERTS: usize = 32;

/// Most counters of over-currents that are read.
pub(super) const OVER_CURRENTS: usize = 4;

/// One reading. Its values are in the order of the [`Names`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// What the whole board draws, if that is known.
    pub(crate) watts: Option<f64>,
    pub(super) rails: [Option<f64>; RAILS],
    /// Degrees Celsius.
    pub(super) temperatures: [Option<f64>; TEMPERATURES],
    pub(crate) gpu_clock_hz: Option<u64>,
    /// A share, 0..=1.
    pub(crate) gpu_load: Option<f64>,
    pub(super) throttled: [bool; ALERTS],
    pub(super) over_currents: [Option<u64>; OVER_CURRENTS],
}

/// What the values of a [`Reading`] are called on this machine.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Names {
    pub(super) rails: Vec<String>,
    pub(super) temperatures: Vec<String>,
    pub(super) alerts: Vec<String>,
    pub(super) over_currents: Vec<String>,
    /// Whether there is a GPU whose clock or load can be read.
    pub(super) gpu: bool,
}

impl Names {
    /// Whether there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A reading with its names. Serializing does not allocate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) names: &'a Names,
    pub(crate) reading: &'a Reading,
}

impl View<'_> {
    /// For people, a line for each kind of sensor.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(watts) = self.reading.watts {
            lines.push(format!("the board draws {watts:.2} W"));
        }
        let rails = self
            .rails()
            .map(|(name, watts)| format!("{name} {watts:.2} W"));
        let temperatures = self.temperatures();
        let temperatures = temperatures.map(|(name, degrees)| format!("{name} {degrees:.1} °C"));
        let throttled = self
            .throttled()
            .map(|name| format!("slowed down by {name}"));
        for values in [
            rails.collect::<Vec<_>>(),
            temperatures.collect(),
            throttled.collect(),
        ] {
            if !values.is_empty() {
                lines.push(values.join(", "));
            }
        }
        if lines.is_empty() {
            lines.push("none that this user can read".into());
        }
        lines
    }

    /// Rails that answered: name and watts.
    pub(crate) fn rails(&self) -> impl Iterator<Item = (&str, f64)> + Clone {
        known(&self.names.rails, &self.reading.rails)
    }

    /// Temperatures of what is on: name and degrees Celsius.
    pub(crate) fn temperatures(&self) -> impl Iterator<Item = (&str, f64)> + Clone {
        known(&self.names.temperatures, &self.reading.temperatures)
    }

    /// What the board slows down for.
    pub(crate) fn throttled(&self) -> impl Iterator<Item = &str> + Clone {
        let alerts = self.names.alerts.iter().zip(&self.reading.throttled);
        alerts.filter_map(|(name, on)| on.then_some(name.as_str()))
    }

    /// Over-currents since the sensors were opened: name and events.
    pub(crate) fn over_currents(&self) -> impl Iterator<Item = (&str, u64)> + Clone {
        known(&self.names.over_currents, &self.reading.over_currents)
    }
}

fn known<'a, T: Copy>(
    names: &'a [String],
    values: &'a [Option<T>],
) -> impl Iterator<Item = (&'a str, T)> + Clone {
    let pairs = names.iter().zip(values);
    pairs.filter_map(|(name, value)| value.map(|value| (name.as_str(), value)))
}

#[derive(Serialize)]
struct Rail<'a> {
    name: &'a str,
    watts: f64,
}

#[derive(Serialize)]
struct Temperature<'a> {
    name: &'a str,
    celsius: f64,
}

#[derive(Serialize)]
struct OverCurrent<'a> {
    name: &'a str,
    events: u64,
}

/// A list from an iterator that can be told again.
struct Each<I>(I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("sensors", 7)?;
        record.serialize_field("watts", &self.reading.watts)?;
        let rails = self.rails().map(|(name, watts)| Rail { name, watts });
        record.serialize_field("rails", &Each(rails))?;
        let temperatures = self.temperatures();
        let temperatures = temperatures.map(|(name, celsius)| Temperature { name, celsius });
        record.serialize_field("temperatures", &Each(temperatures))?;
        record.serialize_field("gpu_clock_hz", &self.reading.gpu_clock_hz)?;
        record.serialize_field("gpu_load", &self.reading.gpu_load)?;
        record.serialize_field("throttled", &Each(self.throttled()))?;
        let over_currents = self.over_currents();
        let over_currents = over_currents.map(|(name, events)| OverCurrent { name, events });
        record.serialize_field("over_currents", &Each(over_currents))?;
        record.end()
    }
}
