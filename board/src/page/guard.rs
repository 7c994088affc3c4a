//! Who may look: which requests are answered.
//!
//! A page on a machine without a password is attacked through the browsers of those who may reach it. A foreign site
//! that has its name resolve to this machine (DNS rebinding) is refused for its `Host`; one that sends requests here
//! for its `Origin`. Whoever reaches an address that is not the loopback needs a token.

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Shortest and longest token in bytes. 16 letters at random cannot be guessed over a network.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

/// The cookie that holds the token.
const COOKIE_NAME: &str = "mergevit_token";

/// A secret that is asked for. It has no `Debug`: it is in no message.
#[derive(Clone)]
pub(crate) struct Token(String);

/// Why a token is none.
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    #[error("a token of {0} letters, expected {from} to {to}", from = TOKEN_BYTES.start(), to = TOKEN_BYTES.end())]
    Length(usize),
    #[error("a token has letters, digits and any of -._~+/= alone")]
    Letters,
}

impl Token {
    /// Reads a token; blanks around it do not count.
    ///
    /// # Errors
    /// If it is too short or too long, or has letters that a header or a cookie could not carry.
    pub(crate) fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        // What may stand after `Bearer` (RFC 6750, section 2.1) may stand in a cookie, too.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if !text.bytes().all(is_allowed) {
            return Err(TokenError::Letters);
        }
        match TOKEN_BYTES.contains(&text.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err(TokenError::Length(text.len())),
        }
    }

    /// Whether this is it. How long that takes says nothing about the token but its length.
    pub(super) fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// The header by which a browser remembers it: for thirty days, for this page alone, out of reach of scripts.
    pub(super) fn cookie(&self) -> String {
        format!(
            "{COOKIE_NAME}={}; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict",
            self.0
        )
    }
}

/// What is checked of every request.
pub(crate) struct Guard {
    /// Names of this machine, in lower case, beside its addresses and `localhost`.
    names: Vec<String>,
    token: Option<Token>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("this page goes by another name: start it with --host NAME to add one")]
    Host,
    #[error("no other site may use this page")]
    Origin,
    #[error("a token is needed")]
    Token,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Guard {
    pub(crate) fn new(names: &[String], token: Option<Token>) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Self {
            names: names.collect(),
            token,
        }
    }

    /// The token, if one is needed.
    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether a request is meant for this page, and is none of another site's.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn check_site(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = host(uri, headers).ok_or(Refusal::Host)?;
        if !self.is_own(name_of(host)) {
            return Err(Refusal::Host);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next().map(|origin| origin.to_str()), origins.next()) {
            (None, _) => Ok(()),
            (Some(Ok(origin)), None) if is_origin_of(origin, host) => Ok(()),
            _ => Err(Refusal::Origin),
        }
    }

    /// Whether a request has the token, if one is needed.
    ///
    /// # Errors
    /// If it has not.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let text = |header| {
            headers
                .get_all(header)
                .iter()
                .filter_map(|value| value.to_str().ok())
        };
        let bearer = text(AUTHORIZATION).filter_map(|value| {
            let (scheme, value) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then(|| value.trim())
        });
        let cookies = text(COOKIE).flat_map(|value| value.split(';'));
        let cookies = cookies.filter_map(|cookie| {
            let (name, value) = cookie.split_once('=')?;
            (name.trim() == COOKIE_NAME).then(|| value.trim())
        });
        match bearer.chain(cookies).any(|given| token.is(given)) {
            true => Ok(()),
            false => Err(Refusal::Token),
        }
    }

    /// An address cannot be made to resolve to another machine; a name can, unless it is one of ours.
    fn is_own(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let bare = name.strip_suffix('.').unwrap_or(&name);
        let address = bare.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || address.parse::<IpAddr>().is_ok()
            || self.names.iter().any(|own| own == bare)
    }
}

/// The one host that a request names, with its port.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let agrees = uri
        .authority()
        .is_none_or(|authority| authority.as_str() == host);
    (hosts.next().is_none() && agrees).then_some(host)
}

