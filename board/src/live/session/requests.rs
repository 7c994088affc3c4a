//! What the loop does between two batches because somebody asks for it, or because the board draws too much.

use super::{End, Session, Surroundings};
use crate::governor::Switch;
use crate::live::control::Hold;
use crate::live::goals::GoalsRecord;
use crate::live::model::Model;
use crate::live::pack_watch::Watch;
use crate::live::publisher::Kind;
use crate::live::reload::{Loaded, ReloadRecord};
use crate::live::schedules::SwitchRecord;
use crate::records::ErrorRecord;
use std::fmt::Write;

/// Why a model cannot be changed to.
const NO_ROOM: &str =
    "its records or pictures are larger than this run has room for; a new run takes it";

impl Session {
    /// Goes on with another model, if one was asked for and is there.
    pub(super) fn renew(&mut self, model: &mut Model) -> Result<(), End> {
        let Surroundings {
            control,
            publisher,
            reloader,
            supervisor,
            ..
        } = &mut self.around;
        if control.take_reload() {
            supervisor.reloading();
            reloader.ask();
        }
        let mut loaded = match reloader.take() {
            None => return Ok(()),
            Some(Err(reason)) => {
                reloader.settle(None, false);
                supervisor.ready();
                return Ok(publisher.publish(Kind::Event, &ReloadRecord::refused(&reason))?);
            }
            Some(Ok(loaded)) => loaded,
        };
        let new = &loaded.model;
        let records = crate::live::record_bytes(&self.feeds, &self.settings.regions, new);
        if !publisher.has_room(records, new.picture_bytes()) {
            reloader.settle(Some(loaded), false);
            supervisor.ready();
            return Ok(publisher.publish(Kind::Event, &ReloadRecord::refused(NO_ROOM))?);
        }
        self.end_states(model)?;
        let held = self.schedules.held();
        let held = held.and_then(|held| loaded.model.place_of(&model.choices[held]));
        let Loaded {
            model: new,
            schedules,
            ..
        } = &mut *loaded;
        std::mem::swap(model, new);
        std::mem::swap(&mut self.schedules, schedules);
        self.watch = Watch::new();
        let record = ReloadRecord::done(&loaded.hash);
        self.around.publisher.publish(Kind::Event, &record)?;
        self.around.reloader.settle(Some(loaded), true);
        self.around.supervisor.ready();
        match held {
            Some(held) => self.hold(Hold::Choice(held), model),
            None => {
                self.tell_clients();
                Ok(())
            }
        }
    }

    /// Does what clients ask for.
    pub(super) fn obey(&mut self, model: &mut Model) -> Result<(), End> {
        match self.around.control.take_hold() {
            Some(hold) => self.hold(hold, model),
            None => Ok(()),
        }
    }

    pub(super) fn hold(&mut self, hold: Hold, model: &mut Model) -> Result<(), End> {
        match self.schedules.obey(hold, model)? {
            Ok(switch) => self.tell_switch(model, switch),
            Err(refused) => {
                self.reason.clear();
                // What does not fit is cut off.
                let _ = write!(self.reason, "a client's schedule: {refused}");
                let record = ErrorRecord::new(None, &self.reason);
                Ok(self.around.publisher.publish(Kind::Event, &record)?)
            }
        }
    }

    pub(super) fn tell_switch(&mut self, model: &Model, switch: Option<Switch>) -> Result<(), End> {
        let Some(switch) = switch else {
            return Ok(());
        };
        self.tell_clients();
        let record = SwitchRecord::new(&model.choices, &switch);
        Ok(self.around.publisher.publish(Kind::Event, &record)?)
    }

    /// Tells which goals are missed, where that has changed.
    pub(super) fn tell_goals(&mut self) -> Result<(), End> {
        match self.schedules.newly_missed() {
            Some(missed) => {
                let record = GoalsRecord::new(missed);
                Ok(self.around.publisher.publish(Kind::Event, &record)?)
            }
            None => Ok(()),
        }
    }

    pub(super) fn tell_clients(&self) {
        let (current, held) = self.schedules.current();
        if let Some(greeting) = &self.around.greeting {
            greeting.set_current(current, held);
        }
    }

    /// Says what the board draws, and minds it.
    pub(super) fn sense(&mut self, model: &mut Model) -> Result<(), End> {
        let Some(sensing) = &mut self.around.sensing else {
            return Ok(());
        };
        if let Some(record) = sensing.record(self.tally.frames) {
            self.around.publisher.publish(Kind::Event, &record)?;
        }
        let Some(watts) = sensing.fresh_watts() else {
            return Ok(());
        };
        let switch = self.schedules.power(model, watts)?;
        self.tell_switch(model, switch)
    }
}
