//! Frames, errors, panics and news through the exchange.

use super::super::status::Status;
use super::*;
use mergevit_kernels::frame::{FrameLayout, PixelFormat};

/// Slots of one byte.
fn exchange(policy: Policy) -> Exchange {
    Exchange::new(policy, 1).expect("a few bytes")
}

/// Frames of one grey pixel that counts up; every fifth is unusable.
struct Counter {
    next: u8,
    end: Result<u8, ()>,
}

impl Capture for Counter {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        match self.end {
            Ok(end) if self.next == end => return Ok(Captured::End),
            Err(()) if self.next == 3 => {
                return Err(SourceError::Truncated {
                    frame: 3,
                    found: 0,
                    expected: 1,
                });
            }
            _ => {}
        }
        let layout = FrameLayout::packed(PixelFormat::Grey, 1, 1).expect("a valid size");
        slot.prepare(layout, 1).expect("one byte fits")[0] = self.next;
        slot.name = usize::from(self.next);
        self.next += 1;
        Ok(match self.next % 5 {
            0 => {
                slot.reject("a fifth one");
                Captured::Unusable
            }
            _ => Captured::Frame,
        })
    }
}

fn drain(exchange: &Exchange) -> (Vec<usize>, Result<(), SourceError>) {
    let mut names = Vec::new();
    loop {
        match exchange.next(Duration::from_secs(60)) {
            Next::Frame(slot) => {
                match slot.frame() {
                    Ok(_) => names.push(slot.name),
                    Err(reason) => assert_eq!((reason, slot.name % 5), ("a fifth one", 4)),
                }
                exchange.give_back(slot);
            }
            Next::Status(status) => panic!("no camera, but {status}"),
            Next::Waiting => panic!("no frame came for a minute"),
            Next::Stopped => panic!("nobody stopped it"),
            Next::Ended(result) => return (names, result),
        }
    }
}

#[test]
fn every_frame_arrives_in_order() {
    let exchange = Arc::new(exchange(Policy::EveryFrame));
    let counter = Counter {
        next: 0,
        end: Ok(50),
    };
    exchange.start(Box::new(counter)).expect("a thread starts");
    let (names, result) = drain(&exchange);
    assert!(result.is_ok());
    let expected: Vec<usize> = (0..50).filter(|i| (i + 1) % 5 != 0).collect();
    assert_eq!(names, expected);
    let counts = Counts {
        errors: 10,
        ..Counts::default()
    };
    assert_eq!(exchange.counts(), counts);
}

#[test]
fn an_error_comes_after_the_frames_before_it() {
    let exchange = Arc::new(exchange(Policy::EveryFrame));
    let counter = Counter {
        next: 0,
        end: Err(()),
    };
    exchange.start(Box::new(counter)).expect("a thread starts");
    let (names, result) = drain(&exchange);
    assert_eq!(names, [0, 1, 2]);
    assert!(matches!(
        result,
        Err(SourceError::Truncated { frame: 3, .. })
    ));
}

#[test]
fn the_latest_frame_replaces_an_older_one() {
    let exchange = exchange(Policy::Latest);
    for name in 0..10 {
        let mut slot = exchange.take_free().expect("a slot is always free");
        slot.clear();
        slot.name = name;
        let layout = FrameLayout::packed(PixelFormat::Grey, 1, 1).expect("a valid size");
        slot.prepare(layout, 1).expect("one byte fits");
        exchange.publish(slot);
    }
    let Next::Frame(slot) = exchange.next(Duration::ZERO) else {
        panic!("a frame is ready");
    };
    assert_eq!(slot.name, 9);
    assert_eq!(exchange.counts().dropped, 9);
    assert!(matches!(exchange.next(Duration::ZERO), Next::Waiting));
}

#[test]
fn stopping_ends_both_sides() {
    let exchange = Arc::new(exchange(Policy::EveryFrame));
    let counter = Counter {
        next: 0,
        end: Ok(100),
    };
    exchange.start(Box::new(counter)).expect("a thread starts");
    exchange.stop();
    assert!(matches!(
        exchange.next(Duration::from_secs(60)),
        Next::Stopped
    ));
    assert!(exchange.take_free().is_none());
}

