//! What clients of a run's socket are told, and what they may ask.
#![cfg(target_os = "linux")]

#[path = "common/client.rs"]
mod client;
mod common;
#[path = "common/piped.rs"]
mod piped;
#[path = "common/schema.rs"]
mod schema;

use client::{Client, Message};
use common::{Fixture, HEIGHT, WIDTH, config, finish, raw_frames, text};
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::{Engine, inspect};
use piped::Piped;
use serde_json::Value;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// `mergevit run --socket` on a pipe.
struct Run {
    piped: Piped,
    socket: PathBuf,
}

impl Run {
    fn new(fixture: &Fixture, arguments: &[&str]) -> Self {
        let socket = fixture.path("socket");
        let arguments = [&["--socket", text(&socket)], arguments].concat();
        let piped = Piped::start(fixture, &arguments);
        Self { piped, socket }
    }

    /// A client, and what it is told first.
    fn client(&self) -> (Client, Value) {
        let mut client = Client::connect(&self.socket);
        let hello = client.next().expect("a hello");
        (client, hello.record)
    }

    fn write(&mut self, frames: &[u8]) {
        self.piped.write(frames).expect("the program reads");
    }

    fn record(&mut self) -> Value {
        self.piped.record().expect("a record")
    }

    /// Ends the frames, and returns what standard output has left.
    fn finish(self) -> Vec<Value> {
        let rest = self.piped.finish();
        assert!(!self.socket.exists());
        rest
    }
}

fn is_frame(message: &Message) -> bool {
    message.record["event"] == "frame"
}

#[test]
fn clients_get_what_standard_output_gets() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture, &[]);
    let mode = run.client();
    let found = std::fs::symlink_metadata(&run.socket).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    drop(mode);
    let (mut client, hello) = run.client();
    assert_eq!(hello["event"], "hello");
    assert_eq!(
        (&hello["protocol"], &hello["image_size"]),
        (&1.into(), &32.into())
    );
    assert_eq!(hello["grid"], serde_json::json!([4, 4]));
    assert_eq!(hello["schedule"], "r0");
    let schedules: Vec<_> = hello["schedules"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert_eq!(
        (&schedules[0]["name"], &schedules[1]["name"]),
        (&"r0".into(), &"r3".into())
    );
    assert!(schedules[0]["gmacs"].as_f64() > schedules[1]["gmacs"].as_f64());
    assert_eq!(schedules[0]["tokens"], 17);
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:-");
    assert_eq!(hello["sources"][0]["name"], source);
    assert_eq!(run.record()["event"], "start");
    run.write(&raw_frames(PixelFormat::Grey, 3));
    for sequence in 0..3 {
        let message = client.next().expect("a frame");
        assert!(message.picture.is_empty() && message.tokens.is_empty());
        let printed = run.record();
        assert_eq!(message.record, printed);
        assert_eq!(
            (&printed["source"], &printed["sequence"]),
            (&source.as_str().into(), &sequence.into())
        );
        assert_eq!(printed["schedule"], "r0");
        schema::events(&[printed]);
    }
    let rest = run.finish();
    assert_eq!(client.next().expect("a summary").record, rest[0]);
    assert!(client.next().is_none());
}

