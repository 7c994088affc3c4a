//! How far the work is: a bar on a terminal, a line every few seconds elsewhere.

use super::console::{Console, warn};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts steps, from any thread, and shows them. The end is shown when it is dropped.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    /// Steps that make one unit of `total`.
    steps: u64,
    done: AtomicU64,
    start: Instant,
    shown: Shown,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    /// When the next line is due.
    Lines(Mutex<Instant>),
}

impl Progress {
    /// Shows 0 of `total`, each unit of which takes `steps` steps.
    pub(super) fn new(console: Console, what: &'static str, total: usize, steps: usize) -> Self {
        let (total, steps) = (total as u64, steps.max(1) as u64);
        let start = Instant::now();
        let shown = if console.is_quiet {
            Shown::Nothing
        } else {
            let bar = ProgressBar::new(total * steps);
            if bar.is_hidden() {
                warn(&format!("{what} 0/{total}\n"));
                Shown::Lines(Mutex::new(start + INTERVAL))
            } else {
                let bar = bar.with_style(style(what, total, steps));
                bar.tick();
                Shown::Bar(bar)
            }
        };
        Self {
            what,
            total,
            steps,
            done: AtomicU64::new(0),
            start,
            shown,
        }
    }

    /// Counts one step.
    pub(super) fn step(&self) {
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(1),
            // Another thread that is writing a line writes enough.
            Shown::Lines(due) => {
                if let Ok(mut due) = due.try_lock()
                    && Instant::now() >= *due
                    && done < self.total * self.steps
                {
                    let units = done / self.steps;
                    let text = line(self.what, units, self.total, self.start.elapsed());
                    warn(&format!("{text}\n"));
                    *due = Instant::now() + INTERVAL;
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::Lines(_) => {
                let units = self.done.load(Ordering::Relaxed) / self.steps;
                let text = line(self.what, units, self.total, self.start.elapsed());
                warn(&format!("{text}\n"));
            }
        }
    }
}

fn style(what: &'static str, total: u64, steps: u64) -> ProgressStyle {
    let key = move |state: &ProgressState, out: &mut dyn Write| {
        // Writing to a string cannot fail.
        let _ = out.write_str(&line(what, state.pos() / steps, total, state.elapsed()));
    };
    ProgressStyle::with_template("{line} {wide_bar}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("line", key)
}

/// `observing 64/256, 3.2/s, 60 s left`; after the last one `observing 256/256 in 80 s`.
fn line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let mut line = format!("{what} {done}/{total}");
    let rate = done as f64 / elapsed.as_secs_f64();
    // Writing to a string cannot fail.
    let _ = if done == total {
        write!(line, " in {}", time(elapsed.as_secs_f64()))
    } else if rate.is_finite() && rate > 0.0 {
        let left = total.saturating_sub(done) as f64 / rate;
        write!(line, ", {rate:.1}/s, {} left", time(left))
    } else {
        Ok(())
    };
    line
}

/// A time for people: `4.2 s`, `75 s`, `12 min`, `3 h 20 min`.
pub(super) fn time(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 119.5 {
        format!("{seconds:.0} s")
    } else if minutes < 120.0 {
        format!("{minutes} min")
    } else {
        format!("{} h {} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_count_rate_and_time_left() {
        let after = |done, seconds| line("observing", done, 256, Duration::from_secs(seconds));
        assert_eq!(after(0, 0), "observing 0/256");
        assert_eq!(after(0, 9), "observing 0/256");
        assert_eq!(after(64, 20), "observing 64/256, 3.2/s, 60 s left");
        assert_eq!(after(1, 100), "observing 1/256, 0.0/s, 7 h 5 min left");
        assert_eq!(after(256, 80), "observing 256/256 in 80 s");
    }

    #[test]
    fn times_are_for_people() {
        let text = [0.0, 9.94, 9.96, 119.4, 119.6, 3600.0, 7199.0, 12_000.0].map(time);
        let expected = [
            "0.0 s",
            "9.9 s",
            "10 s",
            "119 s",
            "2 min",
            "60 min",
            "2 h 0 min",
            "3 h 20 min",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn steps_make_units() {
        let progress = Progress::new(Console { is_quiet: true }, "measuring", 2, 3);
        (0..5).for_each(|_| progress.step());
        assert_eq!(progress.done.load(Ordering::Relaxed) / progress.steps, 1);
    }
}
