//! Reading pickles that hold tensors.
//!
//! A pickle is a program for a machine with a stack, a memo and a way to call anything. This machine calls nothing: a
//! name stands for one of the few meanings that `global` lists, and any other ends the reading with that name. A
//! "call" of `torch._utils._rebuild_tensor_v2` notes which part of a storage a tensor is, and that is all. The work and
//! the memory are in proportion to the pickle's length, which is limited; nothing recurs.
//!
//! The operations are those of `Lib/pickletools.py` in Python that protocols 2 to 5 write; `torch/serialization.py`
//! and `torch/_utils.py` in PyTorch say which names and arguments there are.

mod call;
mod error;
mod global;
mod machine;
mod object;
mod opcode;
mod reader;

pub(super) use error::PickleError;
pub(super) use machine::load;
pub(super) use object::{Heap, Id, Object, Tensor};
