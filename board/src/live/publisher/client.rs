//! The conversation with one client of the socket.

use super::Shared;
use super::greeting::Greeting;
use super::lost::Lost;
use super::reader::{Reader, Received};
use super::ring::{Entry, Found, Ring};
use crate::wire::{self, Command, CommandBuffer, CommandError, HeaderError};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How often an idle conversation looks for commands.
const IDLE: Duration = Duration::from_millis(50);

/// How often it is tried again to send to a client that has no room.
const RETRY: Duration = Duration::from_millis(5);

/// How long a client may have no room before its place is another's.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a conversation ended before the run did.
#[derive(Debug, Error)]
pub(super) enum Gone {
    #[error("it closed the connection")]
    Closed,
    #[error("it took nothing for {} s", PATIENCE.as_secs())]
    Stalled,
    #[error("it asked for schedule {0:?}, which is not there")]
    NoSchedule(String),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Message(#[from] HeaderError),
    #[error("{0}")]
    Record(#[from] serde_json::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Talks to a client until the run ends or the client goes.
pub(super) fn serve(
    stream: UnixStream,
    shared: &Arc<Shared>,
    greeting: &Greeting,
) -> Result<(), Gone> {
    stream.set_nonblocking(true)?;
    let mut client = Client {
        stream,
        shared,
        reader: Reader::of_what_follows(shared),
        greeting,
        picture: shared.pictures.as_ref().map(|ring| ring.entry()),
        commands: CommandBuffer::new(),
        watches: false,
        generation: 0,
        out: Vec::new(),
        sent: 0,
        tokens: Vec::new(),
    };
    let talked = client.talk();
    client.watch(false);
    talked
}

struct Client<'a> {
    stream: UnixStream,
    shared: &'a Shared,
    reader: Reader,
    greeting: &'a Greeting,
    /// Room for a picture and its tokens.
    picture: Option<Entry>,
    commands: CommandBuffer,
    watches: bool,
    /// Of the greeting that it has.
    generation: u64,
    /// Messages, of which so many bytes are sent.
    out: Vec<u8>,
    sent: usize,
    tokens: Vec<u16>,
}

impl Client<'_> {
    fn talk(&mut self) -> Result<(), Gone> {
        let mut taken = Instant::now();
        loop {
            self.obey()?;
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                // In this order: what was said before the end is sent.
                let is_at_end = self.reader.is_at_end();
                self.compose()?;
                taken = Instant::now();
                if self.out.is_empty() {
                    if is_at_end {
                        return Ok(());
                    }
                    std::thread::park_timeout(IDLE);
                    continue;
                }
            }
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(Gone::Closed),
                Ok(count) => {
                    self.sent += count;
                    taken = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if taken.elapsed() > PATIENCE {
                        return Err(Gone::Stalled);
                    }
                    std::thread::park_timeout(RETRY);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does what the client has asked for meanwhile.
    fn obey(&mut self) -> Result<(), Gone> {
        loop {
            match self.stream.read(self.commands.room()) {
                Ok(0) => return Err(Gone::Closed),
                Ok(count) => self.commands.fill(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            while let Some(command) = self.commands.next()? {
                match command {
                    Command::Watch(watches) => self.watch(watches),
                    Command::Schedule(name) => {
                        let control = &self.shared.control;
                        if !self.greeting.ask(name.as_deref(), control) {
                            return Err(Gone::NoSchedule(name.unwrap_or_default()));
                        }
                    }
                }
            }
        }
    }

    /// From now on it gets pictures, or none.
    fn watch(&mut self, watches: bool) {
        let watchers = &self.shared.watchers;
        match (self.watches, watches) {
            (false, true) => drop(watchers.fetch_add(1, Ordering::AcqRel)),
            (true, false) => drop(watchers.fetch_sub(1, Ordering::AcqRel)),
            _ => {}
        }
        self.watches = watches;
    }

    /// The next message, if there is one: a greeting, or a record after what was lost before it.
    fn compose(&mut self) -> Result<(), Gone> {
        let generation = self.greeting.generation();
        if self.generation != generation {
            self.generation = generation;
            let hello = serde_json::to_vec(&self.greeting.hello())?;
            return Ok(append(&mut self.out, &hello, &[], &[])?);
        }
        let Some(received) = self.reader.next() else {
            return Ok(());
        };
        let Received {
            lost,
            json,
            picture,
            ..
        } = received;
        if lost > 0 {
            let lost = serde_json::to_vec(&Lost::new(lost))?;
            append(&mut self.out, &lost, &[], &[])?;
        }
        let pixels = match (picture, &self.shared.pictures, &mut self.picture) {
            (Some(position), Some(pictures), Some(room)) if self.watches => {
                pixels(pictures, position, room, &mut self.tokens)
            }
            _ => {
                self.tokens.clear();
                &[]
            }
        };
        Ok(append(&mut self.out, json, pixels, &self.tokens)?)
    }
}

/// The pixels of a picture, with its tokens; nothing if it was overwritten meanwhile.
fn pixels<'a>(
    pictures: &Ring,
    position: u64,
    room: &'a mut Entry,
    tokens: &mut Vec<u16>,
) -> &'a [u8] {
    tokens.clear();
    if pictures.read(position, room) != Found::Entry {
        return &[];
    }
    let (pixels, map) = room.bytes().split_at(room.tag[0] as usize);
    let map = map.chunks_exact(2);
    tokens.extend(map.map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]])));
    pixels
}

/// Adds a message.
fn append(
    out: &mut Vec<u8>,
    json: &[u8],
    pixels: &[u8],
    tokens: &[u16],
) -> Result<(), HeaderError> {
    let start = out.len();
    out.resize(
        start + wire::message_bytes(json.len(), pixels.len(), tokens.len()),
        0,
    );
    wire::encode(&mut out[start..], json, pixels, tokens)?;
    Ok(())
}
