//! `/metrics`: the text that Prometheus reads (text format 0.0.4).

use super::live::{Live, Run};
use super::totals::{BOUNDS, Histogram, SourceTotals};
use crate::link::CameraStatus;
use std::fmt::{self, Write};

/// The type of [`text`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(live: &Live, viewers: usize) -> String {
    let mut out = Text::default();
    run(&mut out, live);
    sources(&mut out, live);
    schedules(&mut out, live);
    sensors(&mut out, live);
    out.histogram(
        "mergevit_latency_seconds",
        "Preprocessing and inference of a frame.",
        &live.totals.latency,
    );
    out.histogram(
        "mergevit_frame_age_seconds",
        "From the capture of a frame to its result.",
        &live.totals.age,
    );
    out.one(
        "mergevit_page_viewers",
        Kind::Gauge,
        "Pages that are open.",
        viewers as f64,
    );
    out.0
}

fn run(out: &mut Text, live: &Live) {
    let here = matches!(live.run, Run::Here(_));
    out.one(
        "mergevit_up",
        Kind::Gauge,
        "Whether the run is there.",
        f64::from(u8::from(here)),
    );
    if let Run::Here(hello) = &live.run {
        out.family("mergevit_info", Kind::Gauge, "What runs.");
        out.sample(
            "mergevit_info",
            &[("version", &hello.version), ("model", &hello.model)],
            1.0,
        );
    }
    let totals = &live.totals;
    let errors = "Frames that could not be used, and failures.";
    out.one(
        "mergevit_errors_total",
        Kind::Counter,
        errors,
        totals.errors as f64,
    );
    let lost = "Records that the run dropped because this page was slow.";
    out.one(
        "mergevit_records_lost_total",
        Kind::Counter,
        lost,
        totals.lost as f64,
    );
    let unreadable = "Messages of the run that hold no record.";
    out.one(
        "mergevit_records_unreadable_total",
        Kind::Counter,
        unreadable,
        totals.unreadable as f64,
    );
    let name = "mergevit_reloads_total";
    out.family(
        name,
        Kind::Counter,
        "Times that the model was loaded again.",
    );
    for (result, count) in ["ok", "refused"].into_iter().zip(totals.reloads) {
        out.sample(name, &[("result", result)], count as f64);
    }
}

fn sources(out: &mut Text, live: &Live) {
    let mut family = |name, help, value: fn(&SourceTotals) -> u64| {
        out.family(name, Kind::Counter, help);
        for (source, totals) in &live.totals.sources {
            out.sample(name, &[("source", source)], value(totals) as f64);
        }
    };
    family("mergevit_frames_total", "Frames classified.", |totals| {
        totals.frames
    });
    family(
        "mergevit_state_changes_total",
        "Changes of what is seen.",
        |totals| totals.state_changes,
    );
    let name = "mergevit_frames_dropped_total";
    out.family(
        name,
        Kind::Counter,
        "Frames lost: in the driver, or to newer ones.",
    );
    for (source, totals) in &live.totals.sources {
        for (cause, count) in [
            ("driver", totals.dropped_by_driver),
            ("replaced", totals.replaced),
        ] {
            out.sample(name, &[("source", source), ("cause", cause)], count as f64);
        }
    }
    let name = "mergevit_source_streaming";
    out.family(name, Kind::Gauge, "Whether a source gives frames.");
    for (source, camera) in &live.cameras {
        let streams = camera.status == CameraStatus::Streaming;
        out.sample(name, &[("source", source)], f64::from(u8::from(streams)));
    }
    let name = "mergevit_state";
    out.family(
        name,
        Kind::Gauge,
        "What is seen: 1 for the state of each view.",
    );
    for (view, seen) in &live.views {
        let region = view.region.as_deref().unwrap_or_default();
        if let Some(state) = &seen.state {
            out.sample(
                name,
                &[
                    ("source", &view.source),
                    ("region", region),
                    ("state", state),
                ],
                1.0,
            );
        }
    }
}

fn schedules(out: &mut Text, live: &Live) {
    let name = "mergevit_schedule";
    out.family(
        name,
        Kind::Gauge,
        "The schedule or cascade that runs: 1 for it, 0 for the others.",
    );
    if let Run::Here(hello) = &live.run {
        let names = hello
            .schedules
            .iter()
            .map(|schedule| &schedule.name)
            .chain(&hello.cascades);
        for schedule in names {
            let runs = live.schedule.as_ref() == Some(schedule);
            out.sample(name, &[("schedule", schedule)], f64::from(u8::from(runs)));
        }
    }
    let held = "Whether somebody holds the schedule, so that no governor changes it.";
    out.one(
        "mergevit_schedule_held",
        Kind::Gauge,
        held,
        f64::from(u8::from(live.held)),
    );
    let name = "mergevit_schedule_switches_total";
    out.family(name, Kind::Counter, "Changes of the schedule, by reason.");
    for (reason, &count) in &live.totals.switches {
        out.sample(name, &[("reason", reason)], count as f64);
    }
    if let Some(budget) = live.budget_us {
        out.one(
            "mergevit_latency_budget_seconds",
            Kind::Gauge,
            "What a frame may take.",
            budget / 1e6,
        );
    }
}

