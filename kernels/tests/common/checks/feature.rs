//! What there are no CUDA kernels for yet, so that the checks of the rest run.

/// What an implementation may not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `Epilogue::Activate`.
    Activate,
    /// `Epilogue::Rotate`.
    Rotate,
    /// `Epilogue::Gate` and `Epilogue::GateHalf`.
    Gate,
    /// `Epilogue::Half`.
    HalfProduct,
    /// Linear layers with K above 8192.
    LongProducts,
    /// Norms other than `NormKind::Layer`.
    NormKinds,
    /// Norms with padding, `count < L`.
    PaddedNorms,
    /// Norms of rows above 2048.
    LongNorms,
    /// `layer_norm_half`.
    HalfNorms,
    /// `layer_norm_real`.
    RealNorms,
    /// Heads of other widths than 64.
    HeadWidths,
    /// More than 1025 tokens.
    ManyTokens,
    /// `pool_attention`.
    PoolAttention,
    /// More than one row before the patches.
    Prefixes,
    /// Attention that is not as wide as the residual stream.
    AttentionWidths,
    /// Positions that merge.
    Positions,
    /// `rotary`.
    Rotary,
    /// Pooling other than `First(1)` and `Mean` of what follows at most one row.
    Poolings,
}

impl Feature {
    /// Whether CUDA lacks it.
    pub fn is_missing_on_cuda(self) -> bool {
        match self {
            Self::Activate
            | Self::Rotate
            | Self::Gate
            | Self::HalfProduct
            | Self::LongProducts
            | Self::NormKinds
            | Self::PaddedNorms
            | Self::LongNorms
            | Self::HalfNorms
            | Self::RealNorms
            | Self::HeadWidths
            | Self::ManyTokens
            | Self::PoolAttention
            | Self::Prefixes
            | Self::AttentionWidths
            | Self::Positions
            | Self::Rotary
            | Self::Poolings => true,
        }
    }
}
