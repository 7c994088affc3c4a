//! A page to watch a run on: another process, which reads the run's socket and serves HTTP. What it does, or what is
//! done to it, does not slow the run.
//!
//! | what | where |
//! |---|---|
//! | connections and their limits | `server` |
//! | addresses and what they give | `routes`, `events`, `metrics`, `picture`, `assets` |
//! | who may look | `guard` |
//! | the run on one side, pages on the other | `hub` |
//! | what is known of the run | `live`, `recent`, `totals` |

mod assets;
mod events;
mod guard;
mod hub;
mod live;
mod metrics;
mod picture;
mod recent;
mod routes;
mod server;
mod totals;

#[cfg(test)]
mod tests;

pub(crate) use guard::{Guard, Token};

use hub::Hub;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Serves the page of the run whose socket is at `socket`, for ever. `ready` hears the address once it can be reached.
///
/// # Errors
/// If it cannot listen.
pub(crate) fn serve(
    socket: &Path,
    address: SocketAddr,
    guard: Guard,
    ready: impl FnOnce(SocketAddr),
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let listener = server::bind(address).await?;
        let hub = Arc::new(Hub::new(socket));
        let follower = Arc::clone(&hub);
        thread::Builder::new()
            .name("link".into())
            .spawn(move || follower.follow())?;
        ready(listener.local_addr()?);
        let router = routes::router(Arc::clone(&hub), guard);
        tokio::spawn(async move { hub.tell_status().await });
        server::serve(listener, router, server::Limits::default()).await;
        Ok(())
    })
}
