//! Power, temperatures, clocks and throttling, read from the files of Linux.
//!
//! Files are found by what they say they are, because their numbers differ between boards, releases and boots. They are
//! opened once; a reading is a `pread` of each and allocates nothing. What is not there, does not answer or is not
//! plausible is left out.
//!
//! The names under which JetPack 5, 6 and 7 have them are those of NVIDIA's "Jetson Linux Developer Guide", chapters
//! "Power and Performance" of Orin and "Thermal".

mod files;
mod gpu;
pub(crate) mod jetson;
mod meter;
mod power;
mod power_mode;
mod reading;
#[cfg(test)]
mod tests;
mod thermal;

pub(crate) use meter::Meter;
pub(crate) use reading::{Names, Reading, View};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a counter of energy counts before its power is told.
const COUNTING: Duration = Duration::from_millis(100);

/// The open sensors of a machine.
#[derive(Debug)]
pub(crate) struct Sensors {
    names: Names,
    begin: Instant,
    rails: Vec<power::Rail>,
    /// The rails that add up to the board.
    board: Vec<usize>,
    zones: Vec<thermal::Zone>,
    alerts: Vec<thermal::Alert>,
    over_currents: Vec<thermal::OverCurrent>,
    gpu: gpu::Gpu,
}

impl Sensors {
    /// Finds what there is below `root`, which is `/` but in tests.
    pub(crate) fn open(root: &Path) -> Self {
        let (rails, board) = power::find(root, reading::RAILS);
        let mut zones = thermal::zones(root);
        zones.truncate(reading::TEMPERATURES);
        let mut alerts = thermal::alerts(root);
        alerts.truncate(reading::ALERTS);
        let mut over_currents = thermal::over_currents(root);
        over_currents.truncate(reading::OVER_CURRENTS);
        let gpu = gpu::Gpu::find(root);
        let names = Names {
            rails: rails.iter().map(|rail| rail.name.clone()).collect(),
            temperatures: zones.iter().map(|zone| zone.name.clone()).collect(),
            alerts: alerts.iter().map(|alert| alert.name.clone()).collect(),
            over_currents: over_currents.iter().map(|oc| oc.name.clone()).collect(),
            gpu: gpu.clock().is_some() || gpu.load().is_some(),
        };
        Self {
            names,
            begin: Instant::now(),
            rails,
            board,
            zones,
            alerts,
            over_currents,
            gpu,
        }
    }

    /// What the values of readings are called.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Reads all of them. Does not allocate.
    pub(crate) fn read(&mut self) -> Reading {
        self.read_at(self.begin.elapsed())
    }

    fn read_at(&mut self, now: Duration) -> Reading {
        let mut reading = Reading {
            gpu_clock_hz: self.gpu.clock(),
            gpu_load: self.gpu.load(),
            ..Reading::default()
        };
        for (place, rail) in reading.rails.iter_mut().zip(&mut self.rails) {
            *place = rail.watts(now);
        }
        if !self.board.is_empty() {
            reading.watts = self.board.iter().map(|&rail| reading.rails[rail]).sum();
        }
        for (place, zone) in reading.temperatures.iter_mut().zip(&self.zones) {
            *place = zone.celsius();
        }
        for (place, alert) in reading.throttled.iter_mut().zip(&self.alerts) {
            *place = alert.is_on();
        }
        for (place, counter) in reading.over_currents.iter_mut().zip(&self.over_currents) {
            *place = counter.events();
        }
        reading
    }

    /// Reads all of them so that each can answer: where energy is counted, that takes a moment.
    pub(crate) fn measure(&mut self) -> Reading {
        if self.rails.iter().any(power::Rail::is_counter) {
            self.read();
            std::thread::sleep(COUNTING);
        }
        self.read()
    }

    /// Reads them ten times a second on a thread of its own. Does so before the allocator is sealed.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub(crate) fn spawn(self) -> io::Result<Meter> {
        Meter::start(self)
    }
}
