//! Compiles `kernels/cuda/*.cu` ahead of time with NVRTC 12.6, the compiler of JetPack 6.
//!
//! Every source file becomes a module in `kernels/compiled`, in two forms: machine code for compute capability 8.7
//! (Jetson Orin) and PTX for compute capability 8.0, which a driver compiles for any later GPU. Both are checked in,
//! so that building the program needs no CUDA; `manifest.json` beside them records the hashes of all sources, so
//! that [`manifest::verify`] finds a stale module without NVRTC.
//!
//! [`locate`] finds the library, [`nvrtc`] calls it (the only unsafe code), [`sources`] gathers a file and its
//! headers, [`compile`] makes the modules, [`folder`] writes or compares them. [`ptxas`], [`ptx`] and
//! [`occupancy`] supply the table of [`resources`].

pub mod compile;
pub mod error;
pub mod folder;
pub mod locate;
pub mod manifest;
pub mod nvrtc;
pub mod occupancy;
pub mod ptx;
pub mod ptxas;
pub mod resources;
pub mod sources;

pub use error::Error;
