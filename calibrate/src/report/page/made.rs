//! How pack and report were made.

use super::super::markup::escape;
use super::super::results::Report;
use super::parts::{Section, facts};
use mergevit_runtime::words::Count;

pub(super) fn section(report: &Report) -> Section {
    let source = &report.made.provenance;
    let named = |name: &str| {
        if name.is_empty() {
            "not stated".into()
        } else {
            name.to_owned()
        }
    };
    let mut rows = vec![
        ("measured", format!("{} with {}", report.date, report.tool)),
        ("backend", report.backend.clone()),
        (
            "pack",
            format!(
                "{} ({})",
                report.pack.as_deref().unwrap_or("in memory"),
                report.pack_hash
            ),
        ),
        ("packed with", named(&source.tool)),
        (
            "checkpoint",
            format!(
                "{} ({})",
                named(&source.checkpoint),
                named(&source.checkpoint_hash)
            ),
        ),
        (
            "calibration set",
            format!(
                "{}, {}",
                named(&source.calibration_set),
                Count(source.calibration_images, "image")
            ),
        ),
    ];
    rows.extend(
        source
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    let mut body = facts(&rows);
    if !report.made.command.is_empty() {
        body += &format!(
            "<p class=\"note\">The command that wrote this page:</p>\n<pre>{}</pre>\n",
            escape(&report.made.command)
        );
    }
    Section {
        id: "made",
        title: "How it was made",
        body,
    }
}
