//! Loads the model again while the old one goes on running.
//!
//! A thread of its own, which may allocate, loads the pack from its path into a second engine. The loop takes it between two
//! batches, and hands the old one back to the thread: what is large to make is also slow to take down. A pack that
//! cannot be loaded changes nothing.

use super::model::{Loading, Model};
use super::publisher::{Greeting, Record};
use super::schedules::Schedules;
use crate::output::{Escaped, Time};
use crate::records::REASON;
use crate::seal;
use crate::wire::{Hello, SourceInfo};
use serde::Serialize;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

/// What became of loading the model again. Serializing does not allocate.
#[derive(Debug, Serialize)]
pub(super) struct ReloadRecord<'a> {
    event: &'static str,
    time: Time,
    /// Whether the new one runs.
    ok: bool,
    /// Of the pack that runs from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    /// Why the old one goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> ReloadRecord<'a> {
    pub(super) fn done(hash: &'a str) -> Self {
        Self {
            event: "reload",
            time: Time::now(),
            ok: true,
            hash: Some(hash),
            reason: None,
        }
    }

    pub(super) fn refused(reason: &'a str) -> Self {
        Self {
            ok: false,
            hash: None,
            reason: Some(&reason[..reason.floor_char_boundary(REASON)]),
            ..Self::done("")
        }
    }
}

/// `        model xxh3-64:… from now on`, or why not
impl Record for ReloadRecord<'_> {
    fn text(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.hash, self.reason) {
            (Some(hash), _) => write!(to, "        model {hash} from now on"),
            (_, reason) => write!(
                to,
                "        the model stays: {}",
                Escaped(reason.unwrap_or_default())
            ),
        }
    }
}

/// A model that is ready to run.
pub(super) struct Loaded {
    pub(super) model: Model,
    pub(super) schedules: Schedules,
    pub(super) hash: String,
}

#[derive(Default)]
struct Shared {
    /// Somebody wants it.
    wanted: AtomicBool,
    /// There is an answer.
    ready: AtomicBool,
    answer: Mutex<Option<Result<Box<Loaded>, String>>>,
    /// A model to be taken down.
    rest: Mutex<Option<Box<Loaded>>>,
    /// What was loaded last runs.
    runs: AtomicBool,
}

/// What clients are told of besides a model.
pub(crate) struct Place {
    pub(crate) greeting: Option<Arc<Greeting>>,
    pub(crate) sources: Vec<SourceInfo>,
}

/// Loads models.
pub(crate) struct Reloader {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Reloader {
    /// Starts the thread. Allocates.
    ///
    /// # Errors
    /// It was refused.
    pub(crate) fn start(loading: Loading, place: Place) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let handle = seal::spawn_exempt("reload", move || {
            let mut hello = None;
            loop {
                std::thread::park();
                own.work(&loading, &place, &mut hello);
            }
        })?;
        Ok(Self {
            thread: handle.thread().clone(),
            shared,
        })
    }

    /// Asks for the model to be loaded. Does not wait.
    pub(super) fn ask(&self) {
        self.shared.wanted.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// The model, or why there is none, once it is there. Does not wait. What is taken must be [settled](Self::settle).
    pub(super) fn take(&self) -> Option<Result<Box<Loaded>, String>> {
        if !self.shared.ready.load(Ordering::Acquire) {
            return None;
        }
        // The thread holds it for no longer than to put an answer there, before it is ready.
        self.shared.answer.try_lock().ok()?.take()
    }

    /// Hands over what is no longer needed, the old model or the new one, and says whether the new one runs. Does not wait.
    pub(super) fn settle(&self, rest: Option<Box<Loaded>>, runs: bool) {
        if let Ok(mut place) = self.shared.rest.try_lock() {
            *place = rest;
        }
        self.shared.runs.store(runs, Ordering::Release);
        self.shared.ready.store(false, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    /// Does what there is to do. `hello` is what clients are told once the model that was loaded last runs.
    fn work(&self, loading: &Loading, place: &Place, hello: &mut Option<Hello>) {
        if self.ready.load(Ordering::Acquire) {
            return;
        }
        let rest = self
            .rest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(rest);
        if let (Some(hello), true, Some(greeting)) = (
            hello.take(),
            self.runs.swap(false, Ordering::AcqRel),
            &place.greeting,
        ) {
            greeting.announce(hello);
        }
        if !self.wanted.swap(false, Ordering::AcqRel) {
            return;
        }
        let answer = load(loading).map(|loaded| {
            *hello = Some(super::hello(&loaded.model, &place.sources));
            Box::new(loaded)
        });
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.ready.store(true, Ordering::Release);
        loading.control.wake();
    }
}

fn load(loading: &Loading) -> Result<Loaded, String> {
    // An engine on the processor has threads of its own, and waits until they run.
    let model = seal::starting_threads(|| loading.load());
    let mut model = model.map_err(|failure| failure.reason())?;
    let schedules = Schedules::new(&mut model, loading.goals).map_err(|error| error.to_string())?;
    Ok(Loaded {
        hash: model.engine.pack().hash(),
        schedules,
        model,
    })
}
