//! The CUDA kernels: their compiled images, and what it takes to launch them. Nothing here needs a GPU.
//!
//! A [`Launch`] is plain data: which kernel, how many blocks of how many threads, how much shared memory, and
//! the bytes of its one parameter. The functions of this module make launches from shapes and device
//! addresses; NVIDIA's [`driver`] executes them on a device, and the tests' emulator executes the same ones on
//! the processor.
//!
//! | kernel | operation |
//! |---|---|
//! | `resample_columns`, `resample_rows` | [`preprocess`]: a camera frame to pixels or patches |
//! | `patchify` | [`head`]: pixels to patches |
//! | `gemm_*_embed` | [`gemm`]: patch embedding, class token, token sizes |
//! | `layer_norm` | layer norm, quantized |
//! | `gemm_*_requantize`, `gemm_*_gelu`, `gemm_*_residual` | [`gemm`]: linear layers |
//! | `attention` | attention |
//! | `merge_match`, `merge_norm` | [`merge`]: which tokens merge; merging with the layer norm that follows |
//! | `pool_norm`, `head`, `top_classes` | [`head`]: pooling with the last layer norm, classifier, best classes |

mod attention;
mod device;
pub mod driver;
pub mod gemm;
pub mod head;
mod images;
mod launch;
pub mod merge;
mod norm;
pub mod params;
pub mod preprocess;

pub use attention::{attention, attention_shared_bytes};
pub use device::{Device, DeviceError, Graph, Shared};
pub use images::{IMAGES, Image};
pub use launch::{Address, Kernel, Launch, Target, Work};
pub use norm::layer_norm;
