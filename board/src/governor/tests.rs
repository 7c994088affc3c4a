//! What a governor does over minutes on simulated boards.

use super::simulator::{Board, Run};
use super::*;
use proptest::prelude::*;

/// Milliseconds of five schedules; at 30 frames a second the first takes 60 % of the budget.
const TIMES: [f64; 5] = [20.0, 16.0, 12.0, 9.0, 7.0];

/// Seconds of a frame at 30 frames a second.
const BUDGET: f64 = 1.0 / 30.0;

const RATE: Goals = Goals {
    frames_per_second: Some(30.0),
    watts: None,
    accuracy: None,
};

fn goals(rate: impl Into<Option<f64>>, watts: impl Into<Option<f64>>) -> Goals {
    Goals {
        frames_per_second: rate.into(),
        watts: watts.into(),
        accuracy: None,
    }
}

/// No raise follows another switch within 2 s, and each switch goes where its reason says.
fn assert_calm(run: &Run) {
    let mut last = f64::NEG_INFINITY;
    for (time, switch) in &run.switches {
        let slower = switch.to < switch.from;
        match switch.reason {
            Reason::Slack => assert!(slower && time - last > 1.99, "at {time} s: {switch:?}"),
            Reason::OverBudget | Reason::Power => assert!(!slower, "at {time} s: {switch:?}"),
            Reason::Held | Reason::Released => panic!("nobody holds a schedule"),
        }
        last = *time;
    }
}

#[test]
fn what_fits_stays() {
    for noise in [0.0, 0.15] {
        let run = Board {
            noise,
            ..Board::new(&TIMES)
        }
        .run(RATE, 300.0);
        assert_eq!(run.path(), [0; 0], "with noise of {noise}");
        assert!((run.rate(1.0, 300.0) - 30.0).abs() < 0.1);
        assert_eq!(run.governor.missed(), Missed::default());
    }
}

#[test]
fn the_most_accurate_schedule_that_fits_runs_first() {
    for (rate, first) in [(10.0, 0), (30.0, 0), (45.0, 1), (100.0, 4), (1000.0, 4)] {
        let governor = Governor::new(&Board::new(&TIMES).points, goals(rate, None));
        let governor = governor.expect("goals that can be had");
        assert_eq!(governor.current(), first, "{rate} frames a second");
        assert_eq!(governor.missed().frames_per_second, rate > 500.0, "{rate}");
    }
}

#[test]
fn between_raising_and_lowering_nothing_happens() {
    // Level 1 takes 78 % of the budget with noise past 85 % on both sides of two frames; level 0 would take 97 %.
    let run = Board {
        slowdown: |_| 1.62,
        noise: 0.06,
        ..Board::new(&TIMES)
    }
    .run(RATE, 300.0);
    assert_eq!(run.path(), [1]);
}

#[test]
fn single_slow_frames_change_nothing() {
    let hiccup = |time: f64| f64::from(time.rem_euclid(5.0) < 0.03) * 0.2;
    let run = Board {
        delay: hiccup,
        ..Board::new(&TIMES)
    }
    .run(RATE, 100.0);
    assert!(run.late(0.0, 100.0, BUDGET) > 0.005, "the frames are there");
    assert_eq!(run.path(), [0; 0]);
}

#[test]
fn a_second_load_is_met_at_once_and_left_when_it_goes() {
    let load = |time: f64| {
        if (20.0..60.0).contains(&time) {
            2.0
        } else {
            1.0
        }
    };
    let run = Board {
        slowdown: load,
        noise: 0.05,
        ..Board::new(&TIMES)
    }
    .run(RATE, 100.0);
    // 24 ms are 72 % of the budget, and 32 ms are 96 %.
    assert_eq!(run.path(), [2, 0]);
    assert_eq!(run.late(20.2, 100.0, BUDGET), 0.0);
    assert!((run.rate(20.2, 60.0) - 30.0).abs() < 0.2);
    let back = run.switches[1].0;
    assert!((62.0..62.5).contains(&back), "back at {back} s");
    assert_calm(&run);
}

