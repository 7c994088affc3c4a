//! Slices that several threads write at once, each its own part.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice lent to the tasks of one parallel step.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedMut<'a, T> {
    start: *mut T,
    len: usize,
    lent: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` in parts; who takes a part vouches that nobody else has it.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            lent: PhantomData,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The part `range` of the slice; out of range panics.
    ///
    /// # Safety
    /// While the part is in use nobody else uses an overlapping one.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub(super) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in range of the slice this was made from, which is lent for 'a; not aliased, says the
        // caller.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
