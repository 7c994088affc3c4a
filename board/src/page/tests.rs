//! The page over HTTP: what it answers, whom it refuses, and that no client can keep it from others.

use super::guard::{Guard, Token};
use super::hub::{Hub, MAX_VIEWERS};
use super::live::tests::{FRAME, HELLO};
use super::server::Limits;
use super::{routes, server};
use crate::wire::{encode, message_bytes};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef";

/// A page and the socket of its run, of which nothing is connected yet.
struct Page {
    _folder: TempDir,
    socket: UnixListener,
    address: SocketAddr,
    hub: Arc<Hub>,
}

impl Page {
    fn new(token: bool, limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let socket = UnixListener::bind(&path).expect("a socket");
        let token = token.then(|| Token::parse(SECRET).expect("a token"));
        let hub = Arc::new(Hub::new(&path));
        let (follower, served, teller) = (Arc::clone(&hub), Arc::clone(&hub), Arc::clone(&hub));
        thread::spawn(move || -> ! { follower.follow() });
        let (ready, address) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = server::bind(([127, 0, 0, 1], 0).into())
                    .await
                    .expect("a port");
                ready
                    .send(listener.local_addr().expect("it has one"))
                    .expect("a test");
                tokio::spawn(async move { teller.tell_status().await });
                let router = routes::router(served, Guard::new(&[], token));
                server::serve(listener, router, limits).await;
            });
        });
        Self {
            _folder: folder,
            socket,
            address: address.recv().expect("it listens"),
            hub,
        }
    }

    /// A run that is connected.
    fn run(&self) -> Run {
        let (mut stream, _) = self.socket.accept().expect("the page connects");
        say(&mut stream, HELLO, &[]);
        wait(|| self.hub.is_here());
        let commands = BufReader::new(stream.try_clone().expect("a stream"));
        Run { stream, commands }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it accepts");
        // So that a test fails where it would wait for ever.
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a time");
        stream
    }

    /// Status line, headers and body of an answer.
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("it is read");
        let mut answer = Vec::new();
        // The server may close before it has read all: then this fails after the answer.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        ))
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

struct Run {
    stream: UnixStream,
    commands: BufReader<UnixStream>,
}

impl Run {
    fn command(&mut self) -> String {
        let mut line = String::new();
        self.commands.read_line(&mut line).expect("a command");
        line
    }
}

fn say(stream: &mut UnixStream, json: &str, picture: &[u8]) {
    let mut bytes = vec![0; message_bytes(json.len(), picture.len(), 0)];
    encode(&mut bytes, json.as_bytes(), picture, &[]).expect("it is short");
    stream.write_all(&bytes).expect("the page reads");
}

fn wait(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "not {status}: {answer}"
    );
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn addresses_give_what_they_promise() {
    let page = Page::new(false, Limits::default());
    assert_status(&page.get("/healthz", ""), 503);
    let mut run = page.run();
    assert_status(&page.get("/healthz", ""), 200);
    for (path, kind, part) in [
        ("/", "text/html", "<canvas id=\"picture\""),
        ("/assets/page.js", "text/javascript", "EventSource"),
        ("/metrics", "text/plain; version=0.0.4", "mergevit_up 1\n"),
    ] {
        let answer = page.get(path, "");
        assert_status(&answer, 200);
        assert!(
            answer.contains(&format!("content-type: {kind}")) && answer.contains(part),
            "{answer}"
        );
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{header} is not in {answer}");
        }
        assert!(
            !answer.to_lowercase().contains("access-control-"),
            "{answer}"
        );
    }
    assert_status(&page.get("/assets/../page.rs", ""), 404);
    assert_status(&page.get("/nothing", ""), 404);
    assert_status(&page.post("/", "", ""), 405);
    say(&mut run.stream, FRAME, &[]);
    wait(|| {
        page.get("/metrics", "")
            .contains("mergevit_frames_total{source=\"camera0\"} 1\n")
    });
}

