//! The thread that reads the sensors, and the energy that it adds up.

use super::{Names, Reading, Sensors, View};
use crate::seal;
use mergevit_kernels::thread;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// From one reading to the next.
const PERIOD: Duration = Duration::from_millis(100);

/// Readings further apart say nothing about the time between: the machine slept, or the device did not answer.
const GAP: Duration = Duration::from_secs(2);

/// Reads the sensors ten times a second, on a thread that does not allocate, until it is dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    names: Names,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    reading: Reading,
    energy: Energy,
    stopped: bool,
}

impl Shared {
    /// Nothing that is done under the lock can panic halfway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    /// Starts the thread. It has allocated what it needs when this returns.
    pub(super) fn start(mut sensors: Sensors) -> io::Result<Self> {
        let names = std::mem::take(&mut sensors.names);
        let begin = Instant::now();
        let reading = sensors.read();
        let mut energy = Energy::default();
        energy.add(Duration::ZERO, reading.watts);
        let state = Mutex::new(State {
            reading,
            energy,
            stopped: false,
        });
        let shared = Arc::new(Shared { begin, state });
        let thread_shared = Arc::clone(&shared);
        let thread = thread::spawn("sensors".into(), move || {
            seal::begun();
            keep_reading(sensors, &thread_shared);
        })?;
        Ok(Self {
            names,
            shared,
            thread: Some(thread),
        })
    }

    /// What the values of readings are called.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The latest reading. Waits for nothing but a copy of a few hundred bytes.
    pub(crate) fn latest(&self) -> Reading {
        self.shared.state().reading
    }

    /// A reading with its names.
    pub(crate) fn view<'a>(&'a self, reading: &'a Reading) -> View<'a> {
        let names = &self.names;
        View { names, reading }
    }

    /// Energy that the board has drawn since the start; `None` if no sensor says what it draws.
    pub(crate) fn joules(&self) -> Option<f64> {
        let now = self.shared.begin.elapsed();
        self.shared.state().energy.joules(now)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.shared.state().stopped = true;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread has said so.
            let _ = thread.join();
        }
    }
}

fn keep_reading(mut sensors: Sensors, shared: &Shared) {
    let mut due = Instant::now() + PERIOD;
    loop {
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        if shared.state().stopped {
            return;
        }
        if Instant::now() < due {
            continue;
        }
        // Devices on slow buses take milliseconds to answer: not under the lock.
        let reading = sensors.read();
        let now = shared.begin.elapsed();
        let mut state = shared.state();
        state.reading = reading;
        state.energy.add(now, reading.watts);
        drop(state);
        due = Instant::now().max(due + PERIOD);
    }
}

/// Energy by the trapezoidal rule.
#[derive(Debug, Default)]
struct Energy {
    joules: f64,
    /// Whether power was ever read.
    is_known: bool,
    last: Option<(Duration, f64)>,
}

impl Energy {
    /// Adds what was drawn until `now`, where power is `watts`.
    fn add(&mut self, now: Duration, watts: Option<f64>) {
        let last = std::mem::replace(&mut self.last, watts.map(|watts| (now, watts)));
        self.is_known |= watts.is_some();
        if let (Some((then, before)), Some(watts)) = (last, watts) {
            let elapsed = now.saturating_sub(then);
            if elapsed <= GAP {
                self.joules += (before + watts) / 2.0 * elapsed.as_secs_f64();
            }
        }
    }

    /// What was drawn until `now`, as if power had stayed as it was last.
    fn joules(&self, now: Duration) -> Option<f64> {
        let since = self.last.map_or(0.0, |(then, watts)| {
            watts * now.saturating_sub(then).min(PERIOD).as_secs_f64()
        });
        self.is_known.then_some(self.joules + since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_the_area_under_power() {
        let at = Duration::from_millis;
        let mut energy = Energy::default();
        energy.add(at(0), None);
        assert_eq!(energy.joules(at(500)), None);
        energy.add(at(1000), Some(10.0));
        energy.add(at(1500), Some(20.0));
        assert_eq!(energy.joules(at(1500)), Some(7.5));
        assert_eq!(energy.joules(at(1550)), Some(8.5));
        // Nobody knows for how much longer it stays so.
        assert_eq!(energy.joules(at(9000)), Some(9.5));
        // Neither what was not read, nor the time in which the machine slept.
        energy.add(at(1600), None);
        energy.add(at(1700), Some(100.0));
        energy.add(at(60_000), Some(100.0));
        assert_eq!(energy.joules(at(60_000)), Some(7.5));
        energy.add(at(60_100), Some(100.0));
        assert_eq!(energy.joules(at(60_100)), Some(17.5));
    }
}
