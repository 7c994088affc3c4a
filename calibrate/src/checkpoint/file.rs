//! What families call the tensors that they read.

pub(super) use super::files::{TensorSet as TensorFile, check_finite};
