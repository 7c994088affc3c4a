//! What the loop says of a batch, and of the whole run.

use super::{Classified, End, Session, region_name};
use crate::cascade::Decision;
use crate::live::batch::Image;
use crate::live::decide::{Sight, Vote};
use crate::live::microseconds;
use crate::live::model::Model;
use crate::live::publisher::{Kind, PublishError};
use crate::live::records::{Dropped, FrameRecord};
use crate::live::states::{StateName, StateRecord};
use crate::live::summary::Summary;
use crate::live::uncertain::{Origin, Saver};
use crate::output::Time;
use crate::records::ErrorRecord;
use crate::sources::Counts;
use std::time::Duration;

impl Session {
    /// Says what the batch shows.
    pub(super) fn record(&mut self, model: &Model, batch: &Classified) -> Result<(), End> {
        for place in 0..self.batch.len() {
            let mut images = batch.images.inside.iter();
            if !images.any(|image| image.frame == place) {
                continue;
            }
            let taken = &self.batch.taken()[place];
            let dropped = self.feeds[taken.feed].take_dropped();
            let age = batch.end.saturating_duration_since(taken.slot.captured);
            for (index, image) in batch.images.inside.iter().enumerate() {
                if image.frame == place {
                    self.record_image(model, batch, (index, *image), dropped, age)?;
                }
            }
            self.tally.frame(batch.begin, batch.end, age);
        }
        Ok(())
    }

    /// Says what one image shows, and what is decided by it.
    fn record_image(
        &mut self,
        model: &Model,
        batch: &Classified,
        (index, image): (usize, Image),
        dropped: Dropped,
        age: Duration,
    ) -> Result<(), End> {
        let answer = &model.answers[index];
        let taken = &self.batch.taken()[image.frame];
        let feed = &self.feeds[taken.feed];
        let decision = Decision::of(&model.engine, answer);
        self.tally.image(answer.is_second_run());
        let sight = answer.best().map(|(class, probability)| Sight {
            frame: self.tally.frames,
            captured: taken.slot.captured,
            class,
            probability,
            is_unknown: answer.is_unknown(),
        });
        let place = (taken.feed, image.region.unwrap_or(0));
        let seen = self.states.as_mut().zip(sight.as_ref());
        let seen = seen.map(|(states, sight)| states.see(place.0, place.1, sight));
        let region = region_name(&self.settings.regions, image.region);
        let record = FrameRecord {
            event: "frame",
            time: Time::now(),
            frame: self.tally.frames,
            source: &feed.name,
            file: feed.names.get(taken.slot.name),
            region,
            sequence: taken.slot.sequence,
            captured: Time::at(taken.slot.captured),
            dropped,
            schedule: decision.map_or(&model.engine.schedule().name, |own| own.schedule),
            second_run: decision.map(|own| own.second_run),
            answer: answer.view(&model.labels),
            state: self.states.as_ref().map(|states| StateName {
                labels: &model.labels,
                state: states.state(place.0, place.1),
            }),
            latency_us: microseconds(batch.end - batch.begin),
            age_us: microseconds(age),
            shows_source: self.feeds.len() > 1,
        };
        let watched = model.watched.as_ref().filter(|_| batch.is_watched);
        let picture = watched.map(|watched| watched.picture(index));
        self.around.publisher.publish_frame(&record, picture)?;
        let Some((vote, change)) = seen else {
            return Ok(());
        };
        if let Some(change) = change {
            let several = self.feeds.len() > 1;
            let record = StateRecord::new(&feed.name, region, &change, &model.labels, several);
            self.around.publisher.publish(Kind::Event, &record)?;
        }
        if !matches!(vote, Vote::Class(_)) {
            self.save(image);
        }
        Ok(())
    }

    /// Keeps what the model is not sure of, if that is wanted.
    fn save(&self, image: Image) {
        let taken = &self.batch.taken()[image.frame];
        let (Some(saver), Ok(frame)) = (&self.around.saver, taken.slot.frame()) else {
            return;
        };
        let part = match image.region {
            None => Some(frame),
            Some(region) => self.settings.regions[region].of(&frame),
        };
        if let Some(part) = part {
            let origin = Origin {
                captured: Time::at(taken.slot.captured),
                source: taken.feed,
                frame: self.tally.frames,
                region: image.region,
            };
            saver.offer(&part, origin);
        }
    }

    /// Says that what is decided ends.
    pub(super) fn end_states(&mut self, model: &Model) -> Result<(), PublishError> {
        let Some(states) = &mut self.states else {
            return Ok(());
        };
        let several = self.feeds.len() > 1;
        let regions = &self.settings.regions;
        for (index, feed) in self.feeds.iter().enumerate() {
            for region in 0..regions.len().max(1) {
                if let Some(change) = states.end(index, region) {
                    let name = regions.get(region).map(|region| &*region.name);
                    let labels = &model.labels;
                    let record = StateRecord::new(&feed.name, name, &change, labels, several);
                    self.around.publisher.publish(Kind::Event, &record)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a source failed.
    pub(crate) fn has_failed_source(&self) -> bool {
        let mut feeds = self.feeds.iter();
        feeds.any(|feed| matches!(feed.ended(), Some(Err(_))))
    }

    /// Why the last source failed, if it did. Standard error has it already of those before.
    pub(crate) fn source_failure(&self) -> Option<String> {
        let feed = &self.feeds[self.last_end?];
        let error = feed.ended()?.as_ref().err()?;
        Some(format!("{}: {error}", feed.description()))
    }

    /// What the run was, once all that it keeps is kept.
    pub(crate) fn summary(&mut self, model: &Model) -> Summary {
        let mut counts = Counts::default();
        for feed in &self.feeds {
            let own = feed.exchange().counts();
            counts.dropped += own.dropped;
            counts.dropped_by_driver += own.dropped_by_driver;
            counts.errors += own.errors;
        }
        let energy = self.around.sensing.as_ref();
        let energy = energy.map(|sensing| sensing.energy(self.tally.frames));
        let uncertain = self.around.saver.as_mut().map(Saver::finish);
        let is_cascade = model.engine.cascade().is_some();
        Summary::new(&self.tally, counts, is_cascade, energy, uncertain)
    }

    /// Says why the run ended, if it failed, and what it was; returns once standard output has that.
    pub(crate) fn close(
        &mut self,
        reason: Option<&str>,
        summary: &Summary,
        model: &Model,
    ) -> Result<(), PublishError> {
        self.around.supervisor.stopping();
        self.end_states(model)?;
        let publisher = &mut self.around.publisher;
        if let Some(reason) = reason {
            publisher.publish(Kind::Event, &ErrorRecord::new(None, reason))?;
        }
        publisher.publish(Kind::Event, summary)?;
        publisher.finish()
    }
}
