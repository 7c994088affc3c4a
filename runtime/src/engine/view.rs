//! A look at the arena while a plan runs.

use crate::plan::Span;
use half::f16;

/// The arena while a plan runs: read access to what the last operation touched. What an earlier operation
/// wrote may have been overwritten.
#[derive(Clone, Copy, Debug)]
pub struct ArenaView<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> ArenaView<'a> {
    /// Bytes.
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.range()]
    }

    /// Quantized activations.
    pub fn i8(&self, span: Span) -> &'a [i8] {
        bytemuck::cast_slice(self.bytes(span))
    }

    /// The residual stream.
    pub fn f16(&self, span: Span) -> &'a [f16] {
        bytemuck::cast_slice(self.bytes(span))
    }

    /// Token sizes.
    pub fn u32(&self, span: Span) -> &'a [u32] {
        bytemuck::cast_slice(self.bytes(span))
    }

    /// Logits.
    pub fn f32(&self, span: Span) -> &'a [f32] {
        bytemuck::cast_slice(self.bytes(span))
    }
}
