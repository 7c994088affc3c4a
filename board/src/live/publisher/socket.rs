//! A Unix socket whose clients read what standard output gets, and ask for things.

use super::client;
use super::greeting::Greeting;
use super::shared::Shared;
use crate::failure::Failure;
use crate::seal;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::Duration;

/// Most clients at a time. More wait until one goes.
const CLIENTS: usize = 8;

/// Who may connect: the owner and the group.
const MODE: u32 = 0o660;

/// How long to wait after a connection that could not be taken, for want of descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that listens. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Listens at `path`. A socket there that nobody serves any more is replaced.
    ///
    /// # Errors
    /// Another run serves it, something else lies there, or the system refuses.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        let failure = |reason: &dyn std::fmt::Display| {
            Failure::work(&format_args!("{}: {reason}", path.display()))
        };
        let cannot = |error: io::Error| failure(&format_args!("cannot listen there: {error}"));
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(failure(&"it is there, and no socket"));
            }
            match UnixStream::connect(path) {
                Ok(_) => return Err(failure(&"another run serves this socket")),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(cannot)?;
                }
                Err(error) => return Err(cannot(error)),
            }
        }
        let listener = UnixListener::bind(path).map_err(cannot)?;
        let socket = Self {
            path: path.into(),
            listener,
        };
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(cannot)?;
        Ok(socket)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts threads that serve clients, one each, and returns them once they are about to wait.
    pub(super) fn serve(
        &self,
        shared: &Arc<Shared>,
        greeting: &Arc<Greeting>,
    ) -> io::Result<Vec<Thread>> {
        let mut threads = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            let listener = self.listener.try_clone()?;
            let (shared, greeting) = (Arc::clone(shared), Arc::clone(greeting));
            let serve = move || accept(&listener, &shared, &greeting);
            let handle = seal::spawn_exempt("client", serve)?;
            threads.push(handle.thread().clone());
        }
        Ok(threads)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Serves one client after the other.
fn accept(listener: &UnixListener, shared: &Arc<Shared>, greeting: &Greeting) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                shared.clients.fetch_add(1, Ordering::AcqRel);
                let served = client::serve(stream, shared, greeting);
                shared.clients.fetch_sub(1, Ordering::AcqRel);
                shared.control.wake();
                if let Err(reason) = served {
                    log::info!("a client of the socket is gone: {reason}");
                }
            }
            Err(error) => {
                log::warn!("a client of the socket cannot be taken: {error}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}
