//! Threads whose number a user decides: too many are an error, not the end of the process.

use memmap2::MmapMut;
use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

/// Bytes of address space that a thread may take while it starts: two megabytes for its stack, a heap of its own (glibc
/// maps 64 MB at its first allocation, at first twice as much where it can), and one megabyte for the rest.
const START: usize = (2 + 64 + 1) << 20;

/// Starts a thread that does `work`, and returns once it does. Several are started one after the other.
///
/// A thread that is refused memory before it gets to its work does not fail: the standard library and glibc abort the
/// process. Therefore one starts only where there is memory for all of its start, and this thread takes none of it
/// meanwhile.
///
/// # Errors
/// The operating system's: a limit on processes, tasks or memory.
pub fn start(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    drop(MmapMut::map_anon(START)?);
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
        start("worker".into(), work).unwrap().join().unwrap();
        assert_eq!(receive.recv(), Ok(Some("worker".into())));
    }

    #[test]
    fn what_it_does_is_not_waited_for() {
        let (send, receive) = mpsc::channel::<()>();
        let thread = start("worker".into(), move || receive.recv().unwrap()).unwrap();
        send.send(()).unwrap();
        thread.join().unwrap();
    }
}
