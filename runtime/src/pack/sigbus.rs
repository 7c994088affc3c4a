//! Says what a bus error means: that the file under a pack was truncated, or that its disk failed.
//!
//! A signal handler may neither allocate nor lock. So every map is listed beforehand, in fixed memory, with the
//! message that the handler will write.

use std::ffi::{c_int, c_void};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

/// Maps that can be listed at a time. A program maps one pack or two; a map beyond that has no message.
const MAPS: usize = 16;

/// Longest message in bytes.
const MESSAGE: usize = 512;

/// Most bytes of a path in a message: of a longer one, the end.
const PATH: usize = 256;

const EXPLANATION: &str = ": was truncated while in use, or its disk failed\n\
    hint: never write into a pack that is in use; make a new file, and rename it over the old one\n";

/// One map.
struct Entry {
    taken: AtomicBool,
    /// First address; 0 while the rest is not to be read.
    start: AtomicUsize,
    end: AtomicUsize,
    length: AtomicUsize,
    message: [AtomicU8; MESSAGE],
}

static ENTRIES: [Entry; MAPS] = [const { Entry::new() }; MAPS];

impl Entry {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            message: [const { AtomicU8::new(0) }; MESSAGE],
        }
    }

    fn fill(&self, path: &Path, range: &Range<*const u8>) {
        let path = path.as_os_str().as_bytes();
        let path = &path[path.len().saturating_sub(PATH)..];
        let parts = [b"error: ", path, EXPLANATION.as_bytes()];
        let mut length = 0;
        for (to, &byte) in self.message.iter().zip(parts.iter().copied().flatten()) {
            to.store(byte, Ordering::Relaxed);
            length += 1;
        }
        self.length.store(length, Ordering::Relaxed);
        self.end.store(range.end.addr(), Ordering::Relaxed);
        self.start.store(range.start.addr(), Ordering::Release);
    }

    fn holds(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        start != 0 && (start..self.end.load(Ordering::Relaxed)).contains(&address)
    }

    /// Writes the message to standard error.
    fn write(&self) {
        let length = self.length.load(Ordering::Relaxed).min(MESSAGE);
        // SAFETY: `message` is static and has `length` initialized bytes; `write` may be called in a handler.
        unsafe { libc::write(libc::STDERR_FILENO, self.message.as_ptr().cast(), length) };
    }
}

/// A map's place in the list, until it is dropped.
#[derive(Debug)]
pub(super) struct Listed(Option<usize>);

impl Listed {
    /// Lists the map of a file, if there is room.
    pub(super) fn new(path: &Path, range: Range<*const u8>) -> Self {
        let free = |entry: &Entry| !entry.taken.swap(true, Ordering::Acquire);
        let place = ENTRIES.iter().position(free);
        if let Some(place) = place {
            ENTRIES[place].fill(path, &range);
        }
        Self(place)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            ENTRIES[place].start.store(0, Ordering::Relaxed);
            ENTRIES[place].taken.store(false, Ordering::Release);
        }
    }
}

/// What handled the signal before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// From now on, a bus error in a mapped pack writes which file was truncated to standard error. The process then
/// ends by the signal as before, and bus errors anywhere else are handled as before.
///
/// For programs: a library has no business with signals unless its program says so. Linux raises the signal
/// (`SIGBUS`) for an access to a page that the file no longer reaches.
///
/// # Errors
/// The operating system's, which leave everything as it was.
pub fn explain_bus_errors() -> io::Result<()> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| result = install());
    result
}

fn install() -> io::Result<()> {
    // SAFETY: all zeros are a valid `sigaction`: no handler, no flags, an empty mask.
    let (mut previous, mut ours) = unsafe { std::mem::zeroed::<(libc::sigaction, _)>() };
    // SAFETY: asks only; `previous` is a live `sigaction`.
    check(unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut previous) })?;
    // Before the handler that reads it. Nobody else sets it.
    let _ = PREVIOUS.set(previous);
    ours = libc::sigaction {
        sa_sigaction: handle as *const () as usize,
        // On the thread's own signal stack, where it has one: this one may be what overflowed.
        sa_flags: libc::SA_SIGINFO | libc::SA_ONSTACK,
        ..ours
    };
    // SAFETY: `handle` has the signature that SA_SIGINFO asks for, and calls only what a handler may call.
    check(unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, std::ptr::null_mut()) })
}

fn check(result: c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: under SA_SIGINFO the system passes a valid `siginfo_t`.
    let (address, code) = unsafe { ((*info).si_addr().addr(), (*info).si_code) };
    // Positive codes are the system's own: an access, not a signal that somebody sent.
    let entry = ENTRIES.iter().find(|entry| entry.holds(address));
    if let Some(entry) = entry.filter(|_| code > 0) {
        entry.write();
        end_by(signal, code);
        return;
    }
    let Some(previous) = PREVIOUS.get() else {
        return end_by(signal, code);
    };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => end_by(signal, code),
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: installed with SA_SIGINFO, so it is a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: installed without SA_SIGINFO, so it is a function of the signal alone.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

/// Ends the process by the signal once the handler returns: the access is repeated, and what was sent is sent again.
fn end_by(signal: c_int, code: c_int) {
    // SAFETY: both may be called in a handler; the signal is blocked until it returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        if code <= 0 {
            libc::raise(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: &Entry) -> String {
        let length = entry.length.load(Ordering::Relaxed);
        let bytes = entry.message[..length].iter();
        let bytes: Vec<u8> = bytes.map(|byte| byte.load(Ordering::Relaxed)).collect();
        String::from_utf8(bytes).expect("the path is text")
    }

    #[test]
    fn an_entry_names_its_file_for_addresses_of_its_map() {
        let bytes = [0u8; 64];
        let entry = Entry::new();
        let start = bytes.as_ptr().addr();
        assert!(!entry.holds(start));
        entry.fill(Path::new("folder/m.mvit"), &bytes.as_ptr_range());
        assert!(entry.holds(start) && entry.holds(start + 63));
        assert!(!entry.holds(start - 1) && !entry.holds(start + 64));
        assert!(text(&entry).starts_with("error: folder/m.mvit: was truncated"));
        let long = "x".repeat(5000) + "/m.mvit";
        entry.fill(Path::new(&long), &bytes.as_ptr_range());
        assert!(text(&entry).contains("/m.mvit: was truncated"));
        assert!(text(&entry).ends_with("old one\n"));
    }
}
