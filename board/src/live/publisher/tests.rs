//! What readers get, however slow they are.

use super::*;
use serde_json::Value;
use std::sync::mpsc::{Receiver, Sender, channel};

#[derive(Serialize)]
struct Number {
    number: u64,
}

impl Record for Number {
    fn text(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number % 2 {
            0 => write!(to, "number {}", self.number),
            _ => Ok(()),
        }
    }
}

/// Passes on what is written, each time once somebody allows it.
struct Gate {
    allowed: Receiver<()>,
    written: Sender<Vec<u8>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.allowed.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Gated {
    publisher: Publisher,
    control: Arc<Control>,
    allow: Sender<()>,
    written: Receiver<Vec<u8>>,
}

fn gated(form: Form, waits: bool, changes_only: bool) -> Gated {
    let (allow, allowed) = channel();
    let (sender, written) = channel();
    let gate = Gate {
        allowed,
        written: sender,
    };
    let options = PublisherOptions {
        form,
        changes_only,
        waits,
        record_bytes: 128,
        pictures: None,
    };
    let control = Control::new();
    let publisher = Publisher::with_output(options, &control, gate);
    Gated {
        publisher: publisher.expect("a thread starts"),
        control,
        allow,
        written,
    }
}

impl Gated {
    /// Every third record is an event.
    fn publish(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let kind = if number % 3 == 0 {
                Kind::Event
            } else {
                Kind::Frame
            };
            let published = self.publisher.publish(kind, &Number { number });
            published.expect("the output works");
        }
    }

    /// Lets everything be written, and returns it.
    fn finish(mut self) -> String {
        for _ in 0..10_000 {
            let _ = self.allow.send(());
        }
        self.publisher.finish().expect("the output works");
        drop(self.publisher);
        self.written
            .try_iter()
            .map(|bytes| String::from_utf8(bytes).expect("text"))
            .collect()
    }
}

/// Checks that all of `wanted` numbers are there or counted as lost, in their order.
fn check_account(text: &str, wanted: impl Iterator<Item = u64>) -> u64 {
    let mut wanted = wanted.peekable();
    let mut all_lost = 0;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if line["event"] == "lost" {
            let lost = line["records"].as_u64().expect("a count");
            assert!(lost > 0);
            all_lost += lost;
            wanted.by_ref().take(lost as usize).for_each(drop);
            continue;
        }
        assert_eq!(line["number"].as_u64(), wanted.next());
    }
    assert_eq!(wanted.peek(), None);
    all_lost
}

#[test]
fn a_slow_reader_is_told_what_it_lost() {
    let records = 5 * RECORDS as u64;
    for changes_only in [false, true] {
        let mut gated = gated(Form::Json, false, changes_only);
        // Nothing is read meanwhile, and the loop does not wait.
        gated.publish(0..records);
        let text = gated.finish();
        let step = if changes_only { 3 } else { 1 };
        let lost = check_account(&text, (0..records).step_by(step));
        assert!(lost > 0);
    }
}

#[test]
fn a_reader_that_is_waited_for_loses_nothing() {
    let records = 5 * RECORDS as u64;
    let mut gated = gated(Form::Json, true, false);
    for _ in 0..records {
        gated.allow.send(()).expect("somebody writes");
    }
    gated.publish(0..records);
    assert_eq!(check_account(&gated.finish(), 0..records), 0);
}

#[test]
fn a_stop_ends_the_wait_for_a_reader_that_does_not_read() {
    let mut gated = gated(Form::Json, true, false);
    gated.control.stop();
    // More than there is room for: this would wait for ever.
    gated.publish(0..2 * RECORDS as u64);
    match gated.publisher.finish() {
        Err(PublishError::Unread(records)) => assert!(records > 0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn people_get_the_records_that_have_a_line() {
    let mut gated = gated(Form::Text, true, false);
    gated.publish(0..5);
    assert_eq!(gated.finish(), "number 0\nnumber 2\nnumber 4\n");
}

#[test]
fn an_output_that_fails_ends_the_loop_with_its_error() {
    let mut gated = gated(Form::Json, true, false);
    let (allow, _) = channel();
    // The gate breaks.
    gated.allow = allow;
    let error = (0..).find_map(|number| {
        let published = gated.publisher.publish(Kind::Frame, &Number { number });
        published.err()
    });
    match error.expect("it fails") {
        PublishError::Output(error) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
        other => panic!("{other:?}"),
    }
}
