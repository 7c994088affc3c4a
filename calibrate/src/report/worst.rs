//! A closer look at the images on which a pack does worst.

use super::results::{Fault, ScoredClass, WorstImage};
use crate::evaluate::{Answer, Evaluation};
use mergevit_runtime::inspect::token_map;
use mergevit_runtime::{ModelConfig, Prediction, RunError, Schedule, Top};

/// So many images are looked at in all.
const IMAGES: usize = 12;

/// But of a schedule at least so many of each fault.
const LEAST: usize = 1;

/// So many of an image's most likely classes are told.
const CLASSES: usize = 3;

/// An answer that deserves a closer look.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Name of the schedule.
    pub schedule: String,
    /// Which image, in the order in which they were classified.
    pub image: usize,
    /// What is wrong.
    pub fault: Fault,
    /// The image's class, if it has a label.
    pub label: Option<usize>,
}

/// The answers that deserve a closer look: under each schedule those that differ from full precision's, and those that
/// are not the label, half each where there are enough, the surest first. No image comes twice: what a schedule shares with one before it is not its
/// own fault.
pub fn suspects(evaluation: &Evaluation<'_>) -> Vec<Suspect> {
    let full = evaluation.full_precision().map(|full| full.answers().all());
    let schedules = evaluation.schedules();
    let share = (IMAGES / (2 * schedules.len().max(1))).max(LEAST);
    let mut all: Vec<Suspect> = Vec::new();
    for fault in [Fault::Disagrees, Fault::Wrong] {
        for (schedule, tally) in schedules {
            let answers = tally.answers().all();
            let suspect = |image: usize| Suspect {
                schedule: schedule.name.clone(),
                image,
                fault,
                label: answers[image].label.map(|label| label as usize),
            };
            let mut faulty = faulty(answers, full, fault);
            faulty.retain(|image| !all.iter().any(|other| other.image == *image));
            all.extend(faulty.into_iter().take(share).map(suspect));
        }
    }
    all
}

/// Images whose answers have a fault, the surest first.
fn faulty(answers: &[Answer], full: Option<&[Answer]>, fault: Fault) -> Vec<usize> {
    let disagrees =
        |image: usize| full.is_some_and(|full| full[image].class != answers[image].class);
    let has_fault = |&image: &usize| match fault {
        Fault::Disagrees => disagrees(image),
        Fault::Wrong => answers[image].is_wrong() && !disagrees(image),
    };
    let mut images: Vec<usize> = (0..answers.len()).filter(has_fault).collect();
    // Stable: equals stay in the order of the set.
    images.sort_by(|&a, &b| answers[b].margin.total_cmp(&answers[a].margin));
    images
}

/// Runs a suspect again, `pixels` u8 (S, S, 3) at model resolution, which the set calls `name`.
///
/// # Errors
/// [`RunError`] if `pixels` are not one image of the model, or if a device fails.
pub fn examine(
    evaluation: &mut Evaluation<'_>,
    suspect: &Suspect,
    name: String,
    pixels: Vec<u8>,
) -> Result<WorstImage, RunError> {
    let fp32 = evaluation.full_precision_scores(&pixels);
    let engine = evaluation.engine_mut();
    engine.set_schedule(&suspect.schedule)?;
    let token_of_patch = token_map(engine, &pixels)?;
    let output = engine.classify_pixels(&pixels)?;
    let int8 = scored(output.top(0));
    let model = engine.pack().config();
    // The same temperature for both, so that what differs is the networks.
    let mut schedules = engine.pack().schedules().iter();
    let schedule = schedules.find(|own| own.name == suspect.schedule);
    let temperature = schedule.map_or(1.0, Schedule::temperature);
    let fp32 = fp32.map_or(Vec::new(), |scores| {
        let top = Top::of_scores(model.score_kind, temperature, &scores, &model.labels);
        scored(top)
    });
    Ok(WorstImage {
        image: name,
        schedule: suspect.schedule.clone(),
        fault: suspect.fault,
        label: suspect.label.map(|class| label(model, class)),
        int8,
        fp32,
        side: model.side(),
        token_of_patch,
        pixels,
    })
}

/// The first few classes.
fn scored(top: Top<'_>) -> Vec<ScoredClass> {
    let class = |own: Prediction<'_>| ScoredClass {
        label: own
            .label
            .map_or_else(|| own.class.to_string(), str::to_owned),
        probability: own.probability.into(),
    };
    top.take(CLASSES).map(class).collect()
}

/// The name of a class, or its number.
fn label(model: &ModelConfig, class: usize) -> String {
    let name = model.labels.get(class).cloned();
    name.unwrap_or_else(|| class.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::ScoreKind;

    fn answers(rows: &[([f32; 2], usize)]) -> Vec<Answer> {
        let rows = rows.iter();
        rows.map(|(logits, label)| Answer::new(logits, Some(*label)))
            .collect()
    }

    #[test]
    fn the_surest_faults_come_first() {
        let int8 = answers(&[
            ([0.0, 1.0], 0),
            ([0.0, 5.0], 0),
            ([0.0, 3.0], 0),
            ([0.0, 2.0], 1),
            ([4.0, 0.0], 0),
        ]);
        let fp32 = answers(&[
            ([0.0, 1.0], 0),
            ([0.0, 1.0], 0),
            ([1.0, 0.0], 0),
            ([1.0, 0.0], 1),
            ([1.0, 0.0], 0),
        ]);
        assert_eq!(faulty(&int8, Some(&fp32), Fault::Disagrees), [2, 3]);
        assert_eq!(faulty(&int8, Some(&fp32), Fault::Wrong), [1, 0]);
        assert_eq!(faulty(&int8, None, Fault::Wrong), [1, 2, 0]);
        assert!(faulty(&int8, None, Fault::Disagrees).is_empty());
    }

    #[test]
    fn the_likeliest_classes_have_their_names_or_numbers() {
        let scores = [0.0, 3f32.ln(), -1e30, 0.0];
        let labels = ["a", "b", "c", "d"].map(String::from);
        let told = |kind, labels: &[String]| -> Vec<(String, f64)> {
            let told = scored(Top::of_scores(kind, 1.0, &scores, labels));
            told.into_iter()
                .map(|own| (own.label, (1e6 * own.probability).round() / 1e6))
                .collect()
        };
        let expected = |all: [(&str, f64); 3]| all.map(|(label, p)| (label.to_owned(), p));
        assert_eq!(
            told(ScoreKind::Softmax, &labels),
            expected([("b", 0.6), ("a", 0.2), ("d", 0.2)])
        );
        assert_eq!(
            told(ScoreKind::Sigmoid, &[]),
            expected([("1", 0.75), ("0", 0.5), ("3", 0.5)])
        );
    }
}
