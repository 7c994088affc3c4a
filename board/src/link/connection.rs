//! The connection, made again whenever it ends.

use super::record::Record;
use crate::wire::{Command, CommandError, Hello, Message, PROTOCOL, Receiver, WireError};
use serde::Deserialize;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use thiserror::Error;

/// How long to wait before the first and before each later attempt to connect, at most: a run that restarts is back
/// within seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How long a command may take. A run that takes longer does not read its clients at all.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

/// Why a run that has said all it had to say is away.
const ENDED: &str = "the run has ended";

/// What follows a run.
pub(crate) trait Listener {
    /// The run is there, or has loaded another model.
    fn connected(&mut self, hello: Hello);
    /// A message came, with this record, or something that is none.
    fn heard(&mut self, record: Result<Record, serde_json::Error>, message: &Message<'_>);
    /// The run is not there, for this reason.
    fn away(&mut self, reason: &str);
}

/// One end of a run's socket.
#[derive(Debug)]
pub(crate) struct Link {
    path: PathBuf,
    line: Mutex<Line>,
}

/// What commands go through.
#[derive(Debug, Default)]
struct Line {
    stream: Option<UnixStream>,
    /// Whether the run is to send pictures, this one and the next.
    watching: bool,
}

/// Why a command did not reach the run.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error("the run is away")]
    Away,
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the run does not listen: {0}")]
    Write(#[from] io::Error),
}

/// Why there is no connection.
#[derive(Debug, Error)]
enum Unconnected {
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("it says nothing")]
    Silent,
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("its first message is no greeting of mergevit")]
    NoHello,
    #[error(
        "it speaks version {0} of the protocol, this program speaks {PROTOCOL}: use one version of mergevit"
    )]
    Protocol(u32),
}

impl Line {
    fn send(&mut self, command: &Command) -> Result<(), SendError> {
        let line = command.to_line()?;
        let stream = self.stream.as_mut().ok_or(SendError::Away)?;
        if let Err(error) = stream.write_all(&line) {
            // Half a line may be on its way: nothing may follow it.
            let _ = stream.shutdown(std::net::Shutdown::Both);
            self.stream = None;
            return Err(error.into());
        }
        Ok(())
    }
}

impl Link {
    /// A link to the socket at `path`, where there may be none yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            line: Mutex::default(),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// If the run is away or does not listen.
    #[cfg(any(test, feature = "page"))]
    pub(crate) fn send(&self, command: &Command) -> Result<(), SendError> {
        self.line().send(command)
    }

    /// Asks for pictures, or for none; a run that is away hears of it when it is back.
    #[cfg(any(test, feature = "page"))]
    pub(crate) fn watch(&self, watching: bool) {
        let mut line = self.line();
        if line.watching != watching {
            line.watching = watching;
            // Where it fails, the next connection begins with it.
            let _ = line.send(&Command::Watch(watching));
        }
    }

