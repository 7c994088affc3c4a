//! The compiled kernels, embedded: machine code for compute capability 8.7 (Orin), and PTX for compute
//! capability 8.0, which the driver compiles for any later GPU.
//!
//! `cargo run -p mergevit-kernel-compiler` makes them from `kernels/cuda`.

/// Embedded bytes at a multiple of 16: the driver parses machine code, an ELF file, where it lies.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

macro_rules! modules {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// One compiled source file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Module {
            $($(#[$doc])* $variant,)*
        }

        /// All modules, in the order of their discriminants.
        pub const MODULES: &[Module] = &[$(Module::$variant,)*];

        impl Module {
            /// Name of the source file without its extension.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Machine code for compute capability 8.7.
            pub const fn cubin(self) -> &'static [u8] {
                match self {
                    $(Self::$variant => {
                        static CUBIN: &Aligned<[u8]> =
                            &Aligned(*include_bytes!(concat!("../../compiled/", $name, ".sm_87.cubin")));
                        &CUBIN.0
                    })*
                }
            }

            /// PTX for compute capability 8.0 and later.
            pub const fn ptx(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../compiled/", $name, ".compute_80.ptx")),)*
                }
            }
        }
    };
}

modules! {
    /// `gemm_*_requantize`
    GemmRequantize "gemm_requantize",
    /// `gemm_*_rotate`
    GemmRotate "gemm_rotate",
    /// `gemm_*_activate`
    GemmActivate "gemm_activate",
    /// `gemm_*_gate`
    GemmGate "gemm_gate",
    /// `gemm_*_residual`
    GemmResidual "gemm_residual",
    /// `gemm_*_embed`
    GemmEmbed "gemm_embed",
    /// `layer_norm`, `layer_norm_half`
    LayerNorm "layer_norm",
    /// `rotary`
    Rotary "rotary",
    /// `attention_D`
    Attention "attention",
    /// `merge_match_D`
    MergeMatch "merge_match",
    /// `merge_norm`
    MergeNorm "merge_norm",
    /// `pool_norm`
    PoolNorm "pool_norm",
    /// `head`
    Head "head",
    /// `top_classes`
    TopClasses "top_classes",
    /// `patchify`
    Patchify "patchify",
    /// `resample_columns`, `resample_rows`
    Preprocess "preprocess",
}
