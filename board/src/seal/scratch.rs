//! Scratch memory: a block reserved once, from which one thread's allocations are served while it works for a frame.
//!
//! Allocation moves a mark up the block; when the work is done, the mark goes back, and the next frame uses the same
//! bytes. What a decoder allocates for a frame then comes from no system, takes no lock, and cannot grow.
//!
//! Nothing that is still in use is overwritten: the mark goes back only below what the thread has freed again itself.
//! Any thread may free the rest, later, since a block is known by its addresses and lasts as long as the process; when
//! nothing lives in it any more, the whole of it is free.

use mergevit_kernels::memory::{self, OutOfMemory};
use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use thiserror::Error;

/// Most blocks of a process: one for each source that decodes at a time, in each size.
const BLOCKS: usize = 64;

/// What is known of a block on all threads.
struct Block {
    start: AtomicPtr<u8>,
    /// In bytes. Zero until the block is in use, and written after `start`.
    length: AtomicUsize,
    /// Allocations that were not freed yet.
    live: AtomicUsize,
    /// A [`Scratch`] has it.
    taken: AtomicBool,
}

static RESERVED: AtomicUsize = AtomicUsize::new(0);
static TABLE: [Block; BLOCKS] = [const {
    Block {
        start: AtomicPtr::new(ptr::null_mut()),
        length: AtomicUsize::new(0),
        live: AtomicUsize::new(0),
        taken: AtomicBool::new(true),
    }
}; BLOCKS];

impl Block {
    /// Takes the block, if nobody has it, nothing lives in it, and it has so many bytes.
    fn take(&self, bytes: usize) -> bool {
        self.length.load(Ordering::Acquire) == bytes
            && self.live.load(Ordering::Acquire) == 0
            && !self.taken.swap(true, Ordering::AcqRel)
    }

    /// Offset of an address in the block, if it is in there.
    fn offset(&self, address: *mut u8) -> Option<usize> {
        let length = self.length.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Relaxed);
        let offset = address.addr().checked_sub(start.addr())?;
        (offset < length).then_some(offset)
    }
}

/// The block that holds an address.
fn holder(address: *mut u8) -> Option<&'static Block> {
    let count = RESERVED.load(Ordering::Acquire).min(BLOCKS);
    TABLE[..count]
        .iter()
        .find(|block| block.offset(address).is_some())
}

/// Where a thread's allocations come from.
#[derive(Clone, Copy)]
struct Active {
    block: &'static Block,
    /// Where the work began: below live only what it did not allocate.
    base: usize,
    /// Bytes of the block in use.
    mark: usize,
    /// What the work has allocated and this thread has not freed.
    alive: usize,
    /// Bytes that did not fit.
    lacking: usize,
}

thread_local! {
    // Constant and without a destructor: reading it neither allocates nor fails, at any time.
    static ACTIVE: Cell<Option<Active>> = const { Cell::new(None) };
}

/// How an allocation was served.
pub(super) enum Served {
    /// From the thread's block.
    Here(NonNull<u8>),
    /// The block is full. The system serves it, and [`Scratch::run`] reports it.
    Full,
    /// The thread has no block.
    Elsewhere,
}

/// Serves an allocation from this thread's block.
pub(super) fn allocate(layout: Layout) -> Served {
    let Some(mut active) = ACTIVE.get() else {
        return Served::Elsewhere;
    };
    // What a panic allocates to report itself, the standard library keeps for the next.
    if std::thread::panicking() {
        return Served::Elsewhere;
    }
    let start = active.block.start.load(Ordering::Relaxed);
    let length = active.block.length.load(Ordering::Relaxed);
    // A block starts at an address for any alignment up to its own.
    let end = active
        .mark
        .checked_next_multiple_of(layout.align())
        .and_then(|offset| offset.checked_add(layout.size()))
        .filter(|&end| end <= length && layout.align() <= ALIGNMENT);
    let Some(end) = end else {
        active.lacking = active.lacking.saturating_add(layout.size());
        ACTIVE.set(Some(active));
        return Served::Full;
    };
    active.mark = end;
    active.alive += 1;
    active.block.live.fetch_add(1, Ordering::Relaxed);
    ACTIVE.set(Some(active));
    match NonNull::new(start.wrapping_add(end - layout.size())) {
        Some(address) => Served::Here(address),
        None => Served::Elsewhere,
    }
}

