//! Some embedded frames one by one: picture, classes, tokens left after each layer.

use super::classify::classify;
use super::picture::{self, Style};
use super::samples::Sample;
use crate::failure::Failure;
use crate::output::Time;
use crate::ranking::{Label, Ranked, Ranking};
use crate::{model, output};
use mergevit_runtime::{Engine, Schedule};
use serde::Serialize;

/// Frames that are shown one by one.
const SHOWN: usize = 4;

/// Classes named for each frame.
const TOP: usize = 3;

/// Width of a bar in characters.
const BAR: usize = 24;

#[derive(Serialize)]
struct FrameRecord<'a> {
    event: &'static str,
    time: Time,
    frame: usize,
    label: Option<&'a String>,
    schedule: &'a str,
    top: Ranking<'a>,
    latency_us: f64,
    tokens: &'a [u16],
}

/// Shows some frames under the first schedule that merges.
pub(super) fn show(engine: &mut Engine, samples: &[Sample], json: bool) -> Result<(), Failure> {
    let merges = |s: &&Schedule| !s.is_unmerged();
    if let Some(schedule) = engine.pack().schedules().iter().find(merges) {
        let name = schedule.name.clone();
        model::set_schedule(engine, &name)?;
    }
    let mut top = [Ranked::default(); TOP];
    // The first run also faults in pages, so its time is not shown.
    if let Some(&first) = samples.first() {
        classify(engine, first, &mut top)?;
    }
    let style = Style::detect();
    for (frame, &sample) in samples.iter().take(SHOWN).enumerate() {
        let latency_us = classify(engine, sample, &mut top)?;
        let labels = &engine.pack().config().labels;
        let record = FrameRecord {
            event: "frame",
            time: Time::now(),
            frame,
            label: labels.get(sample.class),
            schedule: &engine.schedule().name,
            top: Ranking {
                labels,
                top: &top[..TOP.min(engine.pack().config().classes)],
            },
            latency_us,
            tokens: engine.plan().tokens(),
        };
        if json {
            output::print_json(&record)?;
        } else {
            output::print(&card(&record, sample, style))?;
        }
    }
    Ok(())
}

/// A frame's picture with its result to the right.
fn card(record: &FrameRecord<'_>, sample: Sample, style: Style) -> String {
    let Ranking { labels, top } = record.top;
    let label = |class| Label { labels, class }.to_string();
    let width = top.iter().map(|top| label(top.class).chars().count()).max();
    let mut notes = vec![String::new(); 3];
    notes.push(format!("frame {} · {}", record.frame, label(sample.class)));
    notes.push(String::new());
    for top in top {
        let bar = picture::bar(top.probability, BAR, style);
        let percent = 100.0 * top.probability;
        let mark = if top.class == sample.class { " <" } else { "" };
        let name = format!("{:<1$}", label(top.class), width.unwrap_or(0));
        notes.push(format!("{name}  {bar} {percent:5.1} %{mark}"));
    }
    notes.push(String::new());
    let latency = output::microseconds(record.latency_us);
    notes.push(format!("{latency} · schedule {}", record.schedule));
    notes.push(format!("tokens {}", output::arrows(record.tokens)));
    let mut text = String::new();
    for (row, picture) in picture::draw(sample.pixels, style).iter().enumerate() {
        let note = notes.get(row).map_or("", String::as_str);
        let line = format!("  {picture}  {note}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text + "\n"
}
