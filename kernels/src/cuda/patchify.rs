//! Pixels to patches: `patchify.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `patchify.cu`
    PatchifyParams {
        /// (B, S, S, 3) u8
        pixels: Address,
        /// (B, patches, row) i8
        patches: Address,
        /// S: side of an image in pixels
        image_size: u32,
        /// Side of a patch in pixels
        patch_size: u32,
        /// Bytes of a patch row
        row: u32,
        /// Unused
        padding: u32,
    }
}

impl PatchifyParams {
    /// Patches of an image.
    const fn patches(&self) -> u32 {
        (self.image_size / self.patch_size).pow(2)
    }
}

impl Params for PatchifyParams {
    fn accesses(&self, _: Kernel, [_, batch, _]: [u32; 3]) -> Accesses {
        let (side, batch) = (self.image_size as usize, batch as usize);
        Accesses::new()
            .read(self.pixels, batch * 3 * side * side)
            .write(
                self.patches,
                batch * self.patches() as usize * self.row as usize,
            )
    }
}

/// Cuts `batch` images into patches.
pub fn patchify(batch: u32, params: &PatchifyParams) -> Launch {
    let patches = params.patches();
    let work = work::patchify(patches * batch, params.row);
    Launch::new(Kernel::Patchify, [patches, batch, 1], 128, 0, params).with_work(work)
}
