//! From real weights and calibration rows to integers.
//!
//! None of it costs anything at run time: it only chooses numbers that the kernels use anyway.
//!
//! - [`Columns`]: how a linear layer's input is quantized, folded into what produces and consumes it.
//! - [`Linear::quantize`]: weights, one scale per row, clipped where that reduces the error.
//! - [`search()`]: smoothing and clipping by the error of the real output.
//! - [`quantize_layer`]: an encoder layer; [`Quantizer`]: all of a network.
//!
//! Sums run over fixed blocks, so results depend on neither thread count nor timing.

mod attention;
mod columns;
mod fit;
mod hidden;
mod layer;
mod mlp;
mod model;
mod packed;
mod product;
mod search;
mod tail;
mod weights;

pub use columns::{Columns, I8_LIMIT, WIDE_LIMIT};
pub use layer::quantize_layer;
pub use model::Quantizer;
pub use packed::{PackedLayer, PackedLinear, PackedModel, PackedNorm, PackedPooling};
pub use search::{Fit, Ranges, Samples, search};
pub use weights::{Linear, QuantizedLinear};
