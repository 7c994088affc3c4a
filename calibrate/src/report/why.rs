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
    let row = |gain: &Gain| {
        let error = gain
            .standard_error_db
            .map_or_else(String::new, |error| format!(" ± {error:.2}"));
        vec![gain.name(), format!("{:+.2}{error}", gain.gain_db)]
    };
    Table {
        title: "Why INT8 differs",
        header: vec![what.into(), "outputs gain, dB".into()],
        rows: gains.iter().map(row).collect(),
    }
}