/// Frees what came from a block. `false` if it came from none.
pub(super) fn free(address: *mut u8, size: usize) -> bool {
    let Some(block) = holder(address) else {
        return false;
    };
    block.live.fetch_sub(1, Ordering::Release);
    if let Some(mut active) = ACTIVE.get()
        && ptr::eq(active.block, block)
        && let Some(offset) = block.offset(address)
        && offset >= active.base
    {
        active.alive -= 1;
        // What was allocated last makes room for the next.
        if offset + size == active.mark {
            active.mark = offset;
        }
        ACTIVE.set(Some(active));
    }
    true
}

/// Whether this thread allocates from a block.
pub(super) fn is_active() -> bool {
    ACTIVE.get().is_some()
}

/// Whether an address is in a block.
pub(super) fn holds(address: *mut u8) -> bool {
    holder(address).is_some()
}

/// Alignment of a block, and the largest that it serves.
const ALIGNMENT: usize = 4096;

/// Work needed more memory than its scratch block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it needs {lacking} bytes more than the {reserved} that are reserved for decoding")]
pub(crate) struct Overflow {
    reserved: usize,
    lacking: usize,
}

/// A block of scratch memory.
pub(crate) struct Scratch {
    block: &'static Block,
    /// Bytes below which something lives that outlasted the work that made it.
    base: usize,
}

impl Scratch {
    /// Takes a block of at least so many bytes, one that another has left or a new one. Blocks last as long as the
    /// process; of a new one, memory is taken only where it is used.
    ///
    /// # Errors
    /// [`OutOfMemory`]; a process has at most 64 blocks.
    pub(crate) fn new(bytes: usize) -> Result<Self, OutOfMemory> {
        let what = "decoding";
        // Powers of two fit again.
        let bytes = bytes.next_power_of_two();
        let count = RESERVED.load(Ordering::Acquire).min(BLOCKS);
        if let Some(block) = TABLE[..count].iter().find(|block| block.take(bytes)) {
            return Ok(Self { block, base: 0 });
        }
        let memory = Box::leak(memory::zeroed(bytes.saturating_add(ALIGNMENT), what)?);
        let unaligned: *mut u8 = memory.as_mut_ptr();
        let start = unaligned.wrapping_add(unaligned.align_offset(ALIGNMENT));
        let number = RESERVED.fetch_add(1, Ordering::AcqRel);
        let block = TABLE.get(number).ok_or(OutOfMemory { bytes, what })?;
        block.start.store(start, Ordering::Relaxed);
        block.length.store(bytes, Ordering::Release);
        Ok(Self { block, base: 0 })
    }

    /// Runs work whose allocations on this thread come from the block.
    ///
    /// # Errors
    /// [`Overflow`] if the block was too small. Then the system served the rest: the work is done, but its result is
    /// dropped, since the next of this size would do the same.
    pub(crate) fn run<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, Overflow> {
        let run = Run {
            outer: ACTIVE.replace(Some(Active {
                block: self.block,
                base: self.base,
                mark: self.base,
                alive: 0,
                lacking: 0,
            })),
            scratch: self,
        };
        let result = work();
        let lacking = ACTIVE.get().map_or(0, |active| active.lacking);
        let reserved = run.scratch.block.length.load(Ordering::Relaxed);
        drop(run);
        match lacking {
            0 => Ok(result),
            _ => Err(Overflow { reserved, lacking }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.block.taken.store(false, Ordering::Release);
    }
}

/// A block in use, by whose end it is free for the next work, also where that ended in a panic.
struct Run<'a> {
    scratch: &'a mut Scratch,
    outer: Option<Active>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let Some(active) = ACTIVE.replace(self.outer) else {
            return;
        };
        if self.scratch.block.live.load(Ordering::Acquire) == 0 {
            self.scratch.base = 0;
        } else if active.alive > 0 {
            self.scratch.base = active.mark;
        }
    }
}
