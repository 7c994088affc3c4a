//! The allocator that can be sealed: proof, at run time, that the live loop does not allocate.
//!
//! [`SealedAllocator`] is the program's global allocator and wraps the system's. While a [`Seal`] lives, an
//! allocation on any thread aborts the process with a backtrace on stderr. Two kinds of threads may allocate
//! nevertheless: those inside [`exempt`], for image decoders and for reopening a camera, and the one that
//! waits for signals. Freeing is always allowed.
//!
//! Without a seal, an allocation costs one relaxed load more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The system's allocator, behind the seal.
#[derive(Debug)]
pub struct SealedAllocator;

/// The thread on which the `ctrlc` crate waits for signals. It is not part of the loop, and it allocates when
/// it starts, which may be after the loop does.
const SIGNALS: &str = "ctrl-c";

static SEALED: AtomicBool = AtomicBool::new(false);

thread_local! {
    // Constant and without a destructor: reading it neither allocates nor fails, at any time.
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, allocations abort the process.
#[derive(Debug)]
pub(crate) struct Seal(());

/// Seals the allocator of the whole process.
pub(crate) fn seal() -> Seal {
    SEALED.store(true, Ordering::SeqCst);
    Seal(())
}

impl Drop for Seal {
    fn drop(&mut self) {
        SEALED.store(false, Ordering::SeqCst);
    }
}

/// Runs `work`, which may allocate on this thread even under the seal.
pub(crate) fn exempt<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            EXEMPT.set(self.0);
        }
    }
    let _restore = Restore(EXEMPT.replace(true));
    work()
}

#[inline]
fn check(bytes: usize) {
    if SEALED.load(Ordering::Relaxed) {
        check_thread(bytes);
    }
}

#[cold]
#[inline(never)]
fn check_thread(bytes: usize) {
    // A panic reports itself, and needs memory to do so.
    if EXEMPT.get() || std::thread::panicking() {
        return;
    }
    EXEMPT.set(true);
    let thread = std::thread::current();
    if thread.name() == Some(SIGNALS) {
        return;
    }
    let backtrace = Backtrace::force_capture();
    let name = thread.name().unwrap_or("unnamed");
    let mut text = Vec::new();
    // Writing to a vector cannot fail. Writing to a closed stderr can, and then there is nobody to tell.
    let _ = writeln!(
        text,
        "mergevit: allocation of {bytes} bytes while the allocator is sealed, on thread {name}:\n\
         {backtrace}hint: this is a bug in mergevit; --no-seal runs without the check"
    );
    let _ = std::io::stderr().write_all(&text);
    std::process::abort();
}

// SAFETY: every call is passed on unchanged to `System`, which upholds the contract; `check` either returns
// or ends the process, does not unwind, and allocates only after it has exempted its own thread.
unsafe impl GlobalAlloc for SealedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller upholds what `System` requires of `layout`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: `old` came from this allocator, which is `System`, with `layout`.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}
