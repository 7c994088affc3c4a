//! The best classes, and the results' way to the host: `top_classes.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `top_classes.cu`
    TopClassesParams {
        /// (B, N) f32
        logits: Address,
        /// (B, T) u32
        sizes: Address,
        /// (B, K) [`Best`], best first
        top: Address,
        /// (B, N) f32: a copy of the logits
        host_logits: Address,
        /// (B, T) u32: a copy of the sizes
        host_sizes: Address,
        /// N
        classes: u32,
        /// T
        tokens: u32,
        /// K
        count: u32,
        /// Unused
        padding: u32,
    }
}

impl Params for TopClassesParams {
    fn accesses(&self, _: Kernel, [batch, _, _]: [u32; 3]) -> Accesses {
        let batch = batch as usize;
        let (classes, tokens) = (self.classes as usize, self.tokens as usize);
        Accesses::new()
            .read(self.logits, 4 * batch * classes)
            .read(self.sizes, 4 * batch * tokens)
            .write(self.top, size_of::<Best>() * batch * self.count as usize)
            .write(self.host_logits, 4 * batch * classes)
            .write(self.host_sizes, 4 * batch * tokens)
    }
}

/// A class and its logit.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Best {
    /// Index of the class, `u32::MAX` where classes run out.
    pub class: u32,
    /// Its logit.
    pub logit: f32,
}

/// The results of `batch` images: best classes, copies of logits and sizes.
pub fn top_classes(batch: u32, params: &TopClassesParams) -> Launch {
    let work = work::top_classes(batch, params.classes, params.tokens, params.count);
    Launch::new(Kernel::TopClasses, [batch, 1, 1], 256, 0, params).with_work(work)
}
