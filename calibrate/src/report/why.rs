//! Tables of what each rounding costs.

use super::results::Report;
use super::table::Table;
use crate::diagnose::Gain;

/// What the outputs gain without each quantizer, the largest gain first; no rows unless that was asked for.
pub(super) fn quantizers(report: &Report) -> Table {
    let gains = report.why.as_ref().map_or(&[][..], |why| &why.quantizers);
    table("without the rounding of", gains)
}

/// The same without each layer's quantizers.
pub(super) fn layers(report: &Report) -> Table {
    let gains = report.why.as_ref().map_or(&[][..], |why| &why.layers);
    table("without all rounding in", gains)
}

/// A gain with its sign; what rounds to nothing has a plus.
pub(super) fn signed(db: f64) -> String {
    // Adding 0 makes -0 a 0.
    format!("{:+.2}", (100.0 * db).round() / 100.0 + 0.0)
}

fn table(what: &str, gains: &[Gain]) -> Table {
    let decibels = |gain: Option<f64>, error: Option<f64>| match (gain, error) {
        (Some(gain), Some(error)) => format!("{} ± {error:.2}", signed(gain)),
        (Some(gain), None) => signed(gain),
        (None, _) => "-".into(),
    };
    let row = |gain: &Gain| {
        vec![
            gain.name(),
            decibels(Some(gain.gain_db), gain.standard_error_db),
            decibels(gain.outputs_gain_db, gain.outputs_standard_error_db),
        ]
    };
    let header = [what, "features gain, dB", "outputs gain, dB"];
    Table {
        header: header.map(String::from).into(),
        rows: gains.iter().map(row).collect(),
    }
}