#[test]
fn who_watches_sees_what_the_network_saw_and_merged() {
    let fixture = Fixture::new();
    for schedule in ["r3", "r0"] {
        let mut run = Run::new(&fixture, &["--schedule", schedule]);
        let (mut client, _) = run.client();
        client.send(r#"{"watch":true}"#);
        let frame = raw_frames(PixelFormat::Grey, 1);
        // Until it has heard that somebody watches.
        let message = loop {
            run.write(&frame);
            let message = client.find(is_frame);
            if !message.picture.is_empty() {
                break message;
            }
        };
        let mut engine = Engine::options()
            .threads(1)
            .schedule(schedule)
            .load(fixture.model())
            .expect("it loads");
        let frame = Frame::packed(PixelFormat::Grey, WIDTH, HEIGHT, &frame).expect("a frame");
        assert_eq!(message.picture, inspect::pixels_of(&config(), &frame));
        let map = inspect::token_map(&mut engine, &message.picture).expect("it runs");
        assert_eq!(message.tokens, map);
        client.send(r#"{"watch":false}"#);
        run.finish();
    }
}

#[test]
fn a_client_holds_a_schedule_and_gives_it_back() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture, &[]);
    let (mut client, _) = run.client();
    let frame = raw_frames(PixelFormat::Grey, 1);
    assert_eq!(run.record()["event"], "start");
    for (command, from, to, reason) in [
        (r#"{"schedule":"r3"}"#, "r0", "r3", "held"),
        (r#"{"schedule":null}"#, "r3", "r0", "released"),
    ] {
        client.send(command);
        let switch = run.record();
        schema::events(std::slice::from_ref(&switch));
        assert_eq!(switch["event"], "switch");
        assert_eq!((&switch["from"], &switch["to"]), (&from.into(), &to.into()));
        assert_eq!(switch["reason"], reason);
        let hello = run.client().1;
        assert_eq!(
            (&hello["schedule"], &hello["held"]),
            (&to.into(), &(reason == "held").into())
        );
        run.write(&frame);
        assert_eq!(run.record()["schedule"], to);
    }
    run.finish();
}

#[test]
fn whoever_talks_nonsense_is_cut_off_and_nobody_else() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture, &[]);
    let (mut good, _) = run.client();
    let long = "x".repeat(2000);
    for line in [
        "",
        "{}",
        r#"{"watch":1}"#,
        r#"{"stop":true}"#,
        r#"{"schedule":"r9"}"#,
        &long,
    ] {
        let (mut bad, _) = run.client();
        bad.send(line);
        assert!(bad.next().is_none(), "{line}");
    }
    run.write(&raw_frames(PixelFormat::Grey, 1));
    assert!(is_frame(&good.next().expect("a record")));
    run.finish();
}

#[test]
fn whoever_leaves_before_the_hello_takes_no_place() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture, &[]);
    for _ in 0..100 {
        drop(Client::connect(&run.socket));
    }
    // As many as are served at once.
    let clients: [_; 8] = std::array::from_fn(|_| run.client());
    for (_, hello) in &clients {
        assert_eq!(hello["event"], "hello");
    }
    run.write(&raw_frames(PixelFormat::Grey, 1));
    run.finish();
}

/// More frames than a socket's buffers and the ring have room for go past a client that does not read.
#[test]
fn a_client_that_does_not_read_stops_nobody_and_is_told_what_it_lost() {
    const FRAMES: usize = 4000;
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture, &[]);
    let (mut client, _) = run.client();
    assert_eq!(run.record()["event"], "start");
    let frames = raw_frames(PixelFormat::Grey, 100);
    for _ in 0..FRAMES / 100 {
        run.write(&frames);
        for _ in 0..100 {
            assert_eq!(run.record()["event"], "frame");
        }
    }
    // Now it reads, up to the last frame: all are there or lost.
    let (mut frame, mut all_lost) = (0, 0);
    while frame < FRAMES as u64 {
        let record = client.next().expect("a record").record;
        schema::events(std::slice::from_ref(&record));
        if record["event"] == "lost" {
            let lost = record["records"].as_u64().expect("a count");
            all_lost += lost;
            frame += lost;
        } else {
            assert_eq!(record["frame"], frame);
            frame += 1;
        }
    }
    assert!(all_lost > 0);
    run.finish();
}

#[test]
fn a_socket_is_taken_over_from_the_dead_alone() {
    let fixture = Fixture::new();
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:/dev/null");
    let refused = |name: &str, reason: &str| {
        let mut run = fixture.source(&source);
        run.args(["--socket", text(&fixture.path(name))]);
        finish(&mut run).fails(&[reason]);
    };
    fixture.write("file", b"");
    refused("file", "it is there, and no socket");
    refused("nowhere/socket", "cannot listen there");
    let listener = UnixListener::bind(fixture.path("socket")).expect("it binds");
    refused("socket", "another run serves this socket");
    drop(listener);
    assert!(fixture.path("socket").exists());
    let mut run = Run::new(&fixture, &[]);
    let (_client, hello) = run.client();
    assert_eq!(hello["event"], "hello");
    run.write(&raw_frames(PixelFormat::Grey, 1));
    run.finish();
}
