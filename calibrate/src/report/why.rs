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

fn table(what: &str, gains: &[Gain]) -> Table {
    let decibels = |gain: Option<f64>, error: Option<f64>| match (gain, error) {
        (Some(gain), Some(error)) => format!("{gain:+.2} ± {error:.2}"),
        (Some(gain), None) => format!("{gain:+.2}"),
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
