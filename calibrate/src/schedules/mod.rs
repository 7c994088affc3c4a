//! Which tokens to merge where: schedules that keep their promise.
//!
//! No shape of schedule is best for every model and every set, and a free choice of r for each layer fits the images that
//! it was made on and no others. So a schedule is described by few numbers, a [`Shape`] and an amount; the amount follows
//! from what the schedule may [cost](Cost); and the shapes that are left race on some hundred images
//! ([`search`]). What cannot be had from one schedule can from two: a [cascade] runs a cheap one first, and
//! the exact one where it was unsure.
//!
//! Whatever was chosen here was chosen on some images, and is measured on others.

pub mod cascade;
mod cost;
mod latency;
mod search;
mod shape;

pub use cost::{Cost, Unit};
pub use latency::LatencyModel;
pub use search::{Candidate, Rated, again, candidates, passes, search};
pub use shape::Shape;

/// Share of decisions that a schedule must leave as they are without merging: at most 1.2 points of accuracy can then be
/// lost.
pub const PROMISED_AGREEMENT: f64 = 0.988;

/// What stands for it where there are no decisions: the least signal-to-noise ratio of embeddings, in dB, which is a
/// cosine of 0.995.
pub const PROMISED_SIGNAL_TO_NOISE_DB: f64 = 20.0;

/// The shares of r = 0's cost at which schedules are chosen for a wanted share: milder ones too, which lose less.
pub fn shares(wanted: f64) -> [f64; 3] {
    [3.0 / 8.0, 5.0 / 8.0, 1.0].map(|part| 1.0 - part * (1.0 - wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milder_shares_lead_to_the_wanted_one() {
        let per_cent = shares(0.6).map(|share| (100.0 * share).round());
        assert_eq!(per_cent, [85.0, 75.0, 60.0]);
    }
}
