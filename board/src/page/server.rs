//! Connections: how many there may be, and how slow.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once. Further ones wait.
    pub(super) connections: usize,
    /// Bytes of a request's head.
    pub(super) head_bytes: usize,
    pub(super) headers: usize,
    /// How long a request's head may take, and how long a connection may wait for the next.
    pub(super) head: Duration,
    /// How long a client may not read what is written to it.
    pub(super) write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 16 << 10,
            headers: 64,
            head: Duration::from_secs(10),
            write: Duration::from_secs(15),
        }
    }
}

/// Where connections fail, nothing helps but to wait for some to end.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers requests, for ever.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(answer(stream, router, limits, permit));
            }
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the requests of a connection.
async fn answer(stream: TcpStream, router: Router, limits: Limits, permit: OwnedSemaphorePermit) {
    // Pictures are to arrive when they are made.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let answered = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .serve_connection(
            TokioIo::new(Box::pin(stream)),
            TowerToHyperService::new(router),
        )
        .await;
    if let Err(error) = answered {
        log::debug!("a connection ended: {error}");
    }
    drop(permit);
}

/// Listens on an address.
///
/// # Errors
/// If it is in use, or not of this machine.
pub(super) async fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}
