//! The allocator that can be sealed: proof, at run time, that the live loop does not allocate.
//!
//! [`SealedAllocator`] is the program's global allocator and wraps the system's. While a [`Seal`] lives, an
//! allocation on any thread aborts the process with a backtrace on stderr. Threads inside [`exempt`] may allocate
//! nevertheless: for image files, say, for reopening a camera, or because they wait for signals or serve clients. A
//! thread with [`Scratch`] memory allocates from that, and from nowhere else. Freeing is always allowed.
//!
//! A thread allocates while it starts, before anything that it is told to do: [`starting_threads`] exempts those that
//! start, and [`begun`] ends that.
//!
//! Without a seal, an allocation costs two relaxed loads more, and one a look at the blocks of scratch memory.

mod scratch;

pub(crate) use scratch::{Overflow, Scratch};

use mergevit_kernels::thread;
use scratch::Served;
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// The system's allocator, behind the seal.
#[derive(Debug)]
pub struct SealedAllocator;

static SEALED: AtomicBool = AtomicBool::new(false);

/// How many [`starting_threads`] run now.
static STARTING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Constant and without a destructor: reading them neither allocates nor fails, at any time.
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
    static BEGUN: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, allocations abort the process.
#[derive(Debug)]
pub(crate) struct Seal(());

/// Seals the allocator of the whole process.
pub(crate) fn seal() -> Seal {
    begun();
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

/// Says that this thread is not starting any more, so that others' [`starting_threads`] do not exempt it.
pub(crate) fn begun() {
    BEGUN.set(true);
}

/// Runs `work`, which may allocate and start threads even under the seal; it must wait until they run what they are for.
/// Meanwhile all threads may allocate that have not [`begun`].
pub(crate) fn starting_threads<R>(work: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            STARTING.fetch_sub(1, Ordering::SeqCst);
        }
    }
    STARTING.fetch_add(1, Ordering::SeqCst);
    let _restore = Restore;
    exempt(work)
}

/// Starts a thread that may allocate even under the seal. Returns once it runs `work`.
///
/// # Errors
/// The thread was refused.
pub(crate) fn spawn_exempt(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    starting_threads(|| thread::spawn(name.into(), || exempt(work)))
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
    let starts = !BEGUN.get() && STARTING.load(Ordering::SeqCst) > 0;
    // A panic reports itself, and needs memory to do so.
    if EXEMPT.get() || starts || std::thread::panicking() {
        return;
    }
    EXEMPT.set(true);
    let thread = std::thread::current();
    let backtrace = Backtrace::force_capture();
    let name = thread.name().unwrap_or("unnamed");
    let mut text = Vec::new();
    // Writing to a vector cannot fail. Writing to a closed stderr can, and then there is nobody to tell.
    let _ = writeln!(
        text,
        "mergevit: allocation of {bytes} bytes while the allocator is sealed, on thread {name}:\n\
         {backtrace}hint: this is a bug in mergevit; --no-seal runs without the check"
    );
    let _ = io::stderr().write_all(&text);
    std::process::abort();
}

/// Serves an allocation: from the thread's scratch memory, or from `system` if the seal allows it.
#[inline]
fn serve(layout: Layout, system: impl FnOnce() -> *mut u8) -> *mut u8 {
    match scratch::allocate(layout) {
        Served::Here(address) => address.as_ptr(),
        Served::Full => system(),
        Served::Elsewhere => {
            check(layout.size());
            system()
        }
    }
}

// SAFETY: a call is passed on unchanged to `System`, which upholds the contract, or served from a block of scratch
// memory. That gives addresses that are aligned, inside the block, and in no other allocation that lives, and the
// block lasts as long as the process. What came from a block is recognized by its address and never given to `System`.
// `check` either returns or ends the process, does not unwind, and allocates only after it has exempted its own thread.
unsafe impl GlobalAlloc for SealedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds what `System` requires of `layout`.
        serve(layout, || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if scratch::is_active() {
            // SAFETY: as above.
            let new = unsafe { self.alloc(layout) };
            if !new.is_null() {
                // SAFETY: `new` was just allocated with `layout.size()` bytes, and nobody else knows it.
                unsafe { new.write_bytes(0, layout.size()) };
            }
            return new;
        }
        check(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !scratch::is_active() && !scratch::holds(old) {
            check(size);
            // SAFETY: `old` came from this allocator and from no block, so from `System`, with `layout`.
            return unsafe { System.realloc(old, layout, size) };
        }
        // SAFETY: the caller guarantees that `size`, rounded up to the alignment, does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is not zero, which the caller guarantees.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            let kept = layout.size().min(size);
            // SAFETY: both have at least `kept` bytes, and an allocation overlaps no other that lives, as `old` does.
            unsafe { std::ptr::copy_nonoverlapping(old, new, kept) };
            // SAFETY: `old` came from this allocator with `layout`, and is not used any more.
            unsafe { self.dealloc(old, layout) };
        }
        new
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        if !scratch::free(old, layout.size()) {
            // SAFETY: `old` came from this allocator and from no block, so from `System`, with `layout`.
            unsafe { System.dealloc(old, layout) }
        }
    }
}
