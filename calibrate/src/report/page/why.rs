//! Which rounding costs how much.

use super::super::markup::escape;
use super::super::plot::{Axis, Plot, Shape};
use super::super::results::Report;
use super::super::why::signed;
use super::parts::{Section, decibels, table};
use crate::diagnose::{Diagnosis, Gain};
use mergevit_runtime::words::Count;
use std::fmt::Write;

const SIZE: (f64, f64) = (820.0, 280.0);

/// An interval of 95 % is so many standard errors to each side.
const Z: f64 = 1.96;

pub(super) fn section(report: &Report) -> Section {
    Section {
        id: "why",
        title: "Which rounding costs how much",
        body: report.why.as_ref().map_or_else(String::new, body),
    }
}

fn body(why: &Diagnosis) -> String {
    let mut body = String::new();
    if let Some(hint) = &why.hint {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", escape(hint));
    }
    let outputs = match why.outputs_signal_to_noise_db {
        Some(db) => format!(", and the scores {db:.1} dB"),
        None => String::new(),
    };
    let _ = writeln!(
        body,
        "<p>Emulated over {}, with all roundings, what the classifier sees has {} dB against FP32{outputs}. Each row leaves \
         one rounding out, in all layers: by so much do features and scores come nearer. What gains nothing is not worth \
         anybody's work. After ± stands the standard error.</p>",
        Count(why.images, "image"),
        decibels(why.signal_to_noise_db)
    );
    body += &list(&why.quantizers);
    if !why.layers.is_empty() {
        let _ = writeln!(
            body,
            "<h3>Layer by layer</h3>\n<p>The same without any rounding in one layer: what features gain, with 95 % intervals.</p>\n<figure>{}</figure>",
            plot(&why.layers)
        );
    }
    if !why.outliers.is_empty() {
        body += &outliers(why);
    }
    body
}

fn list(gains: &[Gain]) -> String {
    let largest = gains.iter().map(|gain| gain.gain_db);
    let largest = largest.fold(f64::MIN_POSITIVE, f64::max);
    let cell = |gain: Option<f64>, error: Option<f64>| match (gain, error) {
        (Some(gain), Some(error)) => format!("{} ± {error:.2}", signed(gain)),
        (Some(gain), None) => signed(gain),
        (None, _) => "–".into(),
    };
    let row = |gain: &Gain| {
        let share = (gain.gain_db / largest).max(0.0);
        vec![
            escape(&gain.name()),
            cell(gain.outputs_gain_db, gain.outputs_standard_error_db),
            cell(Some(gain.gain_db), gain.standard_error_db),
            format!("<span class=\"gain\" style=\"--share:{share:.3}\"></span>"),
        ]
    };
    let rows: Vec<_> = gains.iter().map(row).collect();
    let head = ["without the rounding of", "scores, dB", "features, dB", ""];
    format!("<div class=\"gains\">{}</div>\n", table(&head, &rows))
}

fn plot(gains: &[Gain]) -> String {
    let range = |gain: &Gain| {
        let half = Z * gain.standard_error_db.unwrap_or(0.0);
        (gain.gain_db - half, gain.gain_db + half)
    };
    let (low, high) = gains.iter().map(range).fold((0.0f64, 0.1f64), |span, own| {
        (span.0.min(own.0), span.1.max(own.1))
    });
    let every = gains.len().div_ceil(24).max(1);
    let ticks = (0..gains.len())
        .step_by(every)
        .map(|layer| (layer as f64, layer.to_string()));
    let x = Axis::named("layer", (-0.8, gains.len() as f64 - 0.2), ticks.collect());
    let mut plot = Plot::new(SIZE, x, Axis::linear("gain, dB", (low, high), 4));
    plot.line(&[(-0.8, 0.0), (gains.len() as f64 - 0.2, 0.0)], "n dashed");
    let mut described = Vec::new();
    for (layer, gain) in gains.iter().enumerate() {
        let title = format!("{}: {:+.2} dB", gain.name(), gain.gain_db);
        plot.interval(layer as f64, range(gain), "a");
        plot.mark((layer as f64, gain.gain_db), Shape::Dot, "a", &title);
        described.push(title);
    }
    plot.svg(
        "why",
        "Gain of the features without the rounding of each layer, with 95 % intervals",
        &described.join("; "),
    )
}

fn outliers(why: &Diagnosis) -> String {
    let row = |own: &crate::diagnose::Outlier| {
        vec![
            format!("layer {}, {}", own.layer, own.activation.name()),
            own.channel.to_string(),
            format!("{:.1}", own.times_median),
        ]
    };
    let rows: Vec<_> = why.outliers.iter().map(row).collect();
    format!(
        "<h3>Channels that reach furthest</h3>\n<p>Channels that coarsen the steps of the rest of their kind, and their largest \
         value over that of the median channel. Beyond some 30, the others have few of the 127 steps left.</p>\n{}",
        table(&["activation", "channel", "times the median"], &rows)
    )
}
