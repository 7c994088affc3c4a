//! A race of schedules, all of the same cost.

use super::cost::Cost;
use super::shape::Shape;
use crate::evaluate::Difference;
use mergevit_runtime::Schedule;
use std::ops::Range;

/// A schedule that may be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// How it spreads merging.
    pub shape: Shape,
    /// What it merges; its name is its place among the candidates.
    pub schedule: Schedule,
    /// Its cost as a share of that without merging.
    pub share: f64,
}

/// A candidate and how far its answers are from those without merging.
#[derive(Clone, Debug, PartialEq)]
pub struct Rated {
    /// The candidate.
    pub candidate: Candidate,
    /// Over the images that it got to see.
    pub difference: Difference,
}

impl Rated {
    /// What the race is about: the signal-to-noise ratio of the outputs. It tells more from few images than a count of
    /// changed decisions, of which there are hardly any.
    fn score(&self) -> f64 {
        let db = self.difference.signal_to_noise_db();
        db.unwrap_or(f64::INFINITY)
    }
}

/// Steps of the search for an amount: amounts are then exact to a thousandth of a token.
const HALVINGS: usize = 18;

/// The least that each shape must merge to cost at most `share` of what no merging costs. Left out are shapes that cannot,
/// and those that come to the same as another.
pub fn candidates(cost: &Cost<'_>, share: f64) -> Vec<Candidate> {
    let model = cost.pack().config();
    let mut candidates: Vec<Candidate> = Vec::new();
    for shape in Shape::all(model) {
        let candidate = |amount: f64| {
            let name = format!("candidate-{}", candidates.len());
            let schedule = shape.schedule(name, amount, model);
            Candidate {
                share: cost.share(&schedule),
                shape,
                schedule,
            }
        };
        let (mut too_little, mut enough) = (0.0, model.tokens() as f64);
        let mut best = candidate(enough);
        if best.share > share {
            continue;
        }
        for _ in 0..HALVINGS {
            let amount = (too_little + enough) / 2.0;
            let own = candidate(amount);
            match own.share <= share {
                true => (enough, best) = (amount, own),
                false => too_little = amount,
            }
        }
        let is_new = |own: &Candidate| {
            let (own, best) = (&own.schedule, &best.schedule);
            (&own.merge, own.ranking) != (&best.merge, best.ranking)
        };
        if candidates.iter().all(is_new) {
            candidates.push(best);
        }
    }
    candidates
}

/// Shapes that race again at another cost.
const AGAIN: usize = 12;

/// Which candidates race after a race at another cost: those of the shapes that did best there, and of those that could not
/// take part because they cannot cost so little. How many there are is known before the other race.
pub fn again(candidates: Vec<Candidate>, others: &[Candidate], ranked: &[Rated]) -> Vec<Candidate> {
    let raced = |own: &Candidate| others.iter().any(|other| other.shape == own.shape);
    let (mut old, mut new): (Vec<_>, Vec<_>) = candidates.into_iter().partition(raced);
    let place = |own: &Candidate| {
        let mut ranked = ranked.iter();
        ranked.position(|other| other.candidate.shape == own.shape)
    };
    old.sort_by_key(place);
    old.truncate(AGAIN);
    old.append(&mut new);
    old
}

/// Images that are seen after each round.
fn rounds(images: usize) -> [usize; 3] {
    [images.div_ceil(16), images.div_ceil(4), images]
}

/// How many candidates a round leaves of so many.
fn left(candidates: usize) -> usize {
    candidates.div_ceil(4).max(2).min(candidates)
}

/// How often [`search`] runs a candidate on an image, all told.
pub fn passes(candidates: usize, images: usize) -> usize {
    let (mut racing, mut seen, mut passes) = (candidates, 0, 0);
    for until in rounds(images) {
        passes += racing * (until - seen);
        (racing, seen) = (left(racing), until);
    }
    passes
}

/// Lets `candidates` race over `images` images, the best first in the result: all see a sixteenth of them, the better
/// quarter a quarter, the best all (after Jamieson & Talwalkar, Non-stochastic Best Arm Identification, arXiv 1502.07943).
///
/// `judge` runs some schedules on a range of images, and says of each how far it is from no merging.
///
/// # Errors
/// What `judge` fails with.
pub fn search<E>(
    candidates: Vec<Candidate>,
    images: usize,
    mut judge: impl FnMut(&[&Schedule], Range<usize>) -> Result<Vec<Difference>, E>,
) -> Result<Vec<Rated>, E> {
    let rated = |candidate| Rated {
        candidate,
        difference: Difference::default(),
    };
    let mut racing: Vec<Rated> = candidates.into_iter().map(rated).collect();
    let (mut seen, mut dropped) = (0, Vec::new());
    for until in rounds(images) {
        let schedules: Vec<_> = racing.iter().map(|own| &own.candidate.schedule).collect();
        let differences = judge(&schedules, seen..until)?;
        for (own, difference) in racing.iter_mut().zip(differences) {
            own.difference += difference;
        }
        // Stable: the plainer shape of two equals stays in front.
        racing.sort_by(|a, b| b.score().total_cmp(&a.score()));
        seen = until;
        if until < images {
            let mut out = racing.split_off(left(racing.len()));
            out.append(&mut dropped);
            dropped = out;
        }
    }
    racing.append(&mut dropped);
    Ok(racing)
}

