//! A board, a camera and a live loop, without any of them: time is computed.

use super::{Goals, Governor, Point, Switch};
use std::time::Duration;

/// What happens on a board. Functions of the time in seconds.
pub(super) struct Board {
    pub(super) points: Vec<Point>,
    /// Frames a second that the camera delivers.
    pub(super) camera: f64,
    /// By how much everything is slower than when it was measured: throttling, a second load.
    pub(super) slowdown: fn(f64) -> f64,
    /// Seconds that a frame takes more, whichever schedule runs.
    pub(super) delay: fn(f64) -> f64,
    /// Share by which the time of a frame varies to either side.
    pub(super) noise: f64,
    /// Watts that the board draws without this program.
    pub(super) others: fn(f64) -> f64,
    /// Watts that it draws more while it computes.
    pub(super) computing: f64,
}

/// A classified frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// When it began, in seconds.
    pub(super) begin: f64,
    pub(super) seconds: f64,
    pub(super) schedule: usize,
}

/// What was seen of a run.
pub(super) struct Run {
    pub(super) governor: Governor,
    pub(super) frames: Vec<Frame>,
    /// With the time in seconds.
    pub(super) switches: Vec<(f64, Switch)>,
    /// What the sensor read: time in seconds, watts.
    pub(super) watts: Vec<(f64, f64)>,
}

impl Board {
    /// Schedules numbered from 0, with the milliseconds each takes; accuracy falls by a point with each.
    pub(super) fn new(milliseconds: &[f64]) -> Self {
        let points = milliseconds.iter().enumerate().map(|(schedule, ms)| Point {
            schedule,
            latency: Duration::from_secs_f64(ms / 1e3),
            accuracy: Some(0.9 - 0.01 * schedule as f64),
        });
        Self {
            points: points.collect(),
            camera: 30.0,
            slowdown: |_| 1.0,
            delay: |_| 0.0,
            noise: 0.0,
            others: |_| 5.0,
            computing: 8.0,
        }
    }

    /// Runs for `seconds`. The loop takes the newest frame, no sooner than the governor lets it.
    pub(super) fn run(&self, goals: Goals, seconds: f64) -> Run {
        let mut run = Run {
            governor: Governor::new(&self.points, goals).expect("goals that can be had"),
            frames: Vec::new(),
            switches: Vec::new(),
            watts: Vec::new(),
        };
        let mut random = Random(7);
        let (mut now, mut due, mut taken) = (0.0, 0.0, -1.0);
        let (mut read, mut joules) = (0.0, 0.0);
        while now < seconds {
            let ready = f64::max(now, due);
            let newest = (ready * self.camera).floor();
            let begin = match newest > taken {
                true => ready,
                false => (taken + 1.0) / self.camera,
            };
            taken = newest.max(taken + f64::from(newest <= taken));
            if let Some(interval) = run.governor.frame_interval() {
                due = begin.max(due) + interval.as_secs_f64();
            }
            let schedule = run.governor.current();
            let measured = self.points[schedule].latency.as_secs_f64();
            let noise = 1.0 + self.noise * random.within_one();
            let seconds = measured * (self.slowdown)(begin) * noise + (self.delay)(begin);
            run.frames.push(Frame {
                begin,
                seconds,
                schedule,
            });
            now = begin + seconds;
            let at = Duration::from_secs_f64(now);
            let switch = run.governor.frame(at, Duration::from_secs_f64(seconds));
            run.switches.extend(switch.map(|switch| (now, switch)));
            joules += seconds * self.computing;
            if now - read >= 0.1 {
                let watts = (self.others)(now) + joules / (now - read);
                let switch = run.governor.power(at, watts);
                run.switches.extend(switch.map(|switch| (now, switch)));
                run.watts.push((now, watts));
                (read, joules) = (now, 0.0);
            }
        }
        run
    }
}

impl Run {
    /// Share of the frames between two times that took longer than `budget` seconds.
    pub(super) fn late(&self, from: f64, to: f64, budget: f64) -> f64 {
        let frames = self.between(from, to);
        let late = frames.iter().filter(|frame| frame.seconds > budget).count();
        late as f64 / frames.len() as f64
    }

    /// Classified frames a second between two times.
    pub(super) fn rate(&self, from: f64, to: f64) -> f64 {
        self.between(from, to).len() as f64 / (to - from)
    }

    /// The schedule at a time.
    pub(super) fn schedule(&self, time: f64) -> usize {
        let later = self.frames.iter().find(|frame| frame.begin >= time);
        later.expect("a frame at that time").schedule
    }

    /// Mean watts between two times.
    pub(super) fn mean_watts(&self, from: f64, to: f64) -> f64 {
        let read = self
            .watts
            .iter()
            .filter(|(time, _)| (from..to).contains(time));
        let (count, sum) = read.fold((0, 0.0), |(count, sum), (_, watts)| {
            (count + 1, sum + watts)
        });
        sum / f64::from(count)
    }

    /// Schedules in the order in which they were switched to.
    pub(super) fn path(&self) -> Vec<usize> {
        self.switches.iter().map(|(_, switch)| switch.to).collect()
    }

    fn between(&self, from: f64, to: f64) -> Vec<Frame> {
        let frames = self.frames.iter().filter(|f| (from..to).contains(&f.begin));
        frames.copied().collect()
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// Uniform in -1..1.
    fn within_one(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}