#[test]
fn throttling_is_followed_down_and_up() {
    /// Slower by and by to a factor of 2.2 after two minutes, and back from the fourth on.
    fn heat(time: f64) -> f64 {
        1.0 + 0.01 * time.min(360.0 - time).clamp(0.0, 120.0)
    }
    let run = Board {
        slowdown: heat,
        noise: 0.05,
        ..Board::new(&TIMES)
    }
    .run(RATE, 420.0);
    assert_eq!(run.late(0.0, 420.0, BUDGET), 0.0, "each step comes in time");
    assert_eq!(run.path(), [1, 2, 1, 0]);
    assert_calm(&run);
}

#[test]
fn bursts_that_come_again_are_tried_ever_more_rarely() {
    let bursts = |time: f64| if time.rem_euclid(4.0) < 0.5 { 2.5 } else { 1.0 };
    let run = Board {
        slowdown: bursts,
        ..Board::new(&TIMES)
    }
    .run(RATE, 400.0);
    assert!(run.switches.len() <= 8, "{:?}", run.path());
    assert_eq!(run.late(100.0, 400.0, BUDGET), 0.0);
    assert_calm(&run);
}

#[test]
fn a_single_burst_costs_two_seconds() {
    let burst = |time: f64| {
        if (10.0..10.5).contains(&time) {
            3.0
        } else {
            1.0
        }
    };
    let run = Board {
        slowdown: burst,
        ..Board::new(&TIMES)
    }
    .run(RATE, 30.0);
    assert_eq!(run.path(), [3, 0]);
    assert!(run.switches[1].0 < 12.7);
}

#[test]
fn the_wait_doubles_with_each_raise_that_fails() {
    // Only the slowest schedule is delayed, which nobody predicts: it looks as if it had room.
    let mut board = Board::new(&[20.0, 10.0]);
    board.delay = |_| 0.0;
    let mut governor = Governor::new(&board.points, RATE).expect("goals that can be had");
    let mut raises = Vec::new();
    for frame in 0..30 * 200 {
        let now = Duration::from_secs_f64(f64::from(frame) / 30.0);
        let latency = Duration::from_millis(if governor.current() == 0 { 32 } else { 10 });
        let switch = governor.frame(now, latency);
        raises.extend(switch.filter(|s| s.reason == Reason::Slack).map(|_| now));
    }
    let waits = raises.windows(2).map(|pair| (pair[1] - pair[0]).as_secs());
    assert_eq!(waits.collect::<Vec<_>>(), [4, 8, 16, 32, 64]);
}

#[test]
fn a_pause_says_nothing_about_the_time_between() {
    let mut governor = Governor::new(&Board::new(&[20.0, 10.0]).points, RATE).expect("goals");
    let mut frame = |seconds: f64, ms| {
        let now = Duration::from_secs_f64(seconds);
        governor.frame(now, Duration::from_millis(ms))
    };
    for index in 0..3 {
        let lowered = frame(f64::from(index) / 30.0, 32);
        assert_eq!(lowered.is_some(), index == 2);
    }
    for index in 0..30 {
        assert_eq!(frame(1.0 + f64::from(index) / 30.0, 10), None);
    }
    // The camera was away for a minute.
    for index in 0..30 {
        assert_eq!(frame(62.0 + f64::from(index) / 30.0, 10), None);
    }
}

#[test]
fn power_lowers_the_frame_rate_first() {
    // 5 W idle, 8 W more while it computes: 9.8 W at 30 frames a second.
    let load = |time: f64| {
        if (60.0..120.0).contains(&time) {
            6.0
        } else {
            5.0
        }
    };
    let run = Board {
        others: load,
        ..Board::new(&TIMES)
    }
    .run(goals(None, 8.0), 200.0);
    assert_eq!(run.path(), [0; 0]);
    for (from, to, rate) in [
        (10.0, 60.0, 18.0),
        (70.0, 120.0, 12.0),
        (140.0, 200.0, 18.0),
    ] {
        let watts = run.mean_watts(from, to);
        assert!((7.4..=8.0).contains(&watts), "{watts} W from {from} s on");
        let found = run.rate(from, to);
        assert!(
            (rate * 0.8..=rate * 1.05).contains(&found),
            "{found} frames a second"
        );
    }
    assert_eq!(run.governor.missed(), Missed::default());
}

