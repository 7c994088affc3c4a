//! Camera frames to network input: unpack, convert to RGB, resize, crop; in integers, without allocation.
//!
//! - [`Frame`] is a checked view of a camera's bytes: a [`FrameLayout`], in one of eight [`PixelFormat`]s, and bytes.
//! - [`Geometry`] is what the checkpoint was evaluated with: a resize, then a centre crop.
//! - [`Preprocessor`] applies it. Resizing is Pillow's fixed-point separable resampling bit for bit, so that a
//!   frame arrives as the pixels that timm's and torchvision's pipelines would feed the checkpoint.
//! - [`mod@reference`] is the same, written for reading; tests hold the two together, and both to Pillow's output.
//!
//! ```
//! use mergevit_kernels::frame::{Frame, Geometry, Interpolation, PixelFormat, Preprocessor, Resize};
//!
//! let geometry = Geometry::new(Resize::ShortestSide(256), (224, 224), Interpolation::Bicubic)?;
//! let mut preprocessor = Preprocessor::new(geometry, 640, 480);
//! let mut pixels = vec![0; geometry.output_len()];
//! let camera = vec![128; PixelFormat::Nv12.frame_bytes(640, 480)];
//! let frame = Frame::packed(PixelFormat::Nv12, 640, 480, &camera)?;
//! preprocessor.preprocess(&frame, &mut pixels)?;
//! assert_eq!(pixels[..3], [130, 130, 130]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod color;
mod filter;
mod format;
mod geometry;
mod layout;
mod passes;
mod preprocess;
pub mod reference;
mod rows;
mod simd;
mod strip;
mod table;
mod vector;
mod vector_unit;
mod view;

pub(crate) use color::YuvToRgb;
pub(crate) use filter::Axis;
pub use filter::Interpolation;
pub use format::{ColorSpace, PixelFormat};
pub(crate) use geometry::Span;
pub use geometry::{Geometry, GeometryError, Resize};
pub use layout::{FrameError, FrameLayout, MAX_SIDE, Planes};
pub use preprocess::{OutputLengthError, Preprocessor};
pub use vector_unit::VectorUnit;
pub use view::Frame;
