//! What the board and its parts draw.
//!
//! | machine | rails | the board |
//! |---|---|---|
//! | Jetson Orin | `ina3221` chips of hwmon: volts times amperes of each labelled channel | `VDD_IN` on Nano and NX, on AGX the sum of three |
//! | PC | energy counters of RAPL, if this user may read them; `powerN_input` of hwmon | RAPL's `psys`, or else its packages |

use super::files::{Number, entries, is_named, text};
use std::path::Path;
use std::time::Duration;

/// Channels of an INA3221; further ones are sums of shunts, in other units.
const CHANNELS: std::ops::RangeInclusive<u32> = 1..=3;

/// Rails that add up to what a Jetson draws, the first set that is there: Orin Nano and NX; AGX Orin.
const BOARDS: [&[&str]; 2] = [&["VDD_IN"], &["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]];

/// The label of a channel that is not connected.
const UNCONNECTED: &str = "NC";

/// Something that draws power.
#[derive(Debug)]
pub(super) struct Rail {
    pub(super) name: String,
    meter: Meter,
}

#[derive(Debug)]
enum Meter {
    VoltsAndAmperes {
        millivolts: Number,
        milliamperes: Number,
    },
    Watts {
        microwatts: Number,
    },
    Energy {
        microjoules: Number,
        /// Where the counter starts again.
        range: Option<u64>,
        last: Option<(Duration, u64)>,
    },
}

/// All rails of a machine, at most `most`, and the indices of those that add up to the board.
pub(super) fn find(root: &Path, most: usize) -> (Vec<Rail>, Vec<usize>) {
    let mut rails = Vec::new();
    for chip in entries(&root.join("sys/class/hwmon")) {
        match text(&chip.join("name")).as_deref() {
            Some("ina3221") => rails.extend(CHANNELS.filter_map(|n| channel(&chip, n))),
            Some(name) => rails.extend(direct(&chip, name)),
            None => {}
        }
    }
    let zones = entries(&root.join("sys/class/powercap"));
    let zones = zones.iter().filter(|zone| {
        // Zones within zones have two colons: they are counted already.
        is_named(zone, |name| {
            name.starts_with("intel-rapl:") && name.matches(':').count() == 1
        })
    });
    rails.extend(zones.filter_map(|zone| counter(zone)));
    let board = board(&rails);
    // What the board needs comes first, if there are too many.
    let mut order: Vec<usize> = (0..rails.len()).collect();
    order.sort_by_key(|index| !board.contains(index));
    order.truncate(most);
    let kept: Vec<bool> = (0..rails.len()).map(|i| order.contains(&i)).collect();
    let mut kept = kept.into_iter();
    rails.retain(|_| kept.next().unwrap_or(false));
    let board = self::board(&rails);
    (rails, board)
}

fn channel(chip: &Path, number: u32) -> Option<Rail> {
    let name = text(&chip.join(format!("in{number}_label")))?;
    (name != UNCONNECTED).then_some(())?;
    Some(Rail {
        name,
        meter: Meter::VoltsAndAmperes {
            millivolts: Number::open(&chip.join(format!("in{number}_input")))?,
            milliamperes: Number::open(&chip.join(format!("curr{number}_input")))?,
        },
    })
}

/// What a chip says in watts; its own name where a value has no label.
fn direct(chip: &Path, name: &str) -> Option<Rail> {
    let place = ["power1_input", "power1_average"];
    let microwatts = place
        .iter()
        .find_map(|file| Number::open(&chip.join(file)))?;
    Some(Rail {
        name: text(&chip.join("power1_label")).unwrap_or_else(|| name.into()),
        meter: Meter::Watts { microwatts },
    })
}

fn counter(zone: &Path) -> Option<Rail> {
    Some(Rail {
        name: text(&zone.join("name"))?,
        meter: Meter::Energy {
            microjoules: Number::open(&zone.join("energy_uj"))?,
            range: super::files::number(&zone.join("max_energy_range_uj")),
            last: None,
        },
    })
}

/// The rails that add up to the board; none if that is not known.
fn board(rails: &[Rail]) -> Vec<usize> {
    let position = |name: &&str| rails.iter().position(|rail| rail.name == *name);
    for names in BOARDS {
        if let Some(indices) = names.iter().map(position).collect() {
            return indices;
        }
    }
    if let Some(platform) = position(&"psys") {
        return vec![platform];
    }
    let package = |rail: &Rail| rail.name.starts_with("package-");
    let indices = rails.iter().enumerate();
    let packages = indices.filter_map(|(index, rail)| package(rail).then_some(index));
    packages.collect()
}

impl Rail {
    /// Watts at `now`, a time since any one moment; for a counter of energy the mean since the reading before.
    pub(super) fn watts(&mut self, now: Duration) -> Option<f64> {
        match &mut self.meter {
            Meter::VoltsAndAmperes {
                millivolts,
                milliamperes,
            } => {
                // The chip measures currents that flow back as well.
                let watts = millivolts.read()? as f64 * milliamperes.read()? as f64 / 1e6;
                Some(watts.max(0.0))
            }
            Meter::Watts { microwatts } => Some(microwatts.count()? as f64 / 1e6),
            Meter::Energy {
                microjoules,
                range,
                last,
            } => {
                let value = microjoules.count()?;
                let (then, before) = last.replace((now, value))?;
                let used = match value.checked_sub(before) {
                    Some(used) => used,
                    None => (*range)?.checked_sub(before)? + value,
                };
                let seconds = now.checked_sub(then)?.as_secs_f64();
                (seconds > 0.0).then(|| used as f64 / 1e6 / seconds)
            }
        }
    }

    /// Whether it takes two readings to know what it draws.
    pub(super) fn is_counter(&self) -> bool {
        matches!(self.meter, Meter::Energy { .. })
    }
}
