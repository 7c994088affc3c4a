//! What several test programs share.

pub(crate) mod interpreter;
pub(crate) mod recorder;
pub(crate) mod resample;
