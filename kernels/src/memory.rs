//! Memory whose amount a model, a batch or a frame decides: too much of it is an error, not the end of the process.
//!
//! Linux grants more than it has. What it refuses is what exceeds a limit (`ulimit -v`), the address space, or under
//! strict accounting the machine; a process that merely fills the machine is killed later, while it runs.

use bytemuck::Zeroable;
use thiserror::Error;

/// Memory that the operating system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cannot reserve {bytes} bytes of memory for {what}")]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub bytes: usize,
    /// What they were for.
    pub what: &'static str,
}

/// `len` zeros. Pages that nothing was written to yet take no memory.
///
/// # Errors
/// [`OutOfMemory`], with `what` the memory was for.
pub fn zeroed<T: Zeroable>(len: usize, what: &'static str) -> Result<Box<[T]>, OutOfMemory> {
    bytemuck::allocation::try_zeroed_slice_box(len).map_err(|()| OutOfMemory {
        bytes: len.saturating_mul(size_of::<T>()),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_an_error() {
        assert_eq!(*zeroed::<u32>(3, "a test").expect("twelve bytes"), [0; 3]);
        assert!(zeroed::<u32>(0, "a test").expect("nothing").is_empty());
        let error = zeroed::<u32>(usize::MAX / 8, "a test").expect_err("half of all addresses");
        let bytes = usize::MAX / 8 * 4;
        assert_eq!(
            error,
            OutOfMemory {
                bytes,
                what: "a test"
            }
        );
        let text = format!("cannot reserve {bytes} bytes of memory for a test");
        assert_eq!(error.to_string(), text);
        assert!(zeroed::<u32>(usize::MAX, "a test").is_err());
    }
}
