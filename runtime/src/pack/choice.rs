//! What the names in a pack stand for.

use super::Pack;
use super::error::UnknownSchedule;

/// What runs by one name: a schedule, or a cascade of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Place in [`Pack::schedules`] of the schedule, or of the one that a cascade runs first.
    pub schedule: usize,
    /// Place in [`Pack::cascades`], if it is a cascade.
    pub cascade: Option<usize>,
}

impl Choice {
    /// A schedule alone.
    pub const fn schedule(schedule: usize) -> Self {
        Self {
            schedule,
            cascade: None,
        }
    }
}

impl Pack {
    /// What a name stands for.
    ///
    /// # Errors
    /// [`UnknownSchedule`] with the names that there are, of schedules and of cascades.
    pub fn choice(&self, name: &str) -> Result<Choice, UnknownSchedule> {
        let mut cascades = self.cascades().iter();
        if let Some(cascade) = cascades.position(|cascade| cascade.name == name) {
            return Ok(Choice {
                schedule: self.schedule_index(&self.cascades()[cascade].first)?,
                cascade: Some(cascade),
            });
        }
        let schedule = self.schedule_index(name).map_err(|mut unknown| {
            let cascades = self.cascades().iter();
            unknown.known.extend(cascades.map(|c| c.name.clone()));
            unknown
        })?;
        Ok(Choice::schedule(schedule))
    }
}
