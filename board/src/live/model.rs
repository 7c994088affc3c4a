//! A loaded model, with room for what it says of a batch.

use super::control::Control;
use super::measure::measure;
use super::watched::Watched;
use crate::answer::Answer;
use crate::args::{ClassArgs, ModelArgs};
use crate::failure::Failure;
use crate::governor::{Goals, Point};
use crate::model;
use crate::output::GROWTH;
use mergevit_runtime::{Engine, Pack, RunError};
use std::sync::Arc;

/// How a model is loaded: the first time, and again.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) model: ModelArgs,
    pub(crate) classes: ClassArgs,
    /// Most images at a time.
    pub(crate) max_batch: usize,
    /// Largest frame, (width, height) in pixels.
    pub(crate) max_frame: (usize, usize),
    /// Clients can watch frames.
    pub(crate) is_watchable: bool,
    /// What a governor is to reach with it.
    pub(crate) goals: Goals,
    /// What it is for.
    pub(crate) control: Arc<Control>,
}

/// What runs, and what it says.
pub(crate) struct Model {
    pub(crate) engine: Engine,
    /// Names of its classes.
    pub(super) labels: Vec<String>,
    /// One for each image of the largest batch.
    pub(super) answers: Vec<Answer>,
    /// Names of its schedules, then of its cascades.
    pub(super) choices: Vec<String>,
    /// Where frames can be watched.
    pub(super) watched: Option<Watched>,
    /// How long its schedules take here; empty unless there are goals.
    pub(super) points: Vec<Point>,
}

impl Loading {
    /// Loads the model. Allocates.
    ///
    /// # Errors
    /// [`Failure`]: the pack cannot be loaded, or the arguments do not fit it.
    pub(crate) fn load(&self) -> Result<Model, Failure> {
        self.build(model::open(&self.model.model)?)
    }

    /// The same of an open pack. Allocates.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn build(&self, pack: Pack) -> Result<Model, Failure> {
        let mut engine = model::build(&self.model, pack, self.max_batch, self.max_frame)?;
        let labels = model::labels(&self.classes, &engine)?;
        let answer = model::answer(&self.classes, &engine);
        let pack = engine.pack();
        let schedules = pack.schedules().iter().map(|schedule| &schedule.name);
        let cascades = pack.cascades().iter().map(|cascade| &cascade.name);
        let choices = schedules.chain(cascades).cloned().collect();
        let watched = || Watched::new(&mut engine, self.max_batch, self.max_frame);
        let watched = self.is_watchable.then(watched).transpose();
        let points = match self.goals == Goals::default() {
            true => Vec::new(),
            false => measure(&mut engine, self.max_batch, self.max_frame)
                .map_err(|error| Failure::work(&error))?,
        };
        Ok(Model {
            choices,
            points,
            watched: watched.map_err(|error| model::out_of_memory(&error))?,
            answers: vec![answer; self.max_batch],
            labels,
            engine,
        })
    }
}

impl Model {
    /// Which of its choices runs.
    pub(super) fn current(&self) -> usize {
        let name = model::chosen(&self.engine);
        self.place_of(name)
            .expect("what runs is one of the pack's choices")
    }

    /// Where a choice of this name is among its choices.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.choices.iter().position(|own| own == name)
    }

    /// Runs one of its choices from now on. Does not allocate.
    pub(super) fn choose(&mut self, choice: usize) -> Result<(), RunError> {
        self.engine.set_schedule(&self.choices[choice])
    }

    /// Bytes of a picture and its tokens; 0 if frames cannot be watched.
    pub(crate) fn picture_bytes(&self) -> usize {
        self.watched.as_ref().map_or(0, Watched::picture_bytes)
    }

    /// Most bytes of an answer, of states and of schedules' names in a record.
    pub(super) fn record_bytes(&self) -> usize {
        let label = self.labels.iter().map(String::len).max().unwrap_or(0);
        let answer = self.answers.iter().map(|a| a.bound(GROWTH * label)).max();
        let name = self.choices.iter().map(String::len).max();
        // A record names two states or schedules at most.
        answer.unwrap_or(0) + 2 * GROWTH * (label + name.unwrap_or(0))
    }
}
