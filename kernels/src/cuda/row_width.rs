//! Widths of rows that norms are compiled for.

/// Which rows a kernel is compiled for: the narrower they are, the fewer registers hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowWidth {
    /// At most 1024 elements, all of which count.
    Narrow,
    /// Any number: up to 2048 that all count are held in registers.
    Wide,
}

impl RowWidth {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Narrow, Self::Wide];

    /// Longest row that a warp holds in registers.
    pub(super) const fn registers(self) -> u32 {
        match self {
            Self::Narrow => 1024,
            Self::Wide => 2048,
        }
    }
}
