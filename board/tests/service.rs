//! A run as a service: its configuration file, and what the service manager hears.
#![cfg(target_os = "linux")]

mod common;

use common::{Fixture, HEIGHT, WIDTH, finish, mergevit, raw_frames, start};
use mergevit_kernels::frame::PixelFormat;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A source of a few frames, as the file says it.
fn frames(fixture: &Fixture) -> String {
    let bytes = raw_frames(PixelFormat::Grey, 5);
    let path = fixture.write("frames.raw", &bytes);
    format!("raw:grey:{WIDTH}x{HEIGHT}:{}", path.display())
}

/// A configuration file for a run on a source; `more` follows on lines of their own.
fn configuration(fixture: &Fixture, source: &str, more: &str) -> PathBuf {
    let model = fixture.model();
    let text = format!(
        "[run]\nmodel = '{}'\nsource = ['{source}']\nthreads = 1\njson = true\n{more}\n",
        model.display()
    );
    fixture.write("mergevit.toml", text.as_bytes())
}

fn run(file: &Path, arguments: &[&str]) -> Command {
    let mut command = mergevit();
    command.args(["run", "--config"]).arg(file).args(arguments);
    command
}

#[test]
fn a_file_says_what_the_command_line_would_and_the_command_line_wins() {
    let fixture = Fixture::new();
    let file = configuration(&fixture, &frames(&fixture), "max-frames = 3\nquiet = true");
    for (arguments, frames) in [(&[][..], 3), (&["--max-frames", "2"], 2)] {
        let finished = finish(&mut run(&file, arguments)).code(0);
        let stdout = finished.stdout();
        let found = stdout
            .lines()
            .filter(|line| line.contains(r#""event":"frame""#));
        assert_eq!(found.count(), frames);
        assert_eq!(finished.stderr(), "");
    }
}

#[test]
fn a_wrong_file_is_wrong_usage_with_file_and_line() {
    let fixture = Fixture::new();
    for (more, expected) in [
        (
            "max_frames = 3",
            "`run` has no `max_frames`; did you mean `max-frames`?",
        ),
        (
            "max-frames = 'x'",
            "max-frames: expected a number, found a string",
        ),
        (
            "max-frames = 0",
            "max-frames: invalid value '0' for '--max-frames <N>'",
        ),
    ] {
        let file = configuration(&fixture, &frames(&fixture), more);
        let finished = finish(&mut run(&file, &[])).code(2);
        let expected = format!("error: {}:6: {expected}", file.display());
        let stderr = finished.stderr();
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert_eq!(finished.stdout(), "");
    }
}

/// A service manager that waits for a sign of life ten times a second.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(fixture: &Fixture) -> Self {
        let path = fixture.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let patience = Some(Duration::from_secs(60));
        socket.set_read_timeout(patience).expect("a socket");
        Self { socket, path }
    }

    fn start(&self, command: &mut Command) -> Child {
        command
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", "400000");
        start(command.stdin(Stdio::piped()))
    }

    fn next(&self) -> String {
        let mut bytes = [0; 64];
        let length = self.socket.recv(&mut bytes).expect("a message comes");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// The next message but signs of life.
    fn next_change(&self) -> String {
        loop {
            let message = self.next();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status();
    assert!(status.expect("kill runs").success());
}

/// The source has no frame yet: a loop that waits for one is alive.
#[test]
fn the_service_manager_hears_of_begin_life_reload_and_end() {
    let fixture = Fixture::new();
    let manager = Manager::new(&fixture);
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:-");
    let file = configuration(&fixture, &source, "quiet = true");
    let mut child = manager.start(&mut run(&file, &[]));
    assert_eq!(manager.next_change(), "READY=1");
    assert_eq!(manager.next(), "WATCHDOG=1");
    assert_eq!(manager.next(), "WATCHDOG=1");
    send("-HUP", &child);
    assert_eq!(manager.next_change(), "RELOADING=1");
    assert_eq!(manager.next_change(), "READY=1");
    send("-TERM", &child);
    assert_eq!(manager.next_change(), "STOPPING=1");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