#[cfg(test)]
mod tests {
    use super::super::cost::Unit;
    use super::*;
    use mergevit_kernels::testing::Random;
    use mergevit_runtime::{Pack, testing};
    use std::convert::Infallible;

    fn pack() -> Pack {
        testing::pack(&testing::model(64, 8, 2, 12, 10), &[0], 1)
    }

    #[test]
    fn candidates_cost_what_they_may_and_hardly_less() {
        let pack = pack();
        let cost = Cost::new(&pack, Unit::Multiplications);
        for share in [0.9, 0.75, 0.6] {
            let all = candidates(&cost, share);
            assert!(all.len() > 15, "{}", all.len());
            for candidate in &all {
                let own = candidate.share;
                assert!(own <= share && own > share - 0.02, "{candidate:?}");
                assert_eq!(own, cost.share(&candidate.schedule));
            }
            let same = |a: &Schedule, b: &Schedule| a.merge == b.merge && a.ranking == b.ranking;
            let is_new = |index: usize| {
                let mut others = all[..index].iter();
                others.all(|other| !same(&other.schedule, &all[index].schedule))
            };
            assert!((0..all.len()).all(is_new));
        }
        // Half of the tokens in each layer is not enough.
        assert_eq!(candidates(&cost, 0.01), []);
    }

    /// The planted best wins although every image's answer is noisy, and no image is seen twice by the same.
    #[test]
    fn the_best_wins_the_race() {
        let pack = pack();
        let all = candidates(&Cost::new(&pack, Unit::Multiplications), 0.6);
        let count = all.len();
        for planted in [0, count / 2, count - 1] {
            let best = all[planted].schedule.name.clone();
            let (mut random, mut runs, mut seen) = (Random(planted as u64), 0, 0);
            let judge = |schedules: &[&Schedule], images: Range<usize>| {
                assert_eq!(images.start, seen);
                seen = images.end;
                runs += schedules.len() * images.len();
                let judged = schedules.iter().map(|schedule| {
                    let noise = if schedule.name == best { 0.5 } else { 1.0 };
                    let mut difference = Difference::default();
                    for _ in images.clone() {
                        difference.add(&[3.0], &[3.0 + noise * (1.0 + 0.5 * random.unit())]);
                    }
                    difference
                });
                Ok::<_, Infallible>(judged.collect())
            };
            let ranked = search(all.clone(), 200, judge).unwrap();
            assert_eq!((seen, ranked.len()), (200, count));
            assert_eq!(ranked[0].candidate.schedule.name, best);
            assert_eq!(ranked[0].difference.images(), 200);
            assert_eq!(runs, passes(count, 200));
            assert!(runs < count * 200 / 2, "{runs}");
        }
    }

    #[test]
    fn what_did_well_races_again_and_what_could_not_take_part() {
        let pack = pack();
        let cost = Cost::new(&pack, Unit::Multiplications);
        let (first, next) = (candidates(&cost, 0.5), candidates(&cost, 0.9));
        let rated = |candidate: &Candidate| Rated {
            candidate: candidate.clone(),
            difference: Difference::default(),
        };
        let ranked: Vec<_> = first.iter().rev().map(rated).collect();
        let chosen = again(next.clone(), &first, &ranked);
        let took_part = |own: &&Candidate| first.iter().any(|other| other.shape == own.shape);
        let known = again(next.clone(), &first, &[]).len();
        assert_eq!(chosen.len(), known);
        assert_eq!(chosen.iter().filter(took_part).count(), AGAIN);
        let new = next.iter().filter(|own| !took_part(own)).count();
        assert!(new > 0 && chosen.len() == AGAIN + new);
        assert!(chosen.len() < next.len());
        // The best of the other race is the first of this one, if it is a candidate here.
        let best = ranked.iter().map(|own| own.candidate.shape);
        let mut best = best.filter(|shape| next.iter().any(|own| own.shape == *shape));
        assert_eq!(Some(chosen[0].shape), best.next());
    }

    #[test]
    fn few_images_and_few_candidates_are_enough() {
        for (count, images) in [(1, 1), (2, 3), (3, 1)] {
            let pack = pack();
            let mut all = candidates(&Cost::new(&pack, Unit::Multiplications), 0.7);
            all.truncate(count);
            let judge = |schedules: &[&Schedule], _: Range<usize>| {
                Ok::<_, Infallible>(vec![Difference::default(); schedules.len()])
            };
            assert_eq!(search(all, images, judge).unwrap().len(), count);
        }
    }
}