#[test]
fn power_under_a_wanted_rate_merges_before_frames_are_given_up() {
    let load = |time: f64| match time {
        time if time < 20.0 => 3.0,
        time if time < 80.0 => 5.0,
        time if time < 140.0 => 7.0,
        _ => 3.0,
    };
    let run = Board {
        others: load,
        ..Board::new(&TIMES)
    }
    .run(goals(30.0, 8.0), 260.0);
    assert_eq!(run.schedule(19.0), 0);
    // 3 W remain: 12.5 ms a frame at 30 frames a second.
    assert_eq!(run.schedule(79.0), 2);
    assert!((run.rate(20.0, 80.0) - 30.0).abs() < 1.0);
    // 1 W remains: 4.2 ms a frame, which not even the fastest takes.
    assert_eq!(run.schedule(139.0), 4);
    let rate = run.rate(100.0, 140.0);
    assert!((14.0..18.5).contains(&rate), "{rate} frames a second");
    for (from, to) in [(30.0, 80.0), (95.0, 140.0)] {
        let watts = run.mean_watts(from, to);
        assert!(watts < 8.0, "{watts} W from {from} s on");
    }
    assert_eq!(run.schedule(259.0), 0);
    assert!((run.rate(160.0, 260.0) - 30.0).abs() < 1.0);
    assert_calm(&run);
}

#[test]
fn goals_that_cannot_be_had_are_told_and_so_is_that_they_can_again() {
    let run = Board::new(&TIMES).run(goals(200.0, 1.0), 60.0);
    let both = Missed {
        frames_per_second: true,
        watts: true,
    };
    assert_eq!(run.governor.missed(), both);
    let heat = |time: f64| if time < 30.0 { 6.0 } else { 1.0 };
    for (seconds, missed) in [(0.5, false), (10.0, true), (32.0, false)] {
        let run = Board {
            slowdown: heat,
            ..Board::new(&TIMES)
        }
        .run(RATE, seconds);
        assert_eq!(
            run.governor.missed().frames_per_second,
            missed,
            "{seconds} s"
        );
    }
}

#[test]
fn without_frames_nobody_saves_power() {
    let points = Board::new(&TIMES).points;
    let mut governor = Governor::new(&points, goals(30.0, 8.0)).expect("goals");
    for tenth in 0..600 {
        let now = Duration::from_millis(100 * tenth);
        assert_eq!(governor.power(now, 12.0), None);
    }
    assert!(governor.missed().watts);
    // What no sensor reads is ignored.
    for watts in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(governor.power(Duration::from_secs(100), watts), None);
    }
}

#[test]
fn a_held_schedule_stays_until_it_is_given_back() {
    let points = Board::new(&TIMES).points;
    let mut governor = Governor::new(&points, RATE).expect("goals");
    let held = governor.hold(Some(3)).expect("a schedule");
    let held = held.expect("another one");
    assert_eq!((held.from, held.to, held.reason), (0, 3, Reason::Held));
    assert_eq!(governor.hold(Some(3)), Ok(None));
    for frame in 0..300 {
        let now = Duration::from_millis(33 * frame);
        assert_eq!(governor.frame(now, Duration::from_millis(50)), None);
    }
    assert_eq!(governor.hold(Some(9)), Err(HoldError::Unknown));
    assert_eq!(governor.current(), 3);
    let released = governor
        .hold(None)
        .expect("nothing refuses")
        .expect("a switch");
    assert_eq!((released.from, released.to), (3, 0));
    assert_eq!(released.reason, Reason::Released);
    let accurate = Goals {
        accuracy: Some(0.885),
        ..RATE
    };
    let mut governor = Governor::new(&points, accurate).expect("goals");
    assert_eq!(governor.hold(Some(2)), Err(HoldError::Accuracy));
    assert!(governor.hold(Some(1)).is_ok());
}