#[test]
fn a_schedule_is_held_by_json_alone() {
    let page = Page::new(false, Limits::default());
    assert_status(
        &page.post("/api/schedule", JSON, r#"{"schedule":null}"#),
        503,
    );
    let mut run = page.run();
    for (body, line) in [
        (r#"{"schedule":"r1"}"#, "{\"schedule\":\"r1\"}\n"),
        (r#"{"schedule":null}"#, "{\"schedule\":null}\n"),
    ] {
        assert_status(&page.post("/api/schedule", JSON, body), 204);
        assert_eq!(run.command(), line);
    }
    for (headers, body, status) in [
        (JSON, r#"{"schedule":"r99"}"#, 400),
        (JSON, r#"{"watch":true}"#, 400),
        (JSON, "nonsense", 400),
        ("Content-Type: text/plain\r\n", r#"{"schedule":"r1"}"#, 415),
        ("", r#"{"schedule":"r1"}"#, 415),
        (
            JSON,
            &format!(r#"{{"schedule":"{}"}}"#, "x".repeat(2000)),
            413,
        ),
    ] {
        assert_status(&page.post("/api/schedule", headers, body), status);
    }
}

#[test]
fn other_sites_are_refused() {
    let page = Page::new(false, Limits::default());
    let foreign = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_status(&page.ask(foreign), 421);
    assert_status(
        &page.get("/metrics", "Origin: http://evil.example\r\n"),
        403,
    );
    let headers = format!("{JSON}Origin: http://evil.example\r\n");
    assert_status(
        &page.post("/api/schedule", &headers, r#"{"schedule":null}"#),
        403,
    );
    assert_status(&page.get("/metrics", "Origin: http://localhost\r\n"), 200);
    let nameless = page.ask("GET /metrics HTTP/1.0\r\n\r\n");
    assert!(nameless.starts_with("HTTP/1.0 421 "), "{nameless}");
}

#[test]
fn without_the_token_nothing_is_told() {
    let page = Page::new(true, Limits::default());
    let _run = page.run();
    for path in ["/metrics", "/events", "/snapshot.jpg"] {
        let answer = page.get(path, "");
        assert_status(&answer, 401);
        assert!(
            answer.contains("www-authenticate: Bearer") && !answer.contains(SECRET),
            "{answer}"
        );
    }
    let answer = page.get("/", "");
    assert_status(&answer, 401);
    assert!(answer.contains("id=\"login\""), "{answer}");
    assert_status(
        &page.post("/api/schedule", JSON, r#"{"schedule":null}"#),
        401,
    );
    assert_status(
        &page.post("/api/login", JSON, r#"{"token":"0123456789abcdeg"}"#),
        401,
    );
    assert_status(
        &page.get("/metrics", &format!("Authorization: Bearer {SECRET}\r\n")),
        200,
    );
    // What tells nothing of the run.
    assert_status(&page.get("/healthz", ""), 200);
    assert_status(&page.get("/assets/style.css", ""), 200);

    let answer = page.post("/api/login", JSON, &format!(r#"{{"token":"{SECRET}"}}"#));
    assert_status(&answer, 204);
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("its value");
    assert_status(&page.get("/metrics", &format!("Cookie: {cookie}\r\n")), 200);
}

/// The next event of this name from a stream.
fn event(stream: &mut BufReader<TcpStream>, name: &str) -> serde_json::Value {
    let mut wanted = false;
    loop {
        let mut line = String::new();
        assert!(
            stream.read_line(&mut line).expect("a line") > 0,
            "the stream ended"
        );
        if let Some(found) = line.strip_prefix("event: ") {
            wanted = found.trim() == name;
        }
        if let (true, Some(data)) = (wanted, line.strip_prefix("data: ")) {
            return serde_json::from_str(data).expect("JSON");
        }
    }
}

#[test]
fn pictures_come_while_somebody_looks() {
    let page = Page::new(false, Limits::default());
    let mut run = page.run();
    let mut stream = page.connect();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    let mut events = BufReader::new(stream);
    assert_eq!(run.command(), "{\"watch\":true}\n");
    assert_eq!(event(&mut events, "run")["model"], "m.mvit");
    assert_eq!(event(&mut events, "status")["schedule"], "r0");
    say(&mut run.stream, FRAME, &[50; 3 * 16 * 16]);
    let frame = event(&mut events, "frame");
    assert_eq!(frame["top"][0]["label"], "cat");
    assert!(frame["picture"].is_string());
    // The stream is chunked; a second viewer changes nothing for the run.
    let snapshot = page.get("/snapshot.jpg", "");
    assert_status(&snapshot, 200);
    assert!(snapshot.contains("content-type: image/jpeg"));
    drop(events);
    assert_eq!(run.command(), "{\"watch\":false}\n");

    // A run that goes is told to those who look.
    let mut stream = page.connect();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    let mut events = BufReader::new(stream);
    assert!(event(&mut events, "run").get("reason").is_none());
    drop(run);
    assert_eq!(event(&mut events, "run")["reason"], "the run has ended");
    let mut run = page.run();
    assert_eq!(run.command(), "{\"watch\":true}\n");
    while event(&mut events, "run").get("model").is_none() {}
}

#[test]
fn a_snapshot_waits_for_a_picture() {
    let page = Page::new(false, Limits::default());
    let mut run = page.run();
    thread::scope(|scope| {
        let snapshot = scope.spawn(|| page.get("/snapshot.jpg?source=camera0", ""));
        assert_eq!(run.command(), "{\"watch\":true}\n");
        say(&mut run.stream, FRAME, &[]);
        say(&mut run.stream, FRAME, &[50; 3 * 16 * 16]);
        assert_status(&snapshot.join().expect("an answer"), 200);
    });
    assert_eq!(run.command(), "{\"watch\":false}\n");
    assert_status(&page.get("/snapshot.jpg?moon=full", ""), 400);
    assert_status(
        &page.get("/snapshot.jpg?source=camera0&draw=merged", ""),
        503,
    );
}

#[test]
fn heads_are_limited() {
    let page = Page::new(false, Limits::default());
    let long = format!("X: {}\r\n", "x".repeat(64 << 10));
    assert_status(&page.get("/metrics", &long), 431);
    let many = "X: y\r\n".repeat(100);
    assert_status(&page.get("/metrics", &many), 431);
    let name = "x".repeat(64 << 10);
    let answer = page.get(&format!("/{name}"), "");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_status(&page.get("/metrics", ""), 200);
}

#[test]
fn slow_and_many_clients_do_not_keep_others_out() {
    let limits = Limits {
        connections: 4,
        head: Duration::from_millis(300),
        ..Limits::default()
    };
    let page = Page::new(false, limits);
    let _run = page.run();
    let mut slow: Vec<TcpStream> = (0..limits.connections).map(|_| page.connect()).collect();
    for (index, stream) in slow.iter_mut().enumerate() {
        // Some say nothing, some half of something.
        if index % 2 == 0 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: loc")
                .expect("it is read");
        }
    }
    assert_status(&page.get("/metrics", ""), 200);
    for mut stream in slow {
        // What they get is an end, perhaps after a refusal.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    let mut half = page.connect();
    half.write_all(b"POST /api/schedule HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        .expect("it is read");
    assert_status(&page.get("/metrics", ""), 200);
}

#[test]
fn whoever_does_not_read_is_given_up() {
    let limits = Limits {
        write: Duration::from_millis(300),
        ..Limits::default()
    };
    let page = Page::new(false, limits);
    let mut run = page.run();
    let mut deaf = page.connect();
    deaf.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    assert_eq!(run.command(), "{\"watch\":true}\n");
    let speaker = thread::spawn({
        let mut stream = run.stream.try_clone().expect("a stream");
        let picture: Vec<u8> = (0..3 * 256 * 256u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        move || {
            let frame = FRAME.as_bytes();
            let mut bytes = vec![0; message_bytes(frame.len(), picture.len(), 0)];
            encode(&mut bytes, frame, &picture, &[]).expect("it is short");
            while stream.write_all(&bytes).is_ok() {}
        }
    });
    assert_eq!(run.command(), "{\"watch\":false}\n");
    drop(run.commands);
    run.stream
        .shutdown(std::net::Shutdown::Both)
        .expect("it is open");
    speaker.join().expect("it ends");
    drop(deaf);
}

#[test]
fn pages_are_limited() {
    let page = Page::new(false, Limits::default());
    let mut run = page.run();
    let open = || {
        let mut stream = page.connect();
        stream
            .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("it is read");
        let mut events = BufReader::new(stream);
        event(&mut events, "status");
        events
    };
    let pages: Vec<_> = (0..MAX_VIEWERS).map(|_| open()).collect();
    assert_status(&page.get("/events", ""), 503);
    assert_status(&page.get("/metrics", ""), 200);
    drop(pages);
    assert_eq!(run.command(), "{\"watch\":true}\n");
    assert_eq!(run.command(), "{\"watch\":false}\n");
}
