//! How the loop tells a capture thread that it wants a frame.
//!
//! A camera's frames are copied or decoded only once the loop asks: what nobody looks at costs nothing, and what is
//! looked at is the newest.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "camera")]
use std::{
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
};

/// One request for a frame, which wakes the thread that waits for a camera and for it at the same time.
#[derive(Debug)]
pub(crate) struct Demand {
    raised: AtomicBool,
    /// Whether the next frame is wanted as soon as the one before is taken, because making it takes long.
    ahead: AtomicBool,
    sender: UnixStream,
    #[cfg_attr(
        not(feature = "camera"),
        expect(dead_code, reason = "only cameras wait for it")
    )]
    receiver: UnixStream,
}

impl Demand {
    /// Nothing is wanted yet.
    ///
    /// # Errors
    /// Where the process has too many open files.
    #[cfg(feature = "camera")]
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(Self {
            raised: AtomicBool::new(false),
            ahead: AtomicBool::new(false),
            sender,
            receiver,
        })
    }

    /// Asks for a frame. Callable from any thread.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            // A full buffer wakes the other side as well.
            let _ = (&self.sender).write(&[1]);
        }
    }

    /// A frame was taken by the loop.
    pub(super) fn taken(&self) {
        if self.ahead.load(Ordering::Relaxed) {
            self.raise();
        }
    }
}

#[cfg(feature = "camera")]
impl Demand {
    /// Whether a frame was asked for since this was called last.
    pub(crate) fn take(&self) -> bool {
        let mut bytes = [0; 16];
        while matches!((&self.receiver).read(&mut bytes), Ok(16)) {}
        self.raised.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn set_ahead(&self, ahead: bool) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// Readable once a frame is asked for.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

#[cfg(all(test, feature = "camera"))]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn readable(demand: &Demand) -> bool {
        let descriptor = demand.descriptor();
        let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).expect("a descriptor that is open") == 1
    }

    #[test]
    fn a_request_wakes_until_it_is_answered() {
        let demand = Demand::new().expect("two sockets");
        assert!(!readable(&demand) && !demand.take());
        for _ in 0..3 {
            demand.raise();
            demand.raise();
            assert!(readable(&demand) && demand.take());
            assert!(!readable(&demand) && !demand.take());
        }
        demand.taken();
        assert!(!demand.take());
        demand.set_ahead(true);
        demand.taken();
        assert!(readable(&demand) && demand.take());
    }
}
