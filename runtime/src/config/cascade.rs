//! Two schedules as one: a cheap one first, a better one for frames that it is unsure of.

use super::{
    ConfigError, ModelConfig, Schedule, check, check_fractions, check_name, check_text, refuse,
};
use serde::{Deserialize, Serialize};

/// A frame runs under `first`. Where its margin, the difference of its two largest scores, is below `threshold` (or is
/// no number), it runs again under `then`, whose answer counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cascade {
    /// Its name, like a schedule's and different from all of them: `cascade`.
    pub name: String,
    /// Name of the schedule that runs first.
    pub first: String,
    /// Name of the schedule that decides what the first cannot.
    pub then: String,
    /// Smallest margin of scores with which `first` decides; above 0.
    pub threshold: f32,
    /// Fraction of images on which the answer was to be that of `then`.
    pub wanted_agreement: f64,
    /// Name of the set that the figures below were measured on; none of its images served to choose the threshold.
    pub dataset: String,
    /// Images measured.
    pub images: u64,
    /// Fraction of them with the same first class as under `then` alone.
    pub agreement: f64,
    /// Fraction of them that ran again.
    pub second_runs: f64,
}

/// Checks cascade `index`.
pub(super) fn validate(
    cascades: &[Cascade],
    index: usize,
    schedules: &[Schedule],
    model: &ModelConfig,
) -> Result<(), ConfigError> {
    let cascade = &cascades[index];
    let field = |name: &str| format!("cascades[{index}].{name}");
    check(model.classifies(), "cascades", &"present", || {
        "none, since the model gives no classes".into()
    })?;
    check_name(|| field("name"), &cascade.name)?;
    let taken = schedules.iter().any(|own| own.name == cascade.name)
        || cascades[..index].iter().any(|own| own.name == cascade.name);
    check(!taken, &field("name"), &cascade.name, || {
        "a name not used before".into()
    })?;
    for (name, schedule) in [("first", &cascade.first), ("then", &cascade.then)] {
        if !schedules.iter().any(|own| own.name == *schedule) {
            return refuse(field(name), schedule, "a schedule of this pack");
        }
    }
    check(
        cascade.first != cascade.then,
        &field("then"),
        &cascade.then,
        || "another schedule than the first".into(),
    )?;
    let usable = cascade.threshold > 0.0 && cascade.threshold.is_finite();
    check(usable, &field("threshold"), &cascade.threshold, || {
        "finite and above 0".into()
    })?;
    check_text(|| field("dataset"), &cascade.dataset)?;
    check_fractions(
        field,
        &[
            ("wanted_agreement", cascade.wanted_agreement),
            ("agreement", cascade.agreement),
            ("second_runs", cascade.second_runs),
        ],
    )
}
