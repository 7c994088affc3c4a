//! What the board draws, as records, and how much of it a frame takes.

use super::publisher::Record;
use crate::every::Every;
use crate::output::{self, Time};
use crate::sensors::{Meter, Reading, Sensors, View};
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// From one record to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// From one look at the power to the next: the sensors are read as often.
const FRESH: Duration = Duration::from_millis(100);

/// What the sensors say. Serializing does not allocate.
#[derive(Serialize)]
pub(super) struct SensorsRecord<'a> {
    event: &'static str,
    time: Time,
    #[serde(flatten)]
    view: View<'a>,
    /// Since the record before; `None` without a frame or without power.
    joules_per_frame: Option<f64>,
}

impl Record for SensorsRecord<'_> {}

/// Energy of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Energy {
    #[serde(skip_serializing_if = "Option::is_none")]
    energy_j: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) joules_per_frame: Option<f64>,
}

/// The sensors of a run.
#[derive(Debug)]
pub(crate) struct Sensing {
    meter: Meter,
    reading: Reading,
    /// When a record is due.
    due: Every,
    /// When power is to be minded.
    fresh: Every,
    /// Energy and frames at the record before.
    before: (Option<f64>, u64),
}

impl Sensing {
    /// Starts to read the sensors below `root`; `None` if there are none. Allocates.
    ///
    /// # Errors
    /// A thread was refused.
    pub(crate) fn start(root: &Path) -> io::Result<Option<Self>> {
        let sensors = Sensors::open(root);
        if sensors.names().is_empty() {
            return Ok(None);
        }
        let meter = sensors.spawn()?;
        Ok(Some(Self {
            reading: meter.latest(),
            due: Every::after(Instant::now(), INTERVAL),
            fresh: Every::new(FRESH),
            before: (meter.joules(), 0),
            meter,
        }))
    }

    /// What the board draws now, in watts, if that is known.
    pub(crate) fn watts(&self) -> Option<f64> {
        self.meter.latest().watts
    }

    /// The same, once in a while: [`None`] if that was asked for a moment ago.
    pub(super) fn fresh_watts(&mut self) -> Option<f64> {
        match self.fresh.is_due(Instant::now()) {
            true => self.watts(),
            false => None,
        }
    }

    /// Most bytes of a record.
    pub(crate) fn record_bytes(&self) -> usize {
        // Numbers grow with time, and there may be more of them than now.
        let names = self.meter.names();
        output::GROWTH * format!("{names:?}").len() + 4096
    }

    /// The record that is due, after so many frames.
    pub(super) fn record(&mut self, frames: u64) -> Option<SensorsRecord<'_>> {
        if !self.due.is_due(Instant::now()) {
            return None;
        }
        self.reading = self.meter.latest();
        let joules = self.meter.joules();
        let (joules_before, frames_before) = self.before;
        self.before = (joules, frames);
        let spent = joules.zip(joules_before).map(|(now, before)| now - before);
        Some(SensorsRecord {
            event: "sensors",
            time: Time::now(),
            view: self.meter.view(&self.reading),
            joules_per_frame: per_frame(spent, frames - frames_before),
        })
    }

    /// Of the whole run, in which so many frames were classified.
    pub(crate) fn energy(&self, frames: u64) -> Energy {
        let energy_j = self.meter.joules();
        Energy {
            energy_j,
            joules_per_frame: per_frame(energy_j, frames),
        }
    }
}

fn per_frame(joules: Option<f64>, frames: u64) -> Option<f64> {
    joules
        .filter(|_| frames > 0)
        .map(|joules| joules / frames as f64)
}
