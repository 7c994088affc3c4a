//! From a packed model to classes: the `.mvit` format, the plan, the arena and the engine.
//!
//! [`Pack`] maps a file and checks all of it once; `FORMAT.md` in this folder is its specification.
//! [`Plan`] is the model under one merge schedule as data: operations over spans of one arena.
//! [`Engine`] runs a plan with one of the kernels' backends: operation by operation on the processor, as one
//! recorded graph on a CUDA device. After [`Engine::new`] nothing allocates.
//!
//! This crate knows neither calibration nor cameras nor command lines.

#[cfg(target_endian = "big")]
compile_error!("packs are little endian and used in place");

pub mod aligned;
pub mod config;
mod engine;
pub mod inspect;
pub mod limits;
pub mod pack;
pub mod plan;
#[doc(hidden)]
pub mod testing;

pub use config::{
    Accuracy, ActivationQuantization, ConfigError, Interpolation, ModelConfig, Pooling,
    Preprocessing, Provenance, ResizeMode, Schedule,
};
pub use engine::{
    Backend, BackendStatus, Engine, EngineOptions, LoadError, Output, Prediction, RunError, Top,
    UnknownSchedule, backends,
};
pub use mergevit_kernels::cuda::DeviceError;
pub use mergevit_kernels::cuda::driver::OpenError;
pub use mergevit_kernels::frame::{self, ColorSpace, Frame, FrameError, PixelFormat, Planes};
pub use pack::{Defect, Pack, PackError, PackWriter, Section, TensorKind, WriteError};
pub use plan::{Plan, PlanError};
