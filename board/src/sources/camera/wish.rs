//! What is wanted of a camera.

use crate::sources::encoding::Encoding;

/// What is wanted of a camera.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Side of the model's input in pixels; smaller frames are enlarged.
    pub(super) least: u32,
    /// Frames per second.
    pub(super) rate: f64,
    /// Width and height, if they are decided.
    pub(super) size: Option<(u32, u32)>,
    /// The encoding, if it is decided.
    pub(super) encoding: Option<Encoding>,
    /// Width and height of the room that is reserved, if it is.
    pub(super) most: Option<(u32, u32)>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            least: 224,
            rate: 30.0,
            size: None,
            encoding: None,
            most: None,
        }
    }
}

impl Wish {
    /// Whether frames like these will do.
    pub(super) fn allows(&self, encoding: Encoding, size: (u32, u32)) -> bool {
        let fits = |most: (u32, u32)| size.0 <= most.0 && size.1 <= most.1;
        self.size.is_none_or(|wanted| wanted == size)
            && self.encoding.is_none_or(|wanted| wanted == encoding)
            && self.most.is_none_or(fits)
    }
}
