//! A row of a profile: one operation, or all operations of a kind.

use crate::output;
use mergevit_kernels::cuda::Launch;
use mergevit_runtime::estimate::Range;
use mergevit_runtime::plan::Cost;
use serde::Serialize;
use std::ops::AddAssign;

/// What a device runs for an operation: a linear layer's as modelled or as measured by `--tune`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Shape {
    pub(super) kernel: &'static str,
    pub(super) blocks: u32,
    /// More than blocks where these compute one after another.
    pub(super) items: u32,
}

impl Shape {
    pub(super) fn of(launch: &Launch) -> Self {
        Self {
            kernel: launch.kernel.name(),
            blocks: launch.grid.iter().product(),
            items: launch.items,
        }
    }
}

/// Time and work of one operation, or of all operations of a kind.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layer: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) launch: Option<Shape>,
    pub(super) operations: usize,
    /// Sum over the operations; of launches on a device, each repeated back to back.
    pub(super) time_us: f64,
    /// Of launches in their place in the network: what each adds to those before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_place_us: Option<f64>,
    /// What the [estimate](mergevit_runtime::estimate) says of this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) estimate_us: Option<Range>,
    pub(super) macs: u64,
    pub(super) weight_bytes: u64,
    pub(super) activation_bytes: u64,
    /// Share of the instruction set's peak; `None` without multiplications or without a known peak.
    pub(super) percent_of_peak: Option<f64>,
}

impl Row {
    pub(super) fn new(name: &'static str, layer: Option<usize>, time_us: f64, cost: Cost) -> Self {
        Self {
            name,
            layer,
            launch: None,
            operations: 1,
            time_us,
            in_place_us: None,
            estimate_us: None,
            macs: cost.macs,
            weight_bytes: cost.weight_bytes,
            activation_bytes: cost.activation_bytes(),
            percent_of_peak: None,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.time_us += other.time_us;
        add(&mut self.in_place_us, other.in_place_us);
        add(&mut self.estimate_us, other.estimate_us);
        self.macs += other.macs;
        self.weight_bytes += other.weight_bytes;
        self.activation_bytes += other.activation_bytes;
    }

    pub(super) fn macs_per_second(&self) -> f64 {
        output::ratio(self.macs as f64, self.time_us / 1e6)
    }

    pub(super) fn rate(mut self, peak: Option<f64>) -> Self {
        let peak = peak.filter(|_| self.macs > 0);
        self.percent_of_peak = peak.map(|peak| 100.0 * self.macs_per_second() / peak);
        self
    }
}

/// Adds what is known.
fn add<T: Copy + AddAssign>(sum: &mut Option<T>, other: Option<T>) {
    match (sum, other) {
        (Some(sum), Some(other)) => *sum += other,
        (sum @ None, other) => *sum = other,
        (Some(_), None) => {}
    }
}

/// Sums over operations of the same name, the slowest first, then the sum over all.
pub(super) fn by_kind(operations: &[Row]) -> Vec<Row> {
    let mut kinds: Vec<Row> = Vec::new();
    let mut total = Row::new("total", None, 0.0, Cost::default());
    total.operations = 0;
    for row in operations {
        total.add(row);
        match kinds.iter_mut().find(|kind| kind.name == row.name) {
            Some(kind) => kind.add(row),
            None => kinds.push(Row {
                layer: None,
                launch: None,
                ..row.clone()
            }),
        }
    }
    kinds.sort_by(|a, b| b.time_us.total_cmp(&a.time_us));
    kinds.push(total);
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_sum_up_and_sort() {
        let cost = |macs| Cost {
            macs,
            weight_bytes: 1,
            read_bytes: 2,
            written_bytes: 3,
        };
        let launch = Some(Shape {
            kernel: "layer_norm_narrow",
            blocks: 50,
            items: 50,
        });
        let rows = [
            Row {
                launch,
                ..Row::new("norm1", Some(0), 5.0, cost(0))
            },
            Row::new("fc1", Some(0), 10.0, cost(1_000)),
            Row::new("fc1", Some(1), 30.0, cost(3_000)),
        ];
        let kinds = by_kind(&rows);
        let names: Vec<_> = kinds.iter().map(|row| (row.name, row.operations)).collect();
        assert_eq!(names, [("fc1", 2), ("norm1", 1), ("total", 3)]);
        assert_eq!((kinds[0].time_us, kinds[0].macs), (40.0, 4_000));
        assert_eq!((kinds[2].weight_bytes, kinds[2].activation_bytes), (3, 15));
        let percent = kinds[0].clone().rate(Some(1e9)).percent_of_peak;
        assert!(percent.is_some_and(|percent| (percent - 10.0).abs() < 1e-9));
        assert_eq!(kinds[1].clone().rate(Some(1e9)).percent_of_peak, None);
        assert_eq!(kinds[2].in_place_us, None);
        // Launches of a kind may differ.
        assert!(kinds.iter().all(|kind| kind.launch.is_none()));
    }

    #[test]
    fn what_is_known_is_added() {
        let mut row = Row::new("fc1", None, 1.0, Cost::default());
        let timed = |in_place_us| Row {
            in_place_us,
            estimate_us: Some(Range::new(2.0, 3.0)),
            ..Row::new("fc1", None, 1.0, Cost::default())
        };
        row.add(&timed(Some(4.0)));
        row.add(&timed(None));
        assert_eq!(row.in_place_us, Some(4.0));
        assert_eq!(row.estimate_us, Some(Range::new(4.0, 6.0)));
    }
}