#[test]
fn without_a_rate_or_a_limit_the_fastest_that_is_accurate_enough_runs() {
    let points = Board::new(&TIMES).points;
    let accurate = Goals {
        accuracy: Some(0.875),
        ..Goals::default()
    };
    let mut governor = Governor::new(&points, accurate).expect("goals");
    assert_eq!((governor.current(), governor.frame_interval()), (2, None));
    assert_eq!(governor.power(Duration::from_secs(9), 99.0), None);
    // Nor is anything asked for: whatever the caller lists first.
    let mut governor = Governor::new(&points[1..], Goals::default()).expect("goals");
    assert_eq!((governor.current(), governor.frame_interval()), (1, None));
    assert!(governor.hold(Some(4)).is_ok());
}

#[test]
fn errors_say_what_can_be_had() {
    let accurate = Goals {
        accuracy: Some(0.95),
        ..RATE
    };
    let error = Governor::new(&Board::new(&TIMES).points, accurate).expect_err("too accurate");
    let text = "no schedule reaches an accuracy of 95.00 %; the best has 90.00 %";
    assert_eq!(error.to_string(), text);
}

/// One frame or reading of power: milliseconds since the one before, milliseconds it took, watts.
fn steps() -> impl Strategy<Value = Vec<(u64, u64, f64)>> {
    proptest::collection::vec((0..200u64, 0..100u64, 0.0..20.0), 1..2000)
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = (1..60u64, proptest::option::of(0.5..1.0));
    proptest::collection::vec(point, 1..8).prop_map(|points| {
        let numbered = points.into_iter().enumerate();
        let points = numbered.map(|(schedule, (ms, accuracy))| Point {
            schedule,
            latency: Duration::from_millis(ms),
            accuracy,
        });
        points.collect()
    })
}

proptest! {
    #[test]
    fn no_trace_brings_about_a_schedule_below_the_minimum_or_a_hasty_switch(
        points in points(),
        rate in proptest::option::of(1.0..100.0),
        watts in proptest::option::of(1.0..20.0),
        accuracy in proptest::option::of(0.5..0.9),
        steps in steps(),
    ) {
        let goals = Goals { frames_per_second: rate, watts, accuracy };
        let Ok(mut governor) = Governor::new(&points, goals) else {
            prop_assert!(!points.iter().any(|point| ladder::reaches(point.accuracy, accuracy)));
            return Ok(());
        };
        let mut now = Duration::ZERO;
        let mut last: Option<Duration> = None;
        let (mut lowered, mut raised) = (0, 0);
        for (pause, latency, watts) in steps {
            now += Duration::from_millis(pause);
            let before = governor.current();
            let frame = governor.frame(now, Duration::from_millis(latency));
            prop_assert_eq!(frame.map_or(before, |switch| switch.to), governor.current());
            let power = governor.power(now, watts);
            for switch in [frame, power].into_iter().flatten() {
                prop_assert!(switch.from != switch.to);
                let time = |schedule: usize| points[schedule].latency;
                if switch.reason == Reason::Slack {
                    prop_assert!(time(switch.to) > time(switch.from));
                    prop_assert!(last.is_none_or(|last| now - last >= Duration::from_secs(2)));
                    raised += 1;
                } else {
                    prop_assert!(time(switch.to) < time(switch.from));
                    lowered += 1;
                }
                last = Some(now);
            }
            prop_assert!(ladder::reaches(points[governor.current()].accuracy, accuracy));
            if let Some(interval) = governor.frame_interval() {
                let slowest = rate.unwrap_or(1.0).min(1.0);
                prop_assert!(interval.as_secs_f64() <= 1.001 / slowest);
            }
        }
        // So there are at most two raises in four seconds, and between two raises at most a way down.
        prop_assert!(lowered <= (raised + 1) * (points.len() - 1));
    }
}
