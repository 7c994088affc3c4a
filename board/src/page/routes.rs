//! Which address gives what.

use super::guard::{Guard, Refusal};
use super::hub::{Event, Hub, ScheduleError, Viewer};
use super::{assets, metrics};
use crate::link::SendError;
use crate::wire::Command;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::unfold;
use serde::Deserialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Most bytes of a request's body.
const MAX_BODY: usize = 1024;

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a snapshot waits for a picture.
const PICTURE: Duration = Duration::from_secs(5);

/// How long a wrong token is thought about.
const WRONG_TOKEN: Duration = Duration::from_millis(500);

/// On every answer. The page's own files alone may do anything, and no other page may show or read them.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (CACHE_CONTROL, "no-store"),
];

/// What all answers need.
#[derive(Clone)]
struct App {
    hub: Arc<Hub>,
    guard: Arc<Guard>,
}

/// The page. What is public says nothing of the run.
pub(super) fn router(hub: Arc<Hub>, guard: Guard) -> Router {
    let app = App {
        hub,
        guard: Arc::new(guard),
    };
    let secret = Router::new()
        .route("/", get(|| async { assets::page() }))
        .route("/events", get(events))
        .route("/metrics", get(metrics_text))
        .route("/snapshot.jpg", get(snapshot))
        .route("/api/schedule", post(schedule))
        .layer(from_fn_with_state(app.clone(), ask_for_token));
    let public = Router::new()
        .route("/healthz", get(health))
        .route("/api/login", post(login))
        .route("/assets/{name}", get(assets::file));
    secret
        .merge(public)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), check_site))
        .with_state(app)
}

/// Around everything.
async fn check_site(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match app.guard.check_site(request.uri(), request.headers()) {
        Err(refusal) => refused(refusal),
        Ok(()) => match tokio::time::timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::REQUEST_TIMEOUT, "too slow\n").into_response(),
        },
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Around what says something of the run.
async fn ask_for_token(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.guard.check_token(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) if request.uri().path() == "/" => {
            (refusal.status(), assets::login()).into_response()
        }
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    let mut response = (refusal.status(), format!("{refusal}\n")).into_response();
    if refusal == Refusal::Token {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

async fn health(State(app): State<App>) -> impl IntoResponse {
    match app.hub.is_here() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the run is away\n"),
    }
}

async fn metrics_text(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], app.hub.metrics())
}

/// Server-sent events, until the page is closed.
async fn events(State(app): State<App>) -> Response {
    // Before the run is told: its answer may be fast.
    let (present, receiver) = app.hub.subscribe();
    let Some(viewer) = Viewer::new(&app.hub) else {
        return busy();
    };
    let stream = EventStream {
        hub: Arc::clone(&app.hub),
        waiting: present.into(),
        receiver,
        _viewer: viewer,
    };
    let body = Body::from_stream(unfold(stream, |mut stream| async {
        let text = stream.next().await?;
        Some((Ok::<_, std::convert::Infallible>(text), stream))
    }));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Too many look.
fn busy() -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    (status, [(RETRY_AFTER, "10")], "too many pages are open\n").into_response()
}

/// What one page hears.
struct EventStream {
    hub: Arc<Hub>,
    waiting: VecDeque<Bytes>,
    receiver: Receiver<Event>,
    _viewer: Viewer,
}

impl EventStream {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(text) = self.waiting.pop_front() {
                return Some(text);
            }
            match self.receiver.recv().await {
                Ok(event) => return Some(event.text),
                // A page that cannot follow is shown the present again.
                Err(RecvError::Lagged(_)) => {
                    let (present, receiver) = self.hub.subscribe();
                    self.waiting = present.into();
                    self.receiver = receiver;
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotQuery {
    /// One of the sources; any by default.
    source: Option<String>,
    /// `merged` for the merged tokens.
    draw: Option<Draw>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Draw {
    Merged,
}

/// The present picture. It waits for one, since the run sends none while nobody looks.
async fn snapshot(State(app): State<App>, Query(query): Query<SnapshotQuery>) -> Response {
    // Before the run is told: its answer may be fast.
    let (_, mut receiver) = app.hub.subscribe();
    let Some(_viewer) = Viewer::new(&app.hub) else {
        return busy();
    };
    let source = query.source.as_deref();
    let waiting = async {
        loop {
            if let Some(picture) = app.hub.picture(source) {
                return Some(picture);
            }
            loop {
                match receiver.recv().await {
                    Ok(Event {
                        picture_of: Some(_),
                        ..
                    })
                    | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    };
    let picture = tokio::time::timeout(PICTURE, waiting).await.ok().flatten();
    let jpeg = picture.and_then(|picture| match query.draw {
        Some(Draw::Merged) => picture.merged(),
        None => Some(picture.jpeg),
    });
    match jpeg {
        Some(jpeg) => ([(CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no picture comes\n").into_response(),
    }
}

/// `{"schedule":"r16"}` holds it, `{"schedule":null}` gives it back to the governor.
async fn schedule(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_json(&headers) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "expected application/json\n",
        )
            .into_response();
    }
    let Ok(Command::Schedule(schedule)) = serde_json::from_slice(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            "expected {\"schedule\":NAME or null}\n",
        )
            .into_response();
    };
    match app.hub.hold(schedule) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            let status = match &error {
                ScheduleError::Unknown(_) | ScheduleError::Send(SendError::Command(_)) => {
                    StatusCode::BAD_REQUEST
                }
                ScheduleError::Send(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

/// `{"token":"…"}` gives the cookie that opens the page.
async fn login(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(token) = app.guard.token() else {
        return (StatusCode::NOT_FOUND, "no token is needed\n").into_response();
    };
    let login: Option<Login> = is_json(&headers)
        .then(|| serde_json::from_slice(&body).ok())
        .flatten();
    if login.is_some_and(|login| token.is(login.token.trim())) {
        return (StatusCode::NO_CONTENT, [(SET_COOKIE, token.cookie())]).into_response();
    }
    tokio::time::sleep(WRONG_TOKEN).await;
    refused(Refusal::Token)
}

/// Whether a body says that it is JSON: a form of another site could not, without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}
