//! What can be wrong with a pickle.

use thiserror::Error;

/// Why a pickle is not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::checkpoint::files) enum PickleError {
    /// It names code that is not about tensors.
    #[error("{0}")]
    Global(String),
    /// It ends in the middle.
    #[error("it ends in the middle")]
    End,
    /// An operation that `torch.save` does not write.
    #[error("byte {at}: operation {code:#04x} is not of a file that torch.save writes")]
    Operation {
        /// Where it is.
        at: usize,
        /// Its code.
        code: u8,
    },
    /// Operations that do not fit together.
    #[error("byte {at}: {what}")]
    Misfit {
        /// Where the operation ends.
        at: usize,
        /// What is wrong.
        what: String,
    },
    /// More than any model's pickle.
    #[error("it is larger than the pickle of any model")]
    TooLarge,
}
