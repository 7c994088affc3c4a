//! Temperatures, and what the board slows down for.

use super::files::{Number, entries, is_named, text};
use std::path::Path;

/// Degrees Celsius that a chip can have. A zone whose part is switched off says -256.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = -60.0..=200.0;

/// A thermometer.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) name: String,
    /// Thousandths of a degree Celsius.
    value: Number,
}

impl Zone {
    /// Degrees Celsius; `None` if the part that it measures is off.
    pub(super) fn celsius(&self) -> Option<f64> {
        let celsius = self.value.read()? as f64 / 1e3;
        PLAUSIBLE.contains(&celsius).then_some(celsius)
    }
}

/// The thermal zones, or where a machine has none the temperatures of hwmon.
pub(super) fn zones(root: &Path) -> Vec<Zone> {
    let folders = entries(&root.join("sys/class/thermal"));
    let named = folders
        .iter()
        .filter(|path| is_named(path, |name| name.starts_with("thermal_zone")));
    let zones: Vec<Zone> = named
        .filter_map(|zone| {
            Some(Zone {
                name: text(&zone.join("type"))?,
                value: Number::open(&zone.join("temp"))?,
            })
        })
        .collect();
    if !zones.is_empty() {
        return zones;
    }
    let chips = entries(&root.join("sys/class/hwmon"));
    chips.iter().flat_map(|chip| chip_zones(chip)).collect()
}

fn chip_zones(chip: &Path) -> Vec<Zone> {
    let Some(chip_name) = text(&chip.join("name")) else {
        return Vec::new();
    };
    let inputs = entries(chip).into_iter().filter_map(|path| {
        let file = path.file_name()?.to_str()?;
        let input = file.strip_prefix("temp")?.strip_suffix("_input")?;
        let label = text(&chip.join(format!("temp{input}_label")));
        Some(Zone {
            name: match label {
                Some(label) => format!("{chip_name} {label}"),
                None => chip_name.clone(),
            },
            value: Number::open(&path)?,
        })
    });
    inputs.collect()
}

/// A reason for which a Jetson slows down.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) name: String,
    state: Number,
}

impl Alert {
    /// Whether the board slows down for it now.
    pub(super) fn is_on(&self) -> bool {
        self.state.read().is_some_and(|state| state > 0)
    }
}

/// The cooling devices that are alerts: `cpu-throttle-alert`, `hot-surface-alert` and others.
pub(super) fn alerts(root: &Path) -> Vec<Alert> {
    let folders = entries(&root.join("sys/class/thermal"));
    let devices = folders
        .iter()
        .filter(|path| is_named(path, |name| name.starts_with("cooling_device")));
    let alerts = devices.filter_map(|device| {
        let name = text(&device.join("type"))?;
        name.ends_with("-alert").then_some(())?;
        Some(Alert {
            name,
            state: Number::open(&device.join("cur_state"))?,
        })
    });
    alerts.collect()
}

/// A counter of over-currents, from when it was found on.
#[derive(Debug)]
pub(super) struct OverCurrent {
    /// `oc1`, `oc2` or `oc3`. On Orin the last counts in normal use.
    pub(super) name: String,
    count: Number,
    start: u64,
}

impl OverCurrent {
    /// Events since it was found.
    pub(super) fn events(&self) -> Option<u64> {
        // A counter that started anew counts from there.
        let count = self.count.count()?;
        Some(count.checked_sub(self.start).unwrap_or(count))
    }
}

/// The counters of over-currents.
pub(super) fn over_currents(root: &Path) -> Vec<OverCurrent> {
    let chips = entries(&root.join("sys/class/hwmon"));
    let files = chips.iter().flat_map(|chip| entries(chip));
    let counters = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix("_event_cnt")?;
        name.starts_with("oc").then_some(())?;
        let count = Number::open(&path)?;
        Some(OverCurrent {
            name: name.into(),
            start: count.count().unwrap_or(0),
            count,
        })
    });
    counters.collect()
}
