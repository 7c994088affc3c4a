//! Where the broker is.

use std::fmt;
use thiserror::Error;

/// The port that brokers have (IANA: `mqtt`).
const PORT: u16 = 1883;

/// `mqtt://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    /// A name or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why an address is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum AddressError {
    #[error("expected mqtt://HOST or mqtt://HOST:PORT")]
    Form,
    #[error(
        "this program does not encrypt: give it mqtt:// and a broker on this machine, which may pass on by TLS"
    )]
    Tls,
    #[error(
        "a password in a command line can be read by everybody: use --user and --password-file"
    )]
    Credentials,
}

impl Broker {
    /// Reads an address.
    ///
    /// # Errors
    /// If it is none, asks for TLS, or holds a password.
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("mqtts://") {
            return Err(AddressError::Tls);
        }
        let rest = text.strip_prefix("mqtt://").ok_or(AddressError::Form)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(AddressError::Credentials);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(AddressError::Form)?,
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| AddressError::Form)?,
            None if port.is_empty() => PORT,
            None => return Err(AddressError::Form),
        };
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        if host.is_empty() || port == 0 || !host.bytes().all(is_allowed) {
            return Err(AddressError::Form);
        }
        let host = host.to_owned();
        Ok(Self { host, port })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "mqtt://[{host}]:{port}"),
            false => write!(f, "mqtt://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port, shown) in [
            (
                "mqtt://localhost",
                "localhost",
                1883,
                "mqtt://localhost:1883",
            ),
            (
                "mqtt://broker.lan:1884/",
                "broker.lan",
                1884,
                "mqtt://broker.lan:1884",
            ),
            ("mqtt://10.0.0.1:1", "10.0.0.1", 1, "mqtt://10.0.0.1:1"),
            ("mqtt://[::1]", "::1", 1883, "mqtt://[::1]:1883"),
            (
                "mqtt://[fe80::1%eth0]:99",
                "fe80::1%eth0",
                99,
                "mqtt://[fe80::1%eth0]:99",
            ),
        ] {
            let broker = Broker::parse(text).expect(text);
            assert_eq!((broker.host.as_str(), broker.port), (host, port));
            assert_eq!(broker.to_string(), shown);
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "localhost",
            "http://localhost",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://a:b",
            "mqtt://a:0",
            "mqtt://a:70000",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "mqtt://a b",
            "mqtt://a/b",
            "mqtt://a:1:2",
        ] {
            assert_eq!(Broker::parse(text), Err(AddressError::Form), "{text}");
        }
        assert_eq!(Broker::parse("mqtts://a"), Err(AddressError::Tls));
        assert_eq!(
            Broker::parse("mqtt://me:secret@a"),
            Err(AddressError::Credentials)
        );
    }
}
