//! The axes of a plot.

/// Values along one side of a plot.
#[derive(Clone, Debug)]
pub(in crate::report) struct Axis {
    /// What the values are, with their unit.
    pub(super) label: String,
    /// The values at both ends.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Where values are written, and what.
    pub(super) ticks: Vec<(f64, String)>,
    /// Whether a line runs through the plot at each tick.
    pub(super) has_grid: bool,
}

impl Axis {
    /// Round numbers from `low` to `high` or a little beyond, some `count` of them.
    pub(in crate::report) fn linear(
        label: impl Into<String>,
        (low, high): (f64, f64),
        count: usize,
    ) -> Self {
        let step = round_step((high - low).max(1e-9) / count as f64);
        let first = (low / step + 1e-9).floor();
        let last = (high / step - 1e-9).ceil().max(first + 1.0);
        let decimals = (-(step * 1.001).log10().floor()).max(0.0) as usize;
        let tick = |i: i64| {
            let value = i as f64 * step;
            (value, format!("{value:.decimals$}"))
        };
        Self {
            label: label.into(),
            from: first * step,
            to: last * step,
            ticks: (first as i64..=last as i64).map(tick).collect(),
            has_grid: true,
        }
    }

    /// `from` to `to` with these ticks and no lines.
    pub(in crate::report) fn named(
        label: impl Into<String>,
        (from, to): (f64, f64),
        ticks: Vec<(f64, String)>,
    ) -> Self {
        Self {
            label: label.into(),
            from,
            to,
            ticks,
            has_grid: false,
        }
    }

    /// Leaves out what lies beyond `to`: 100 % is the most there is.
    pub(in crate::report) fn ending(mut self, to: f64) -> Self {
        self.to = self.to.min(to);
        self.ticks.retain(|tick| tick.0 <= self.to + 1e-9);
        self
    }

    /// Where `value` lies, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= least * 0.999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let axis = Axis::linear("dB", (18.2, 33.0), 4);
        assert_eq!((axis.from, axis.to), (15.0, 35.0));
        assert_eq!(ticks(&axis), ["15", "20", "25", "30", "35"]);
        let axis = Axis::linear("%", (0.981, 0.9995), 4).ending(1.0);
        assert_eq!(ticks(&axis), ["0.980", "0.985", "0.990", "0.995", "1.000"]);
        assert_eq!(axis.place(0.99), 0.5);
    }

    #[test]
    fn equal_values_have_an_axis() {
        let axis = Axis::linear("GMAC", (2.0, 2.0), 4);
        assert!(axis.from < axis.to && axis.from <= 2.0 && 2.0 <= axis.to);
    }
}
