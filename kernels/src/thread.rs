//! Threads that run when whoever starts them goes on; where a user decides their number, too many are an error, not the
//! end of the process.

use memmap2::MmapMut;
use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

/// Bytes of address space that a thread may take while it starts: two megabytes for its stack, a heap of its own (glibc
/// maps 64 MB at its first allocation, at first twice as much where it can), and one megabyte for the rest.
const START: usize = (2 + 64 + 1) << 20;

/// Starts a thread that does `work`, and returns once it does: a thread allocates before.
///
/// # Errors
/// The operating system's: a limit on processes, tasks or memory.
pub fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let (started, starts) = mpsc::sync_channel(1);
    let thread = Builder::new().name(name).spawn(move || {
        // The channel has room, so this waits for nobody.
        let _ = started.send(());
        drop(started);
        work();
    })?;
    let _ = starts.recv();
    Ok(thread)
}

/// [`spawn`], but only where there is memory for all of the thread's start: for threads that are started one after the
/// other until there may be none left.
///
/// A thread that is refused memory before it gets to its work does not fail: the standard library and glibc abort the
/// process. A single one does with less, so this would refuse it too early.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_if_room(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    drop(MmapMut::map_anon(START)?);
    spawn(name, work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_thread_works_under_its_name() {
        let (send, receive) = mpsc::channel();
        let work = move || {
            let name = thread::current().name().map(String::from);
            send.send(name).unwrap();
        };
        spawn_if_room("worker".into(), work)
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(receive.recv(), Ok(Some("worker".into())));
    }

    #[test]
    fn what_it_does_is_not_waited_for() {
        let (send, receive) = mpsc::channel::<()>();
        let thread = spawn_if_room("worker".into(), move || receive.recv().unwrap()).unwrap();
        send.send(()).unwrap();
        thread.join().unwrap();
    }
}
