//! A classifier that was made: as a pack, as text, and as a report.

use super::data::Facts;
use crate::cli::error::CommandError;
use crate::cli::reports::command_line;
use crate::cli::summary::{quoted, write_size};
use crate::confidence::Reliability;
use crate::evaluate::{ScheduleCost, standard_error};
use crate::head::{Assessment, Head, HeadKind, HeadOptions};
use crate::report::{
    ClassReport, Confusion, ReliabilityBin, Report, ScheduleReport, Table, write_table,
};
use mergevit_runtime::aligned::AlignedBytes;
use mergevit_runtime::words::Count;
use mergevit_runtime::{Confidence, Engine, Pack, PackWriter, Provenance, Schedule};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Classes up to which the text has a table of who was taken for whom.
const TABLE_CLASSES: usize = 12;

/// A classifier, what it was made of, and how good it is.
pub(super) struct Outcome {
    pub(super) kind: HeadKind,
    pub(super) head: Head,
    /// Images of each class that it was made from; none of those that were there.
    pub(super) counts: Vec<usize>,
    pub(super) assessment: Assessment,
    pub(super) facts: Facts,
}

fn percent(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

impl Outcome {
    /// Whether a class was added to others, which stayed as they were.
    fn is_addition(&self) -> bool {
        self.counts.contains(&0)
    }

    /// The pack of `engine` with these classes. What was measured of other classes is left out.
    ///
    /// # Errors
    /// [`CommandError::Write`].
    pub(super) fn pack(
        &self,
        engine: &Engine,
        options: &HeadOptions,
    ) -> Result<AlignedBytes, CommandError> {
        let pack = engine.pack();
        let used = &engine.schedule().name;
        let schedules = pack.schedules().iter().map(|own| Schedule {
            accuracy: None,
            confidence: self.confidence().filter(|_| own.name == *used),
            ..own.clone()
        });
        let writer = PackWriter::from_pack(pack)
            .with_schedules(schedules.collect())
            .with_cascades(Vec::new())
            .with_provenance(self.provenance(pack, used, options))
            .with_classes(self.head.classes.clone())?;
        Ok(writer.to_bytes()?)
    }

    fn provenance(&self, pack: &Pack, schedule: &str, options: &HeadOptions) -> Provenance {
        let mut provenance = pack.provenance().clone();
        let images: usize = self.counts.iter().sum();
        let mut facts = vec![
            ("head", self.kind.name().to_owned()),
            ("head_set", self.facts.set.clone()),
            ("head_images", images.to_string()),
            ("head_schedule", schedule.to_owned()),
            ("head_folds", options.folds.to_string()),
        ];
        if let Some(strength) = self.head.strength {
            facts.push(("head_regularization", format!("{strength:.3e}")));
        }
        if let Some(accuracy) = self.assessment.accuracy() {
            facts.push(("head_accuracy", format!("{accuracy:.4}")));
        }
        let facts = facts.into_iter().map(|(key, value)| (key.into(), value));
        provenance.settings.extend(facts);
        provenance
    }

    /// What makes the scores probabilities, if it could be fitted.
    fn confidence(&self) -> Option<Confidence> {
        let error = |own: &Reliability| own.expected_error();
        Some(Confidence {
            temperature: self.head.temperature.ok()? as f32,
            dataset: self.facts.set.clone(),
            images: self.assessment.reliability.images(),
            ece_before: error(&self.assessment.reliability_before)?,
            ece: error(&self.assessment.reliability)?,
        })
    }

    /// Lines that end with a newline: what was made of what, how good it is, and what to do with it.
    pub(super) fn text(&self, pack: &Pack, path: Option<&Path>, elapsed: Duration) -> String {
        let images: usize = self.counts.iter().sum();
        let classes = self.facts.labels.len();
        let mut text = format!(
            "{}: {classes} classes{} from {} of {}\n\n",
            self.kind.name(),
            match self.is_addition() {
                true => " now, one of them",
                false => "",
            },
            Count(images as u64, "image"),
            self.facts.set
        );
        let mut add = |title: &str, table: &Table| {
            text.push_str(title);
            text.push('\n');
            write_table(&mut text, table);
            text.push('\n');
        };
        add(
            "Images that had no part in what judged them",
            &self.accuracy(),
        );
        if classes <= TABLE_CLASSES && !self.is_addition() {
            add("Images of each class (rows) by answer", &self.table());
        }
        self.write_notes(&mut text);
        write_size(&mut text, pack, elapsed);
        if let Some(path) = path {
            let _ = writeln!(
                text,
                "next: mergevit classify --model {} IMAGE",
                quoted(path)
            );
        }
        text
    }

    fn write_notes(&self, text: &mut String) {
        let _ = match (self.confidence(), self.head.temperature) {
            (Some(own), _) => writeln!(
                text,
                "confidence is off by {} % on average (expected calibration error; {} % without the temperature of {:.2})",
                percent(own.ece),
                percent(own.ece_before),
                own.temperature
            ),
            (None, Err(why)) if !self.is_addition() => {
                writeln!(text, "no temperature for the confidence: {why}")
            }
            _ => Ok(()),
        };
        if self.head.classes.unknown.is_some() && self.assessment.reliability.images() > 0 {
            let _ = writeln!(
                text,
                "{} % of these images would be called unknown",
                percent(self.assessment.unknown as f64 / self.assessment.images() as f64)
            );
        }
    }

    /// Accuracy class by class, and of all.
    fn accuracy(&self) -> Table {
        let row = |name: &str, of: &[(usize, usize)], made_from: usize| {
            let right = of.iter().filter(|(label, answer)| label == answer).count();
            let (right, judged) = (right as f64 / of.len() as f64, of.len() as u64);
            vec![
                name.to_owned(),
                made_from.to_string(),
                judged.to_string(),
                percent(right),
                percent(standard_error(right, judged)),
            ]
        };
        let mut rows = Vec::new();
        for (class, label) in self.facts.labels.iter().enumerate() {
            let own = self.assessment.answers.iter();
            let own: Vec<_> = own.filter(|(label, _)| *label == class).copied().collect();
            if !own.is_empty() {
                rows.push(row(label, &own, self.counts[class]));
            }
        }
        if rows.len() > 1 {
            let all = &self.assessment.answers;
            rows.push(row("all", all, self.counts.iter().sum()));
        }
        let header = ["class", "made from", "judged by", "right %", "±"];
        Table {
            header: header.map(String::from).into(),
            rows,
        }
    }

    /// Which class was taken for which.
    fn table(&self) -> Table {
        let labels = &self.facts.labels;
        let mut counts = vec![vec![0u64; labels.len()]; labels.len()];
        for &(label, answer) in &self.assessment.answers {
            counts[label][answer] += 1;
        }
        let row = |(label, counts): (&String, &Vec<u64>)| {
            let cells = counts.iter().map(u64::to_string);
            std::iter::once(label.clone()).chain(cells).collect()
        };
        Table {
            header: std::iter::once("class".into())
                .chain(labels.iter().cloned())
                .collect(),
            rows: labels.iter().zip(&counts).map(row).collect(),
        }
    }

    /// All that was measured, in the form that every report has.
    pub(super) fn report(&self, pack: &Pack, path: Option<&Path>, backend: &str) -> Report {
        let judged = self.assessment.images() as u64;
        let mut report = Report::of_pack(pack, &self.facts.set, backend);
        report.pack = path.map(|path| path.display().to_string());
        report.images = judged;
        report.labelled = judged;
        report.skipped = self.facts.skipped as u64;
        report.made.command = command_line();
        let used = pack.provenance().settings.get("head_schedule");
        let schedules = pack.schedules().iter();
        report.schedules = schedules
            .filter(|own| used == Some(&own.name))
            .map(|own| self.measured(pack, own))
            .collect();
        report
    }

    fn measured(&self, pack: &Pack, schedule: &Schedule) -> ScheduleReport {
        let judged = self.assessment.images() as u64;
        let top1 = self.assessment.accuracy();
        let confidence = schedule.confidence.as_ref();
        let cost = ScheduleCost::of(pack.config(), schedule);
        let labels = &self.facts.labels;
        let answers = || self.assessment.answers.iter().copied();
        ScheduleReport {
            name: schedule.name.clone(),
            merge: schedule.merge.clone(),
            top1,
            top1_standard_error: top1.map(|p| standard_error(p, judged)),
            temperature: confidence.map(|own| f64::from(own.temperature)),
            ece: confidence.map(|own| own.ece),
            ece_uncalibrated: confidence.map(|own| own.ece_before),
            ece_by_chance: self.assessment.reliability.error_by_chance(),
            reliability: ReliabilityBin::of(&self.assessment.reliability),
            merging: schedule.merging.clone(),
            merged: cost.merged,
            gmac: cost.gmac,
            classes: labels
                .iter()
                .enumerate()
                .map(|own| self.class(own))
                .collect(),
            confusion: Some(Confusion::count(
                labels,
                answers(),
                None::<std::iter::Empty<_>>,
            )),
            ..ScheduleReport::default()
        }
    }

    fn class(&self, (class, label): (usize, &String)) -> ClassReport {
        let own = || self.assessment.answers.iter().filter(|own| own.0 == class);
        let (images, right) = (own().count(), own().filter(|own| own.1 == class).count());
        ClassReport {
            label: label.clone(),
            images: images as u64,
            top1: (images > 0).then(|| right as f64 / images as f64),
            top1_fp32: None,
        }
    }
}