/// A host without its port. Which port does not matter: it may be forwarded from another.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a site is this page: behind a proxy it may be reached through TLS.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let authority = origin
        .strip_prefix("http://")
        .or(origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    const SECRET: &str = "0123456789abcdef";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a value")));
        pairs.collect()
    }

    fn guard() -> Guard {
        let token = Token::parse(SECRET).expect("a token");
        Guard::new(&["Orin".into(), "orin.local".into()], Some(token))
    }

    #[test]
    fn a_foreign_name_is_refused() {
        let check = |host: &str| {
            guard().check_site(&"/".parse().expect("a path"), &headers(&[(HOST, host)]))
        };
        for own in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "127.0.0.1:8080",
            "192.168.1.4",
            "[::1]:8080",
            "[::1]",
            "orin",
            "orin.local:8080",
            "orin.local.:8080",
        ] {
            assert_eq!(check(own), Ok(()), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "orin.evil",
            "",
            ":8080",
            "127.0.0.1.evil",
        ] {
            assert_eq!(check(foreign), Err(Refusal::Host), "{foreign}");
        }
        let none = guard().check_site(&"/".parse().expect("a path"), &HeaderMap::new());
        assert_eq!(none, Err(Refusal::Host));
        let two = headers(&[(HOST, "localhost"), (HOST, "evil.example")]);
        // Collecting replaces: append what a request may have twice.
        let mut both = two;
        both.append(HOST, "localhost".parse().expect("a value"));
        assert_eq!(
            guard().check_site(&"/".parse().expect("a path"), &both),
            Err(Refusal::Host)
        );
        let absolute = "http://evil.example/".parse().expect("an address");
        let found = guard().check_site(&absolute, &headers(&[(HOST, "localhost")]));
        assert_eq!(found, Err(Refusal::Host));
    }

    #[test]
    fn a_foreign_site_is_refused() {
        let check = |origin: &str| {
            let headers = headers(&[(HOST, "orin:8080"), (ORIGIN, origin)]);
            guard().check_site(&"/".parse().expect("a path"), &headers)
        };
        for own in ["http://orin:8080", "https://orin:8080", "http://ORIN:8080"] {
            assert_eq!(check(own), Ok(()), "{own}");
        }
        for foreign in [
            "null",
            "",
            "http://orin",
            "http://orin:8081",
            "http://evil.example",
            "file://orin:8080",
        ] {
            assert_eq!(check(foreign), Err(Refusal::Origin), "{foreign}");
        }
    }

    #[test]
    fn a_token_opens_as_a_header_or_a_cookie() {
        let check = |pairs: &[(HeaderName, &str)]| guard().check_token(&headers(pairs));
        for good in [
            (AUTHORIZATION, format!("Bearer {SECRET}")),
            (AUTHORIZATION, format!("bearer  {SECRET}")),
            (COOKIE, format!("a=b; {COOKIE_NAME}={SECRET}; c=d")),
        ] {
            assert_eq!(check(&[(good.0, &good.1)]), Ok(()), "{}", good.1);
        }
        for bad in [
            (AUTHORIZATION, format!("Basic {SECRET}")),
            (AUTHORIZATION, SECRET.into()),
            (AUTHORIZATION, format!("Bearer {SECRET}0")),
            (AUTHORIZATION, "Bearer ".into()),
            (COOKIE, format!("other={SECRET}")),
        ] {
            assert_eq!(check(&[(bad.0, &bad.1)]), Err(Refusal::Token), "{}", bad.1);
        }
        assert_eq!(check(&[]), Err(Refusal::Token));
        assert_eq!(Guard::new(&[], None).check_token(&HeaderMap::new()), Ok(()));
    }

    #[test]
    fn tokens_that_cannot_travel_or_could_be_guessed_are_refused() {
        assert!(Token::parse(&format!(" {SECRET}\n")).is_ok_and(|token| token.is(SECRET)));
        for bad in [
            "",
            "short",
            "0123456789abcde",
            "0123456789abcde;",
            "0123456789 abcdef",
            "0123456789abcdéf",
        ] {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
        assert!(Token::parse(&"x".repeat(257)).is_err());
    }
}
