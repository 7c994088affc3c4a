//! A model that is loaded again under a run.
#![cfg(target_os = "linux")]

#[path = "common/client.rs"]
mod client;
mod common;
#[path = "common/piped.rs"]
mod piped;
#[path = "common/schema.rs"]
mod schema;

use client::Client;
use common::{Fixture, config, text};
use mergevit_runtime::{ModelConfig, testing};
use piped::Piped;
use serde_json::Value;
use std::process::Command;

struct Run(Piped);

impl Run {
    fn new(fixture: &Fixture, arguments: &[&str]) -> Self {
        let mut run = Self(Piped::start(fixture, arguments));
        assert_eq!(run.record()["event"], "start");
        run
    }

    fn record(&mut self) -> Value {
        let record = self.0.record().expect("a record");
        schema::events(std::slice::from_ref(&record));
        record
    }

    fn frame(&mut self) -> Value {
        self.0.write_frame().expect("the program reads");
        self.record()
    }

    fn reload(&mut self) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args(["-HUP", &id]).status();
        assert!(status.expect("kill runs").success());
    }

    fn finish(self) {
        self.0.finish();
    }
}

/// An engine's threads start under the seal.
#[test]
fn an_engine_with_threads_is_loaded_again() {
    let mut fixture = Fixture::new();
    fixture.threads = 3;
    let mut run = Run::new(&fixture, &[]);
    run.frame();
    run.reload();
    assert_eq!(run.record()["ok"], true);
    run.frame();
    run.finish();
}

/// Puts another pack in the place of the first, as a whole.
fn replace(fixture: &Fixture, bytes: &[u8]) {
    let new = fixture.write("new.mvit", bytes);
    std::fs::rename(new, fixture.model()).expect("it is renamed");
}

fn pack(config: &ModelConfig, merged: &[u16], seed: u64) -> Vec<u8> {
    testing::bytes(config, merged, seed).to_vec()
}

#[test]
fn a_new_model_runs_between_two_frames() {
    let fixture = Fixture::new();
    let socket = fixture.path("socket");
    let mut run = Run::new(&fixture, &["--socket", text(&socket)]);
    let mut client = Client::connect(&socket);
    let hello = client.next().expect("a hello").record;
    let before = run.frame();
    replace(&fixture, &pack(&config(), &[0, 1, 3], 8));
    // Frames go on while it loads, and none is lost.
    run.reload();
    let (mut frames, mut reloaded) = (1, None);
    while reloaded.is_none() {
        let record = run.frame();
        match &record["event"] {
            event if event == "reload" => {
                reloaded = Some(record);
                assert_eq!(run.record()["frame"], frames);
            }
            event => {
                assert_eq!((event, &record["frame"]), (&"frame".into(), &frames.into()));
                assert_eq!(record["top"], before["top"]);
            }
        }
        frames += 1;
    }
    let reloaded = reloaded.expect("it was told");
    assert_eq!(reloaded["ok"], true);
    assert!(
        reloaded["hash"]
            .as_str()
            .is_some_and(|hash| hash.starts_with("xxh3-64:"))
    );
    let after = run.frame();
    assert_eq!(after["frame"], frames);
    assert_ne!(after["top"], before["top"]);
    // Clients are told of it.
    let again = client
        .find(|message| message.record["event"] == "hello")
        .record;
    assert_eq!(again["schedules"].as_array().map(Vec::len), Some(3));
    assert_ne!(again["schedules"], hello["schedules"]);
    client.send(r#"{"schedule":"r1"}"#);
    assert_eq!(run.record()["to"], "r1");
    // What is held stays so, if it is there.
    replace(&fixture, &pack(&config(), &[3, 1], 9));
    run.reload();
    assert_eq!(run.record()["event"], "reload");
    let held = run.record();
    assert_eq!(
        (&held["event"], &held["to"], &held["reason"]),
        (&"switch".into(), &"r1".into(), &"held".into())
    );
    assert_eq!(run.frame()["schedule"], "r1");
    run.finish();
}

#[test]
fn a_bad_model_changes_nothing() {
    let fixture = Fixture::new();
    let mut run = Run::new(&fixture, &["--schedule", "r3"]);
    let before = run.frame();
    let larger = ModelConfig {
        image_size: 64,
        ..config()
    };
    let good = std::fs::read(fixture.model()).expect("it reads");
    for (bytes, reason) in [
        (b"no pack".to_vec(), "m.mvit"),
        (pack(&config(), &[0], 8), "r3"),
        (good[..good.len() / 2].to_vec(), "m.mvit"),
    ] {
        replace(&fixture, &bytes);
        run.reload();
        let record = run.record();
        assert_eq!(
            (&record["event"], &record["ok"]),
            (&"reload".into(), &false.into())
        );
        assert!(
            record["reason"]
                .as_str()
                .is_some_and(|found| found.contains(reason)),
            "{record}"
        );
        assert_eq!(run.frame()["top"], before["top"]);
    }
    // Nobody watches, so that a larger picture is no hindrance.
    replace(&fixture, &pack(&larger, &[0, 3], 8));
    run.reload();
    assert_eq!(run.record()["ok"], true);
    run.finish();
    let socket = fixture.path("socket");
    replace(&fixture, &good);
    let mut run = Run::new(&fixture, &["--schedule", "r3", "--socket", text(&socket)]);
    replace(&fixture, &pack(&larger, &[0, 3], 8));
    run.reload();
    let record = run.record();
    assert!(
        record["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("larger")),
        "{record}"
    );
    assert_eq!(run.frame()["top"], before["top"].clone());
    run.finish();
}
