//! Tells the service manager how the run is, by the protocol of `sd_notify(3)`: ready, alive, reloading, stopping.
//!
//! It is a datagram to the socket that `NOTIFY_SOCKET` names. Without that variable nobody asked, and nothing is sent.
//! Sending neither waits nor allocates: it is for the sealed loop. A child process must not inherit the variables
//! ([`VARIABLES`]), or it would speak for the service.

use crate::every::Every;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// What a service manager sets for the main process of a service alone.
pub(crate) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Signs of life within the time after which the manager takes the process for dead.
const SIGNS: u32 = 4;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    socket: Option<UnixDatagram>,
    /// When a sign of life is due, if the manager waits for them.
    signs: Option<Every>,
}

impl Supervisor {
    /// The one that started this process.
    pub(crate) fn from_environment() -> Self {
        let [socket, microseconds, process] = VARIABLES.map(env::var_os);
        let Some(socket) = socket else {
            return Self::default();
        };
        let interval = interval(microseconds.as_deref(), process.as_deref());
        Self::connect(&socket, interval).unwrap_or_else(|error| {
            log::warn!("the service manager will hear nothing: NOTIFY_SOCKET: {error}");
            Self::default()
        })
    }

    fn connect(name: &OsStr, interval: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => Err(io::Error::other("neither a path nor an abstract name")),
        }?;
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Some(socket),
            signs: interval.map(Every::new),
        })
    }

    /// Frames are classified from now on, or again after a reload.
    pub(crate) fn ready(&self) {
        self.send(b"READY=1");
    }

    /// The model is loaded again; [`Supervisor::ready`] ends that.
    pub(crate) fn reloading(&self) {
        self.send(b"RELOADING=1");
    }

    /// The run is about to end.
    pub(crate) fn stopping(&self) {
        self.send(b"STOPPING=1");
    }

    /// The loop is not stuck. To be called as often as one likes; a few times within the manager's limit it is sent.
    pub(crate) fn alive(&mut self, now: Instant) {
        if self.signs.as_mut().is_some_and(|signs| signs.is_due(now)) {
            self.send(b"WATCHDOG=1");
        }
    }

    fn send(&self, message: &[u8]) {
        if let Some(socket) = &self.socket {
            // A manager that does not read has more to do than to hear of this.
            let _ = socket.send(message);
        }
    }
}

/// From one sign of life to the next, if this process owes any.
fn interval(microseconds: Option<&OsStr>, process: Option<&OsStr>) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    let limit = Duration::from_micros(number(microseconds?)?);
    let is_ours = process.is_none_or(|id| number(id) == Some(std::process::id().into()));
    (is_ours && !limit.is_zero()).then(|| limit / SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// The next message, if there is one.
    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 64];
        manager.set_nonblocking(true).expect("a socket");
        let length = match manager.recv(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            length => length.expect("a message"),
        };
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    #[test]
    fn a_manager_hears_what_happens_at_either_kind_of_address() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let name = format!("mergevit-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
        for (address, manager) in [
            (path.as_os_str().to_owned(), UnixDatagram::bind(&path)),
            (
                format!("@{name}").into(),
                UnixDatagram::bind_addr(&abstract_address),
            ),
        ] {
            let manager = manager.expect("a socket");
            let supervisor = Supervisor::connect(&address, None).expect("the socket is there");
            supervisor.ready();
            supervisor.reloading();
            supervisor.stopping();
            for expected in ["READY=1", "RELOADING=1", "STOPPING=1"] {
                assert_eq!(heard(&manager).as_deref(), Some(expected));
            }
            assert_eq!(heard(&manager), None);
        }
    }

    #[test]
    fn signs_of_life_are_sent_four_times_within_the_limit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let wait = interval(Some("4000000".as_ref()), None);
        let mut supervisor = Supervisor::connect(path.as_os_str(), wait).expect("it is there");
        let begin = Instant::now();
        for hundredth in 0..400 {
            supervisor.alive(begin + Duration::from_millis(10 * hundredth));
        }
        let messages: Vec<_> = std::iter::from_fn(|| heard(&manager)).collect();
        assert_eq!(messages, ["WATCHDOG=1"; 4]);
    }

    #[test]
    fn a_manager_that_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let supervisor = Supervisor::connect(path.as_os_str(), None).expect("it is there");
        // Far more than any queue holds.
        (0..100_000).for_each(|_| supervisor.ready());
        drop(manager);
        supervisor.ready();
    }

    #[test]
    fn only_the_process_that_is_meant_owes_signs_of_life() {
        let own = std::process::id().to_string();
        let of = |limit: &str, process: Option<&str>| {
            interval(Some(limit.as_ref()), process.map(OsStr::new))
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(
            (of("4000000", None), of("4000000", Some(&own))),
            (second, second)
        );
        for (limit, process) in [
            ("4000000", Some("1")),
            ("0", None),
            ("x", None),
            ("9", Some("x")),
        ] {
            assert_eq!(of(limit, process), None, "{limit} {process:?}");
        }
        assert_eq!(interval(None, None), None);
        for address in ["", "vsock:2:1", "relative"] {
            assert!(Supervisor::connect(address.as_ref(), None).is_err());
        }
        // Without a manager, nothing happens.
        let mut nobody = Supervisor::default();
        nobody.ready();
        nobody.alive(Instant::now());
    }
}
