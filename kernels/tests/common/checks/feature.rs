//! What there are no CUDA kernels for yet, so that the checks of the rest run.

/// What an implementation may not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
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
}

impl Feature {
    /// Whether CUDA lacks it.
    pub fn is_missing_on_cuda(self) -> bool {
        match self {
            Self::HeadWidths
            | Self::ManyTokens
            | Self::PoolAttention
            | Self::Prefixes
            | Self::AttentionWidths
            | Self::Positions => true,
        }
    }
}