    /// Tells a listener all that the run says, and whether it is there, for ever.
    pub(crate) fn follow(&self, listener: &mut impl Listener) -> ! {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect() {
                Ok((hello, mut receiver)) => {
                    pause = FIRST_PAUSE;
                    listener.connected(hello);
                    let reason = listen(&mut receiver, listener);
                    self.line().stream = None;
                    listener.away(&reason);
                }
                Err(error) => listener.away(&error.to_string()),
            }
            thread::sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Connects and reads the greeting.
    fn connect(&self) -> Result<(Hello, Receiver<UnixStream>), Unconnected> {
        let stream = UnixStream::connect(&self.path)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut receiver = Receiver::new(stream.try_clone()?);
        let hello = receiver.next()?.ok_or(Unconnected::Silent)?;
        let hello = greeting(hello.json)?;
        let mut line = self.line();
        line.stream = Some(stream);
        if line.watching {
            // Where it fails, so does the connection.
            let _ = line.send(&Command::Watch(true));
        }
        Ok((hello, receiver))
    }
}

fn greeting(json: &[u8]) -> Result<Hello, Unconnected> {
    /// What every version of the protocol says.
    #[derive(Deserialize)]
    struct Greeting {
        event: String,
        protocol: u32,
    }
    let greeting: Greeting = serde_json::from_slice(json).map_err(|_| Unconnected::NoHello)?;
    match (greeting.event.as_str(), greeting.protocol) {
        ("hello", PROTOCOL) => serde_json::from_slice(json).map_err(|_| Unconnected::NoHello),
        ("hello", other) => Err(Unconnected::Protocol(other)),
        _ => Err(Unconnected::NoHello),
    }
}

/// Passes on what comes until the connection ends; why it did.
fn listen(receiver: &mut Receiver<UnixStream>, listener: &mut impl Listener) -> String {
    loop {
        match receiver.next() {
            Ok(Some(message)) => match serde_json::from_slice(message.json) {
                // After a reload of the model.
                Ok(Record::Hello(hello)) => listener.connected(*hello),
                record => listener.heard(record, &message),
            },
            Ok(None) => return ENDED.into(),
            // It went before it had read all that it was told.
            Err(WireError::Read(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                return ENDED.into();
            }
            Err(error) => return error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{encode, message_bytes};
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    const HELLO: &str = r#"{"event":"hello","protocol":1,"version":"9","model":"m","labels":[],"image_size":8,
        "grid":[1,1],"schedules":[],"cascades":[],"sources":[],"schedule":"r0"}"#;

    struct Log(Sender<String>);

    impl Listener for Log {
        fn connected(&mut self, hello: Hello) {
            let _ = self.0.send(format!("connected to {}", hello.model));
        }

        fn heard(&mut self, record: Result<Record, serde_json::Error>, _: &Message<'_>) {
            let _ = self.0.send(format!("{record:?}"));
        }

        fn away(&mut self, reason: &str) {
            let _ = self.0.send(format!("away: {reason}"));
        }
    }

    fn say(stream: &mut UnixStream, json: &str) {
        let mut bytes = vec![0; message_bytes(json.len(), 0, 0)];
        encode(&mut bytes, json.as_bytes(), &[], &[]).expect("it is short");
        stream.write_all(&bytes).expect("the client reads");
    }

    /// A link to a socket in a folder, what its listener hears, and the socket.
    fn followed(folder: &Path) -> (Arc<Link>, std::sync::mpsc::Receiver<String>, UnixListener) {
        let path = folder.join("socket");
        let socket = UnixListener::bind(&path).expect("a socket");
        let link = Arc::new(Link::new(&path));
        let (log, heard) = channel();
        let follower = Arc::clone(&link);
        thread::spawn(move || -> ! { follower.follow(&mut Log(log)) });
        (link, heard, socket)
    }

    #[test]
    fn a_run_that_comes_back_is_heard_and_told_who_watches() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, heard, socket) = followed(folder.path());
        let next = || heard.recv().expect("the listener hears");
        assert!(matches!(
            link.send(&Command::Watch(true)),
            Err(SendError::Away)
        ));
        for run in 0..2 {
            let (mut stream, _) = socket.accept().expect("a client");
            say(&mut stream, HELLO);
            while next() != "connected to m" {}
            if run == 0 {
                link.watch(true);
            }
            let mut line = String::new();
            let mut commands = BufReader::new(stream.try_clone().expect("a stream"));
            commands.read_line(&mut line).expect("a command");
            assert_eq!(line, "{\"watch\":true}\n");
            say(&mut stream, r#"{"event":"lost","records":3}"#);
            assert_eq!(next(), "Ok(Lost { records: 3 })");
            say(&mut stream, "nonsense");
            assert!(next().starts_with("Err("));
            let model = HELLO.replace(r#""m""#, r#""other""#);
            say(&mut stream, &model);
            assert_eq!(next(), "connected to other");
            drop((stream, commands));
            assert_eq!(next(), "away: the run has ended");
        }
    }

    #[test]
    fn whoever_does_not_greet_is_no_run() {
        for (greeting, reason) in [
            (r#"{"event":"frame"}"#, "no greeting"),
            (r#"{"event":"hello","protocol":1}"#, "no greeting"),
            (r#"{"event":"hello","protocol":2}"#, "speaks version 2"),
            ("?", "no greeting"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let (_link, heard, socket) = followed(folder.path());
            let (mut stream, _) = socket.accept().expect("a client");
            say(&mut stream, greeting);
            let found = heard.recv().expect("the listener hears");
            assert!(
                found.starts_with("away: ") && found.contains(reason),
                "{found}"
            );
        }
    }

    #[test]
    fn a_run_that_reads_nothing_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, heard, socket) = followed(folder.path());
        let (mut stream, _) = socket.accept().expect("a client");
        say(&mut stream, HELLO);
        assert_eq!(heard.recv().expect("it hears"), "connected to m");
        let name = "x".repeat(1000);
        let error = loop {
            if let Err(error) = link.send(&Command::Schedule(Some(name.clone()))) {
                break error;
            }
        };
        assert!(matches!(error, SendError::Write(_)), "{error}");
        assert!(heard.recv().expect("it hears").starts_with("away: "));
    }
}
