//! The CUDA kernels: their compiled modules, and what it takes to launch them. Nothing here needs a GPU.
//!
//! A [`Launch`] is plain data: which kernel, how many blocks of how many threads, how much shared memory, and
//! the bytes of its one parameter. The functions of this module make launches from shapes and device
//! addresses; NVIDIA's [`driver`] executes them on a device, and the tests' emulator executes the same ones on
//! the processor.
//!
//! | kernel | operation |
//! |---|---|
//! | `resample_columns`, `resample_rows` | [`preprocess`]: a camera frame to pixels or patches |
//! | `patchify` | [`patchify()`]: pixels to patches |
//! | `gemm_*_embed` | [`gemm`]: patch embedding, prefix, token sizes; a linear layer to f16 |
//! | `layer_norm_*`, `layer_norm_half_*` | [`layer_norm()`], [`layer_norm_half()`]: norms, quantized or to f16 |
//! | `rotary` | [`rotary()`]: what positions rotate queries and keys by |
//! | `gemm_*_requantize`, `gemm_*_rotate`, `gemm_*_activate`, `gemm_*_gate`, `gemm_*_residual` | [`gemm`]: linear layers |
//! | `attention_*` | [`attention()`], [`pool_attention()`] |
//! | `merge_match_*` | [`merge_match()`]: which tokens merge |
//! | `merge_norm_*` | [`merge_norm()`]: merging with the layer norm that follows |
//! | `pool_norm` | [`pool_norm()`]: pooling with the last norm |
//! | `head` | [`head()`]: the classifier |
//! | `top_classes` | [`top_classes()`]: the best classes |

mod address;
mod attention;
mod device;
pub mod driver;
mod error;
pub mod gemm;
mod head;
mod head_width;
mod kernel;
mod launch;
mod layer_norm;
mod merge_match;
mod merge_norm;
mod modules;
mod norm;
mod params;
mod patchify;
mod pool_norm;
mod prefetch;
pub mod preprocess;
mod resident;
mod rotary;
mod target;
#[cfg(feature = "emulator")]
pub mod testing;
mod top_classes;
mod work;

pub use address::{Access, Accesses, Address};
pub use attention::{
    AttentionOperands, AttentionParams, AttentionShape, attention, attention_shared_bytes,
    pool_attention,
};
pub use device::{Device, Graph, Shared};
pub use error::{DeviceError, DeviceErrorKind};
pub use head::{HeadParams, head};
pub use head_width::HeadWidth;
pub use kernel::Kernel;
pub use launch::Launch;
pub use layer_norm::{LayerNormParams, layer_norm, layer_norm_half};
pub use merge_match::{
    ClassAttention, MergeMatchOperands, MergeMatchParams, merge_match, merge_match_shared_bytes,
};
pub use merge_norm::{MergeNormOperands, MergeNormParams, MergePositions, merge_norm};
pub use modules::{MODULES, Module};
pub use norm::{NormParams, RowWidth};
pub use params::Params;
pub use patchify::{PatchifyParams, patchify};
pub use pool_norm::{PoolNormParams, pool_norm};
pub use prefetch::Prefetch;
pub use rotary::{RotaryParams, nothing, rotary};
pub use target::Target;
pub use top_classes::{Best, TopClassesParams, top_classes};
pub use work::Work;
