//! When a checkpoint is unusually hard to quantize.

use super::diagnosis::{Diagnosis, Gain};

/// Signal to noise of features, in dB, below which INT8 of a checkpoint is unusually far from full precision. Those of
/// BENCHMARKS.md have 22 to 45 dB; below 20, more than some 4 decisions of 100 differ.
pub const USUAL_DB: f64 = 20.0;

/// A gain that names a culprit, in dB: a fifth of the noise.
const CULPRIT_DB: f64 = 1.0;

/// A channel that reaches this many times further than the median one leaves others few of the 127 steps.
const OUTLIER: f64 = 32.0;

/// What to tell of a checkpoint that is unusually hard; none of a usual one.
pub fn hint(diagnosis: &Diagnosis) -> Option<String> {
    let db = diagnosis.signal_to_noise_db.filter(|&db| db < USUAL_DB)?;
    let mut text = format!(
        "INT8 of this checkpoint is unusually far from full precision: {db:.1} dB, where {USUAL_DB:.0} and more are usual."
    );
    let is_culprit = |gain: &&Gain| gain.gain_db >= CULPRIT_DB;
    match diagnosis.quantizers.first().filter(is_culprit) {
        Some(worst) => {
            text += &format!(
                " Most of it comes from the {}: {:+.1} dB without.",
                worst.name(),
                worst.gain_db
            );
        }
        None => text += " No single rounding stands out: it comes from many.",
    }
    let layers = diagnosis.layers.iter().filter(is_culprit);
    if let Some(worst) = layers.max_by(|a, b| a.gain_db.total_cmp(&b.gain_db)) {
        text += &format!(
            " Of all layers, {} costs most: {:.1} dB.",
            worst.name(),
            worst.gain_db
        );
    }
    if let Some(outlier) = diagnosis
        .outliers
        .first()
        .filter(|own| own.times_median >= OUTLIER)
    {
        let activation = outlier.activation.name();
        text += &format!(
            " Channel {} of the {activation} in layer {} reaches {:.0} times as far as the median one, and coarsens its step.",
            outlier.channel, outlier.layer, outlier.times_median
        );
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::outliers::{Outlier, Shared};
    use super::super::quantizer::Quantizer;
    use super::*;

    fn gain(quantizer: Option<Quantizer>, layer: Option<usize>, gain_db: f64) -> Gain {
        Gain {
            quantizer,
            layer,
            gain_db,
            standard_error_db: None,
            outputs_gain_db: None,
            outputs_standard_error_db: None,
        }
    }

    fn diagnosis(db: f64, gain_db: f64, times_median: f64) -> Diagnosis {
        Diagnosis {
            images: 1,
            signal_to_noise_db: Some(db),
            outputs_signal_to_noise_db: None,
            quantizers: vec![gain(Some(Quantizer::Hidden), None, gain_db)],
            layers: vec![gain(None, Some(0), 0.1), gain(None, Some(1), gain_db)],
            outliers: vec![Outlier {
                layer: 1,
                activation: Shared::Hidden,
                channel: 7,
                times_median,
            }],
            hint: None,
        }
    }

    #[test]
    fn only_what_is_unusual_is_told_and_only_culprits_are_named() {
        assert_eq!(hint(&diagnosis(25.0, 9.0, 99.0)), None);
        let hard = hint(&diagnosis(12.0, 6.0, 99.0)).unwrap();
        for part in [
            "12.0 dB",
            "hidden channels: +6.0 dB",
            "layer 1 costs most",
            "Channel 7",
            "99 times",
        ] {
            assert!(hard.contains(part), "{part}: {hard}");
        }
        let spread = hint(&diagnosis(12.0, 0.4, 3.0)).unwrap();
        assert!(
            spread.contains("from many") && !spread.contains("Channel"),
            "{spread}"
        );
    }
}
