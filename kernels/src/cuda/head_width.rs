//! Widths of heads that kernels are compiled for.

/// Channels of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadWidth {
    /// 32
    W32,
    /// 64
    W64,
    /// 96
    W96,
    /// 128
    W128,
}

impl HeadWidth {
    /// All widths, ascending.
    pub const ALL: [Self; 4] = [Self::W32, Self::W64, Self::W96, Self::W128];

    /// The width of so many channels.
    pub const fn of(channels: usize) -> Option<Self> {
        match channels {
            32 => Some(Self::W32),
            64 => Some(Self::W64),
            96 => Some(Self::W96),
            128 => Some(Self::W128),
            _ => None,
        }
    }

    /// D
    pub const fn channels(self) -> u32 {
        32 * (self as u32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_found_by_their_channels() {
        for width in HeadWidth::ALL {
            assert_eq!(HeadWidth::of(width.channels() as usize), Some(width));
        }
        assert_eq!(HeadWidth::of(0), None);
        assert_eq!(HeadWidth::of(72), None);
    }
}
