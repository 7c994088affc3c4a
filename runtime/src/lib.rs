//! Runs INT8 Vision Transformers that merge tokens: from a packed model and camera frames to classes, on an NVIDIA
//! GPU or on the processor, without allocating per frame.
//!
//! ```
//! use mergevit_runtime::{Engine, Frame, PixelFormat};
//!
//! let mut engine = Engine::load("../board/assets/garments.mvit")?;
//! let camera = vec![128; PixelFormat::Nv12.frame_bytes(640, 480)];
//! let frame = Frame::packed(PixelFormat::Nv12, 640, 480, &camera)?;
//! println!("{}", engine.classify(&[frame])?.best(0)); // bag 86.1 %
//! # assert_eq!(engine.classify(&[frame])?.best(0).label, Some("bag"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The ideas
//!
//! **A pack is the whole model.** [`Pack`] is one file with INT8 weights, scales, labels, preprocessing and merge
//! schedules. It is mapped into memory, checked once, and used where it lies. `mergevit-calibrate pack` makes it from
//! a trained checkpoint; the page [`format`](mod@format) specifies it.
//!
//! **Schedules trade accuracy for time, frame by frame.** A pack holds one set of weights and several merge
//! schedules, each with its measured [accuracy](Accuracy). [`Engine::set_schedule`] changes between frames.
//!
//! ```
//! # use mergevit_runtime::Engine;
//! # let mut engine = Engine::load("../board/assets/garments.mvit")?;
//! for schedule in engine.pack().schedules().to_vec() {
//!     engine.set_schedule(&schedule.name)?;
//!     let tokens = engine.plan().tokens();
//!     println!("{}: {} tokens after the last layer", schedule.name, tokens[tokens.len() - 1]);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A cascade is two schedules by one name.** A frame runs under the cheap one, and again under the better one where the
//! [margin](Output::margin) between its two best classes is small. [`Output::schedule`] names the one whose answer counts.
//!
//! **Loading may be slow, running may not allocate.** [`EngineOptions`] say what the engine must be ready for: which
//! [backend](Backend), how many frames at once, how large they get. Loading reserves all of it. After that
//! [`Engine::classify`] allocates nothing, except to make an error.
//!
//! ```
//! # use mergevit_runtime::{Engine, Frame, PixelFormat};
//! let mut engine = Engine::options()
//!     .max_batch(2)
//!     .max_frame(640, 480)
//!     .schedule("r8")
//!     .load("../board/assets/garments.mvit")?;
//! # let (front, rear) = (vec![40; 2 * 640 * 480], vec![90; 320 * 240]);
//! let cameras = [
//!     Frame::packed(PixelFormat::Yuyv, 640, 480, &front)?,
//!     Frame::packed(PixelFormat::Grey, 320, 240, &rear)?,
//! ];
//! let output = engine.classify(&cameras)?;
//! for camera in 0..output.batch() {
//!     for prediction in output.top(camera).take(3) {
//!         println!("camera {camera}: {prediction}");
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Image files come in through the feature `image`: `image::decode` reads PNG, JPEG, WebP and BMP, and gives a
//! frame.
//!
//! **A model classifies, or it embeds.** Where a pack has no classifier, [`Output::embedding`] and
//! [`Output::unit_embedding`] are its answer. With a classifier of embeddings in it, from the names of classes or from images of them, classes are
//! scored too, and [`Output::is_unknown`] may say that an image is of none.
//!
//! **Every backend gives the same bits.** The scalar reference, each SIMD instruction set and the CUDA kernels compute
//! the same logits from the same pack and frame, so what was measured on a workstation is what the board does.
//! [`backends`] lists what this machine can run, and why it cannot run the rest; [`Engine::backend`] names what does.
//!
//! **A model is a plan, and a plan is data.** A [`Plan`] is a list of steps over one arena of memory. Engines execute
//! it; profilers, estimates and tests walk over it with [`inspect`].
//!
//! # Where to read on
//!
//! The [examples](https://github.com/mergevit/mergevit/tree/main/runtime/examples): classify a file, two models in
//! turn, a batch of cameras; [a camera loop](https://github.com/mergevit/mergevit/tree/main/board/examples).
//! The arithmetic: [`mergevit_kernels`].

#[cfg(target_endian = "big")]
compile_error!("packs are little endian and used in place");

pub mod aligned;
mod classifier;
pub mod config;
mod engine;
pub mod estimate;
#[doc(hidden)]
pub mod foreign;
#[cfg(feature = "image")]
pub mod image;
pub mod input_file;
pub mod inspect;
pub mod labels;
pub mod limits;
pub mod output_file;
pub mod pack;
pub mod plan;
#[doc(hidden)]
pub mod testing;
#[doc(hidden)]
pub mod words;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use classifier::{Classifier, normalize};
pub use config::{
    Accuracy, ActivationName, ActivationQuantization, AttentionPooling, Cascade, Confidence,
    ConfigError, EmbeddingClassifier, Interpolation, MergingEffect, Mlp, ModelConfig,
    Normalization, OutputKind, Pooling, Preprocessing, Provenance, Ranking, ResizeMode, RotaryKind,
    Schedule, ScoreKind,
};
pub use engine::{
    Backend, BackendStatus, Engine, EngineOptions, LoadError, Output, Prediction, RunError, Top,
    backends, margin,
};
pub use mergevit_kernels::cuda::driver::OpenError;
pub use mergevit_kernels::cuda::{DeviceError, DeviceErrorKind};
pub use mergevit_kernels::frame::{self, ColorSpace, Frame, FrameError, PixelFormat, Planes};
pub use mergevit_kernels::memory::OutOfMemory;
pub use output_file::{OutputError, OutputFile};
pub use pack::{
    Classes, Defect, Pack, PackChanged, PackError, PackWriter, Section, TensorKind, Unknown,
    UnknownSchedule, WriteError,
};
pub use plan::{Plan, PlanError};
