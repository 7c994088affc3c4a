//! From real weights and calibration rows to integers: what makes a pack accurate.
//!
//! Everything here is free at run time: it only chooses numbers that the kernels multiply with anyway.
//!
//! - [`Columns`]: how a linear layer's input is quantized, folded into what produces and consumes it.
//! - [`Linear::quantize`]: weights, one scale a row, clipped where that loses least.
//! - [`search()`]: smoothing and clipping by the error of the real output.
//! - [`quantize_layer`]: an encoder layer; [`Quantizer`]: all of a network.
//!
//! Sums are taken in fixed blocks, so that a result depends on neither thread count nor timing.

mod attention;
mod columns;
mod gelu;
mod layer;
mod model;
mod product;
mod search;
mod weights;

pub use columns::{Columns, I8_LIMIT, WIDE_LIMIT};
pub use layer::{PackedLayer, PackedLinear, PackedNorm, quantize_layer};
pub use model::{PackedModel, Quantizer};
pub use search::{Fit, Ranges, Samples, search};
pub use weights::{Linear, QuantizedLinear};
