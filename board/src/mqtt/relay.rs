//! The run on one side, the broker on the other; either may come and go.

use super::address::Broker;
use super::discovery::Device;
use super::news::{News, OFFLINE};
use super::topics::part;
use crate::link::{Link, Listener, Record};
use crate::wire::{Hello, Message};
use rumqttc::{
    Client, ConnectReturnCode, ConnectionError, Event, LastWill, MqttOptions, Packet, QoS,
};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Words on their way to the broker.
const QUEUE: usize = 64;

/// Largest packet in bytes: a configuration with the longest names.
const MAX_PACKET: usize = 64 << 10;

/// How long a broker may say nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long to wait before the first and before each later attempt to connect, at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Who this is, for the broker.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What is relayed, and where to.
pub(crate) struct Settings {
    /// The run's.
    pub(crate) socket: PathBuf,
    pub(crate) broker: Broker,
    pub(crate) credentials: Option<Credentials>,
    /// Under which everything is.
    pub(crate) topic: String,
    /// Where Home Assistant looks for configurations.
    pub(crate) discovery: String,
    /// This machine's name.
    pub(crate) machine: String,
}

/// Why nothing can be relayed, now or later.
#[derive(Debug, Error)]
pub(crate) enum RelayError {
    #[error("the broker refuses: {0}")]
    Refused(&'static str),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// Relays, for ever. `ready` is called at the first connection to the broker.
///
/// # Errors
/// If the broker does not want this client.
pub(crate) fn serve(settings: Settings, ready: impl FnOnce()) -> Result<(), RelayError> {
    let node = part(&settings.topic);
    let options = options(&settings, &node);
    let news = News::new(Device {
        prefix: settings.discovery,
        topic: settings.topic,
        node,
        name: format!("mergevit on {}", settings.machine),
        model: String::new(),
        version: String::new(),
    });
    let (client, mut connection) = Client::new(options, QUEUE);
    let relay = Arc::new(Relay {
        client,
        said: Mutex::new(Said {
            news,
            is_connected: false,
        }),
    });
    let (link, ear) = (Link::new(&settings.socket), Arc::clone(&relay));
    thread::Builder::new()
        .name("link".into())
        .spawn(move || -> ! { link.follow(&mut Ear(&ear)) })?;

    let mut ready = Some(ready);
    let mut pause = FIRST_PAUSE;
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                pause = FIRST_PAUSE;
                relay.broker_came();
                if let Some(ready) = ready.take() {
                    ready();
                }
            }
            // There may be room in the queue again.
            Ok(_) => relay.speak(&mut relay.said()),
            Err(error) => {
                relay.broker_went(&error);
                if let Some(refusal) = refusal(&error) {
                    return Err(RelayError::Refused(refusal));
                }
                thread::sleep(pause);
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        }
    }
    Ok(())
}

fn options(settings: &Settings, node: &str) -> MqttOptions {
    let Broker { host, port } = settings.broker.clone();
    // A broker throws out the older of two clients with one name.
    let name = format!("{node}-{}", std::process::id());
    let mut options = MqttOptions::new(name, host, port);
    let availability = format!("{}/availability", settings.topic);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_max_packet_size(MAX_PACKET, MAX_PACKET)
        .set_last_will(LastWill::new(availability, OFFLINE, QoS::AtLeastOnce, true));
    if let Some(Credentials { user, password }) = &settings.credentials {
        options.set_credentials(user, password);
    }
    options
}

/// What a broker refuses for ever; everything else may pass.
fn refusal(error: &ConnectionError) -> Option<&'static str> {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword) => {
            Some("wrong user or password")
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized) => {
            Some("this user may not connect")
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion) => {
            Some("it does not speak MQTT 3.1.1")
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => {
            Some("it does not like the client's name")
        }
        _ => None,
    }
}

struct Relay {
    client: Client,
    said: Mutex<Said>,
}

struct Said {
    news: News,
    is_connected: bool,
}

impl Relay {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker_came(&self) {
        log::info!("connected to the broker");
        let mut said = self.said();
        said.is_connected = true;
        said.news.tell_all();
        self.speak(&mut said);
    }

    fn broker_went(&self, error: &ConnectionError) {
        let mut said = self.said();
        if said.is_connected {
            log::warn!("the broker is away: {error}");
        } else {
            log::info!("the broker is away: {error}");
        }
        said.is_connected = false;
    }

    /// Hands on what the broker has not heard, as much as the queue takes.
    fn speak(&self, said: &mut Said) {
        if !said.is_connected {
            return;
        }
        while let Some((topic, word)) = said.news.next() {
            let topic = topic.to_owned();
            let quality = if word.lasts {
                QoS::AtLeastOnce
            } else {
                QoS::AtMostOnce
            };
            let payload = word.payload.as_bytes();
            if self
                .client
                .try_publish(&topic, quality, word.lasts, payload)
                .is_err()
            {
                return;
            }
            said.news.said(&topic);
        }
    }

    /// Changes the news and hands them on.
    fn tell(&self, change: impl FnOnce(&mut News)) {
        let mut said = self.said();
        change(&mut said.news);
        self.speak(&mut said);
    }
}

/// Hears the run for a relay.
struct Ear<'a>(&'a Relay);

impl Listener for Ear<'_> {
    fn connected(&mut self, hello: Hello) {
        self.0.tell(|news| news.connected(&hello));
    }

    fn heard(&mut self, record: Result<Record, serde_json::Error>, _: &Message<'_>) {
        match record {
            Ok(record) => self.0.tell(|news| news.heard(Instant::now(), &record)),
            Err(error) => log::warn!("a record that cannot be read: {error}"),
        }
    }

    fn away(&mut self, reason: &str) {
        log::info!("the run is away: {reason}");
        self.0.tell(News::away);
    }
}