fn sensors(out: &mut Text, live: &Live) {
    let Some((_, sensors)) = &live.sensors else {
        return;
    };
    for (name, help, value) in [
        (
            "mergevit_power_watts",
            "Power that the board draws.",
            sensors.watts,
        ),
        (
            "mergevit_gpu_clock_hertz",
            "Clock of the GPU.",
            sensors.gpu_clock_hz,
        ),
        (
            "mergevit_gpu_load_ratio",
            "Load of the GPU, 0 to 1.",
            sensors.gpu_load,
        ),
        (
            "mergevit_energy_per_frame_joules",
            "Energy of a frame, the whole board's.",
            sensors.joules_per_frame,
        ),
    ] {
        if let Some(value) = value {
            out.one(name, Kind::Gauge, help, value);
        }
    }
    let name = "mergevit_rail_power_watts";
    out.family(name, Kind::Gauge, "Power of each supply.");
    for rail in &sensors.rails {
        out.sample(name, &[("rail", &rail.name)], rail.watts);
    }
    let name = "mergevit_temperature_celsius";
    out.family(name, Kind::Gauge, "Temperature of each thermal zone.");
    for zone in &sensors.temperatures {
        out.sample(name, &[("zone", &zone.name)], zone.celsius);
    }
    let name = "mergevit_over_currents_total";
    out.family(name, Kind::Counter, "Over-current events of each supply.");
    for supply in &sensors.over_currents {
        out.sample(name, &[("supply", &supply.name)], supply.events as f64);
    }
    let throttled = "Causes for which the board throttles itself now.";
    out.one(
        "mergevit_throttling_causes",
        Kind::Gauge,
        throttled,
        sensors.throttled.len() as f64,
    );
}

/// What a metric does.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = Labels(labels);
        let value = Value(value);
        self.line(format_args!("{name}{labels} {value}"));
    }

    /// A metric of one sample.
    fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, Kind::Histogram, help);
        let mut count = 0;
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        for (bound, bin) in bounds.zip(histogram.bins) {
            count += bin;
            let bound = Value(bound).to_string();
            self.sample(&format!("{name}_bucket"), &[("le", &bound)], count as f64);
        }
        self.sample(&format!("{name}_sum"), &[], histogram.sum_s);
        self.sample(&format!("{name}_count"), &[], count as f64);
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = writeln!(self.0, "{line}");
    }
}

struct Labels<'a>(&'a [(&'a str, &'a str)]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{name}=\"")?;
            for character in value.chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
        }
        if self.0.is_empty() {
            Ok(())
        } else {
            f.write_char('}')
        }
    }
}

/// A number as Go reads it.
struct Value(f64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value if value.is_nan() => f.write_str("NaN"),
            value => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::{FRAME, after};
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_is_known_is_in_the_text() {
        let live = after(
            Instant::now(),
            &[
                FRAME,
                r#"{"event":"switch","from":"r0","to":"r1","reason":"over_budget","budget_us":20000}"#,
                r#"{"event":"sensors","watts":7.5,"rails":[{"name":"VDD_IN","watts":7.5}],
                    "temperatures":[{"name":"tj","celsius":51.5}],"gpu_load":0.25,"throttled":["cpu-alert"],"over_currents":[{"name":"oc1","events":3}]}"#,
                r#"{"event":"camera","source":"camera0","status":"lost"}"#,
            ],
        );
        let text = text(&live, 2);
        for line in [
            "mergevit_up 1",
            "mergevit_info{version=\"9\",model=\"m.mvit\"} 1",
            "mergevit_frames_total{source=\"camera0\"} 1",
            "mergevit_frames_dropped_total{source=\"camera0\",cause=\"replaced\"} 2",
            "mergevit_state{source=\"camera0\",region=\"\",state=\"cat\"} 1",
            "mergevit_source_streaming{source=\"camera0\"} 0",
            "mergevit_schedule{schedule=\"r0\"} 0",
            "mergevit_schedule{schedule=\"r1\"} 1",
            "mergevit_schedule{schedule=\"easy\"} 0",
            "mergevit_schedule_switches_total{reason=\"over_budget\"} 1",
            "mergevit_latency_budget_seconds 0.02",
            "mergevit_power_watts 7.5",
            "mergevit_temperature_celsius{zone=\"tj\"} 51.5",
            "mergevit_throttling_causes 1",
            "mergevit_over_currents_total{supply=\"oc1\"} 3",
            "mergevit_latency_seconds_bucket{le=\"0.001\"} 0",
            "mergevit_latency_seconds_bucket{le=\"0.002\"} 1",
            "mergevit_latency_seconds_bucket{le=\"+Inf\"} 1",
            "mergevit_latency_seconds_sum 0.002",
            "mergevit_latency_seconds_count 1",
            "mergevit_page_viewers 2",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in:\n{text}"
            );
        }
    }

    #[test]
    fn names_that_others_chose_cannot_break_out() {
        let mut text = Text::default();
        text.sample("x", &[("a", "1\"} 9\nmergevit_up 0 \\")], f64::NAN);
        assert_eq!(text.0, "x{a=\"1\\\"} 9\\nmergevit_up 0 \\\\\"} NaN\n");
    }

    #[test]
    fn before_the_first_run_there_is_little_to_say() {
        let text = text(&Live::new(Instant::now()), 0);
        assert!(text.contains("mergevit_up 0\n") && !text.contains("mergevit_info"));
    }
}
