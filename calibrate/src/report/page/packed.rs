//! What was packed.

use super::super::results::Report;
use super::parts::{Section, facts};
use mergevit_runtime::words::Count;

pub(super) fn section(report: &Report) -> Section {
    let (network, source) = (&report.network, &report.made.provenance);
    let answers = match network.classes {
        0 => "embeddings".into(),
        1 => "1 class".into(),
        classes => format!("{classes} classes"),
    };
    let pack = report.pack.as_deref().unwrap_or("in memory");
    let schedules = report.schedules.iter().map(|own| own.name.as_str());
    let cascades = report.cascades.iter().map(|own| own.name.as_str());
    let names: Vec<&str> = schedules.chain(cascades).collect();
    let images = format!(
        "{} of {}",
        Count(source.calibration_images, "image"),
        source.calibration_set
    );
    let body = facts(&[
        (
            "pack",
            format!("{pack}, {:.1} MB", network.bytes as f64 / 1e6),
        ),
        (
            "model",
            format!(
                "{}: {} of {} channels, {}, {answers}",
                report.model,
                Count(network.depth as u64, "layer"),
                network.width,
                Count(network.heads as u64, "head"),
            ),
        ),
        (
            "input",
            format!(
                "{0} × {0} pixels in patches of {1}: {2} tokens",
                network.image_size, network.patch_size, network.tokens
            ),
        ),
        ("calibrated on", images),
        ("schedules here", names.join(", ")),
    ]);
    Section {
        id: "packed",
        title: "What was packed",
        body,
    }
}
