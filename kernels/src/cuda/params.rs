//! A kernel's one parameter.

use super::address::Accesses;
use super::kernel::Kernel;
use bytemuck::Pod;

/// A kernel's one parameter, field for field a struct of `kernels/cuda`.
pub trait Params: Pod {
    /// The device memory that `kernel` accesses with this parameter on a grid of blocks.
    fn accesses(&self, kernel: Kernel, grid: [u32; 3]) -> Accesses;
}

/// Declares a parameter.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }
    };
}
pub(super) use params;