#[test]
fn what_a_replaced_frame_was_to_tell_its_successor_tells() {
    let exchange = exchange(Policy::Latest);
    for (sequence, (dropped_by_driver, usable)) in
        [(0, true), (3, false), (2, true)].into_iter().enumerate()
    {
        let mut slot = exchange.take_free().expect("a slot is always free");
        slot.clear();
        slot.sequence = sequence as u64;
        slot.dropped_by_driver = dropped_by_driver;
        let layout = FrameLayout::packed(PixelFormat::Grey, 1, 1).expect("a valid size");
        slot.prepare(layout, 1).expect("one byte fits");
        if !usable {
            slot.reject("a reason");
        }
        exchange.publish(slot);
    }
    let Next::Frame(slot) = exchange.next(Duration::ZERO) else {
        panic!("a frame is ready");
    };
    assert_eq!(
        (slot.sequence, slot.dropped_by_driver, slot.replaced),
        (2, 5, 1)
    );
    let counts = Counts {
        dropped: 1,
        dropped_by_driver: 5,
        errors: 1,
    };
    assert_eq!(exchange.counts(), counts);
}

/// One frame, then a panic.
struct Panics(Counter, fn());

impl Capture for Panics {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        if self.0.next == 1 {
            (self.1)();
        }
        self.0.capture(slot)
    }
}

#[test]
fn a_panic_ends_the_source() {
    let text: fn() = || panic!("as {}", "expected");
    let literal: fn() = || panic!("as expected");
    let other: fn() = || panic::panic_any(3);
    for (panic, expected) in [
        (text, "as expected"),
        (literal, "as expected"),
        (other, "a panic without a message"),
    ] {
        let exchange = Arc::new(exchange(Policy::EveryFrame));
        let counter = Counter {
            next: 0,
            end: Ok(9),
        };
        let capture = Box::new(Panics(counter, panic));
        exchange.start(capture).expect("a thread starts");
        let (names, result) = drain(&exchange);
        assert_eq!(names, [0]);
        let error = result.expect_err("it panicked");
        let message = format!("a bug in what reads it: {expected}");
        assert_eq!(error.to_string(), message);
    }
}

/// News without end, then the end.
struct News(usize);

impl Capture for News {
    fn capture(&mut self, _: &mut Slot) -> Result<Captured, SourceError> {
        self.0 += 1;
        Ok(match self.0 {
            11 => Captured::End,
            count => Captured::Status(CameraStatus {
                status: Status::Waiting,
                reason: Some(count.to_string()),
            }),
        })
    }
}

#[test]
fn news_arrives_in_order_and_the_oldest_gives_way() {
    let exchange = Arc::new(exchange(Policy::Latest));
    exchange.start(Box::new(News(0))).expect("a thread starts");
    drop(exchange.wait_until(|state| state.end.is_some()));
    for count in 3..=10 {
        let Next::Status(status) = exchange.next(Duration::ZERO) else {
            panic!("there is more news");
        };
        assert_eq!(status.to_string(), format!("waiting: {count}"));
    }
    assert!(matches!(exchange.next(Duration::ZERO), Next::Ended(Ok(()))));
}

/// Frames, and a demand that nobody heeds.
#[cfg(feature = "camera")]
struct OnDemand {
    counter: Counter,
    demand: Arc<Demand>,
}

#[cfg(feature = "camera")]
impl Capture for OnDemand {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        self.counter.capture(slot)
    }

    fn demand(&self) -> Option<Arc<Demand>> {
        Some(Arc::clone(&self.demand))
    }
}

#[test]
#[cfg(feature = "camera")]
fn a_frame_is_demanded_when_none_is_ready() {
    let exchange = Arc::new(exchange(Policy::EveryFrame));
    let demand = Arc::new(Demand::new().expect("two sockets"));
    let counter = Counter {
        next: 0,
        end: Ok(2),
    };
    let capture = Box::new(OnDemand {
        counter,
        demand: Arc::clone(&demand),
    });
    exchange.start(capture).expect("a thread starts");
    drop(exchange.wait_until(|state| state.end.is_some()));
    let take = || match exchange.next(Duration::ZERO) {
        Next::Frame(slot) => exchange.give_back(slot),
        other => panic!("a frame is ready, not {other:?}"),
    };
    take();
    assert!(!demand.take());
    demand.set_ahead(true);
    take();
    assert!(demand.take());
    demand.set_ahead(false);
    assert!(matches!(exchange.next(Duration::ZERO), Next::Ended(Ok(()))));
    assert!(demand.take());
}
