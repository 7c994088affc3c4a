//! Signal to noise layer by layer.

use super::super::plot::{Axis, Plot, Shape};
use super::super::results::Report;
use super::parts::{Section, decibels, table};
use crate::evaluate::{LayerNoise, Place};

const SIZE: (f64, f64) = (820.0, 320.0);

pub(super) fn section(report: &Report) -> Section {
    let noise = &report.noise;
    let body = match noise.is_empty() {
        true => String::new(),
        false => format!(
            "<p>The residual stream of INT8 against that of FP32, without merging: the height of the signal over all \
             rounding so far. A step down names the part that loses most.</p>\n<figure>{}</figure>\n{KEY}{}",
            plot(noise),
            list(noise)
        ),
    };
    Section {
        id: "noise",
        title: "Signal to noise, layer by layer",
        body,
    }
}

fn name(noise: &LayerNoise) -> String {
    let part = match noise.after {
        Place::Embedding => "embedding",
        Place::Attention => "attention",
        Place::Mlp => "MLP",
    };
    match noise.layer {
        Some(layer) => format!("layer {layer}, {part}"),
        None => part.into(),
    }
}

/// Where the part lies along the network, in layers.
fn place(noise: &LayerNoise) -> f64 {
    let layer = noise.layer.map_or(-0.5, |layer| layer as f64);
    match noise.after {
        Place::Mlp => layer + 0.5,
        Place::Embedding | Place::Attention => layer,
    }
}

fn plot(noise: &[LayerNoise]) -> String {
    let values = noise.iter().filter_map(|own| own.signal_to_noise_db);
    let span = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), db| {
        (low.min(db), high.max(db))
    });
    // All places may be equal: then there is no noise to plot.
    let span = if span.0 <= span.1 { span } else { (0.0, 100.0) };
    let layers = noise
        .iter()
        .filter_map(|own| own.layer)
        .max()
        .map_or(0, |last| last + 1);
    let every = layers.div_ceil(24).max(1);
    let ticks = (0..layers)
        .step_by(every)
        .map(|layer| (layer as f64, layer.to_string()));
    let x = Axis::named("layer", (-0.8, layers as f64 - 0.2), ticks.collect());
    let mut plot = Plot::new(SIZE, x, Axis::linear("signal to noise, dB", span, 5));
    let points: Vec<(f64, f64)> = noise
        .iter()
        .filter_map(|own| Some((place(own), own.signal_to_noise_db?)))
        .collect();
    plot.line(&points, "n faint");
    for own in noise {
        let Some(db) = own.signal_to_noise_db else {
            continue;
        };
        let (shape, class) = match own.after {
            Place::Embedding => (Shape::Diamond, "c"),
            Place::Attention => (Shape::Dot, "a"),
            Place::Mlp => (Shape::Square, "b"),
        };
        plot.mark(
            (place(own), db),
            shape,
            class,
            &format!("{}: {db:.1} dB", name(own)),
        );
    }
    let described: Vec<String> = noise
        .iter()
        .map(|own| format!("{} {} dB", name(own), decibels(own.signal_to_noise_db)))
        .collect();
    plot.svg(
        "noise",
        "Signal to noise of the residual stream after each part",
        &described.join("; "),
    )
}

fn list(noise: &[LayerNoise]) -> String {
    let rows: Vec<_> = noise
        .iter()
        .map(|own| vec![name(own), decibels(own.signal_to_noise_db)])
        .collect();
    let table = table(&["after", "signal to noise, dB"], &rows);
    format!("<details><summary>The same as a table</summary>\n{table}</details>\n")
}

const KEY: &str = r#"<p class="key"><span class="c"><svg viewBox="0 0 14 14" aria-hidden="true"><path class="mark" d="M7 2l5 5-5 5-5-5z"/></svg>after the embedding</span>
<span class="a"><svg viewBox="0 0 14 14" aria-hidden="true"><circle class="mark" cx="7" cy="7" r="4.5"/></svg>after attention</span>
<span class="b"><svg viewBox="0 0 14 14" aria-hidden="true"><rect class="mark" x="3" y="3" width="8" height="8"/></svg>after the MLP</span></p>
"#;
