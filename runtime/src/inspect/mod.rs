//! What an engine does inside: for profilers, estimates and tests. A program that classifies needs none of it.
//!
//! | question | answer |
//! |---|---|
//! | What is computed, in which order, at which cost? | [`Engine::plan`], [`Plan`] |
//! | What do the activations look like? | [`observe`] |
//! | Which patches became one token? | [`token_map`], [`TokenMapper`] |
//! | What runs on a CUDA device, with which kernels? | [`launches`] |
//! | How long does each launch take? | [`time_launches`] |
//! | Does another device give the same? | [`on_device`] |
//!
//! ```
//! use mergevit_runtime::{Engine, inspect};
//!
//! let mut engine = Engine::options().threads(1).load("../board/assets/garments.mvit")?;
//! let pixels = vec![0; engine.pack().config().image_bytes()];
//! let mut macs = 0;
//! inspect::observe(&mut engine, &pixels, &mut |op, _| macs += op.cost().macs)?;
//! assert_eq!(macs, engine.plan().cost().macs);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod tokens;

pub use tokens::{TokenMapper, pixels_of, token_map};

pub use crate::engine::{ArenaView, DeviceTimes, LaunchTimes, PlannedLaunch, launches};
pub use crate::plan::{Cost, Op, Plan, Span, Step};

use crate::engine::{Engine, EngineOptions, LoadError, Output, RunError};
use crate::pack::Pack;
use mergevit_kernels::cuda::Device;

/// Classifies images at model resolution, (B, S, S, 3) u8 RGB, with a look at the arena after every operation; on
/// a device that computes two operations as one, after the second. Of a cascade the first schedule runs, and it alone.
///
/// # Errors
/// As [`Engine::classify_pixels`].
pub fn observe<'e>(
    engine: &'e mut Engine,
    pixels: &[u8],
    observer: &mut dyn FnMut(&Op, &ArenaView<'_>),
) -> Result<Output<'e>, RunError> {
    engine.observe(pixels, observer)
}

/// Times every launch of the current plan on a device, each `repeats` times: in a row on what a run of the whole plan has
/// left in the arena, and in its place among the others. Returns how long all of them take together, or nothing where there
/// are none: operations on the processor are timed by [observing](observe) them. Pixels that were preprocessed and not run
/// are dropped.
///
/// # Errors
/// [`RunError::Device`]
pub fn time_launches(
    engine: &mut Engine,
    repeats: u32,
    timer: &mut dyn FnMut(&PlannedLaunch, LaunchTimes),
) -> Result<Option<DeviceTimes>, RunError> {
    engine.time_launches(repeats, timer)
}

/// An engine on a device of the caller's: one among several, or one that tests emulate. The options' backend and
/// threads do not count.
///
/// # Errors
/// [`LoadError`]: the options are impossible, or the device refuses.
pub fn on_device(
    pack: Pack,
    device: Box<dyn Device>,
    options: &EngineOptions,
) -> Result<Engine, LoadError> {
    Engine::on_device(pack, device, options)
}
