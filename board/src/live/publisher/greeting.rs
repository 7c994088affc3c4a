//! What clients are told first: what runs.

use crate::live::control::{Control, Hold};
use crate::wire::Hello;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The hello of the model that runs. The loop changes what it can without waiting for clients.
#[derive(Debug)]
pub(crate) struct Greeting {
    hello: Mutex<Hello>,
    /// Counts models.
    generation: AtomicU64,
    /// What runs: the n-th of the schedules and, after these, cascades.
    current: AtomicUsize,
    held: AtomicBool,
}

impl Greeting {
    /// For a model that runs as its hello says.
    pub(crate) fn new(hello: Hello) -> Self {
        let current = names(&hello).position(|name| name == hello.schedule);
        let current = current.unwrap_or_default();
        Self {
            hello: Mutex::new(hello),
            generation: AtomicU64::new(1),
            current: AtomicUsize::new(current),
            held: AtomicBool::new(false),
        }
    }

    /// Another schedule runs. Does not wait.
    pub(in crate::live) fn set_current(&self, current: usize, held: bool) {
        self.current.store(current, Ordering::Release);
        self.held.store(held, Ordering::Release);
    }

    /// Another model runs: clients get another hello. May wait for those that read this one.
    pub(in crate::live) fn announce(&self, hello: Hello) {
        *self.hello.lock().unwrap_or_else(PoisonError::into_inner) = hello;
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// How many models there were: another number means another hello.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// As it is now. Allocates.
    pub(super) fn hello(&self) -> Hello {
        let mut hello = self
            .hello
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let current = self.current.load(Ordering::Acquire);
        let name = names(&hello).nth(current).map(str::to_owned);
        if let Some(name) = name {
            hello.schedule = name;
        }
        hello.held = self.held.load(Ordering::Acquire);
        hello
    }

    /// Asks the loop for a schedule by its name, or for none to be held. Returns whether there is one of that name.
    pub(super) fn ask(&self, name: Option<&str>, control: &Control) -> bool {
        let hold = match name {
            None => Some(Hold::Release),
            Some(name) => {
                let hello = self.hello.lock().unwrap_or_else(PoisonError::into_inner);
                let index = names(&hello).position(|own| own == name);
                index.map(Hold::Choice)
            }
        };
        hold.map(|hold| control.hold(hold)).is_some()
    }
}

/// Schedules, then cascades: in the order in which the loop counts them.
fn names(hello: &Hello) -> impl Iterator<Item = &str> {
    let schedules = hello.schedules.iter().map(|schedule| &*schedule.name);
    schedules.chain(hello.cascades.iter().map(String::as_str))
}
