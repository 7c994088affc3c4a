//! What was searched, as points of a front for the report.

use super::auto::Found;
use super::judged::Judged;
use crate::evaluate::{Difference, standard_error};
use crate::report::{FrontBasis, FrontPoint, Report};
use crate::schedules::{Cost, Rated};
use mergevit_runtime::{Pack, Plan, Schedule};
use std::path::Path;

/// Schedules that raced to the end, with what they were measured on.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    pub(super) points: Vec<FrontPoint>,
    /// None without points.
    pub(super) basis: Option<FrontBasis>,
}

impl Front {
    /// The report of `pack`, which lies at `path` unless it went to standard output, with these points if there are any.
    pub(super) fn complete(self, report: Report, pack: &Pack, path: Option<&Path>) -> Report {
        let (front, front_basis) = match self.basis {
            Some(basis) => (self.points, Some(basis)),
            None => (report.front, report.front_basis),
        };
        Report {
            pack: path.map(|path| path.display().to_string()),
            pack_hash: pack.hash(),
            front,
            front_basis,
            ..report
        }
    }
}

impl Judged<'_> {
    /// The front that the search saw; `target` names the machine that its latencies are of.
    pub(super) fn front(&self, cost: &Cost<'_>, found: &[Found], target: Option<&str>) -> Front {
        let images = self.choose.len() as u64;
        let unmerged = Schedule::constant(0, self.checkpoint.model.depth);
        let mut points = vec![FrontPoint {
            agreement: self.checkpoint.model.classifies().then_some(1.0),
            ..self.point(cost, &unmerged, &Difference::default(), true)
        }];
        for found in found {
            let finished = found.ranked.iter().enumerate();
            let finished = finished.filter(|(_, own)| own.difference.images() == images);
            for (
                place,
                Rated {
                    candidate,
                    difference,
                },
            ) in finished
            {
                let is_best = place == 0;
                let named = Schedule {
                    name: match is_best {
                        true => found.schedule.name.clone(),
                        false => format!("{} at {:.0} %", candidate.shape, 100.0 * candidate.share),
                    },
                    ..candidate.schedule.clone()
                };
                points.push(self.point(cost, &named, difference, is_best && found.is_wanted));
            }
        }
        Front {
            points,
            basis: Some(FrontBasis {
                dataset: self.choose.name.clone(),
                images,
                reference: "INT8 without merging".into(),
                target: target.map(String::from),
            }),
        }
    }

    fn point(
        &self,
        cost: &Cost<'_>,
        schedule: &Schedule,
        difference: &Difference,
        chosen: bool,
    ) -> FrontPoint {
        let agreement = difference.agreement();
        let plan = Plan::new(&self.checkpoint.model, schedule, 1);
        FrontPoint {
            name: schedule.name.clone(),
            gmac: plan.map_or(f64::NAN, |plan| plan.cost().macs as f64 / 1e9),
            latency_us: cost.latency_us(schedule),
            agreement,
            agreement_standard_error: agreement.map(|p| standard_error(p, difference.images())),
            signal_to_noise_db: difference.signal_to_noise_db(),
            chosen,
        }
    }
}
