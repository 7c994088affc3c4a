//! `forward`: logits of given pixels, for comparison with other implementations.

use super::error::CommandError;
use super::files;
use super::preprocessing::PreprocessingArgs;
use crate::checkpoint::Checkpoint;
use crate::fp32::Forward;
use clap::Args;
use mergevit_runtime::{Engine, EngineOptions, Pack, PackWriter, Schedule};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::{Path, PathBuf};

/// Classify pixels from a safetensors file and write the logits
#[derive(Clone, Debug, Args)]
pub(super) struct ForwardArgs {
    /// Run a checkpoint (folder or file) in full precision
    #[arg(long, value_name = "DIR-or-FILE", required_unless_present = "model")]
    checkpoint: Option<PathBuf>,
    /// Run a pack in INT8
    #[arg(long, value_name = "M.mvit", conflicts_with = "checkpoint")]
    model: Option<PathBuf>,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto", conflicts_with = "checkpoint")]
    backend: String,
    /// Input: `pixels` u8 (N, H, W, 3) at model resolution
    #[arg(long, value_name = "F.safetensors")]
    pixels: PathBuf,
    /// Tokens to merge in every layer
    #[arg(long, value_name = "R", conflicts_with = "schedule")]
    merge: Option<u16>,
    /// One of the pack's schedules
    #[arg(long, value_name = "NAME", conflicts_with = "checkpoint")]
    schedule: Option<String>,
    #[command(flatten)]
    preprocessing: PreprocessingArgs,
    /// Output: `logits` f32 (N, classes) and `sizes` i32 (N, tokens left)
    #[arg(long, value_name = "G.safetensors")]
    output: PathBuf,
}

/// Results of N images, row-major.
struct Results {
    images: usize,
    logits: Vec<f32>,
    sizes: Vec<i32>,
}

impl Results {
    fn push(&mut self, logits: &[f32], sizes: &[u32]) {
        self.images += 1;
        self.logits.extend_from_slice(logits);
        // A size is at most the number of patches.
        self.sizes.extend(sizes.iter().map(|&size| size as i32));
    }
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`]; the output file is then unchanged.
pub(super) fn run(args: &ForwardArgs) -> Result<(), CommandError> {
    let results = match (&args.checkpoint, &args.model) {
        (Some(checkpoint), _) => full_precision(args, checkpoint)?,
        (None, Some(model)) => quantized(args, model)?,
        (None, None) => unreachable!("clap requires one of them"),
    };
    write(&args.output, &results)
}

fn full_precision(args: &ForwardArgs, path: &Path) -> Result<Results, CommandError> {
    let stated = args.preprocessing.stated().at_model_resolution();
    let checkpoint = Checkpoint::load_with(path, &stated)?;
    let pixels = read_pixels(&args.pixels, checkpoint.model.image_size)?;
    let merge = vec![usize::from(args.merge.unwrap_or(0)); checkpoint.model.depth];
    let mut results = Results::empty();
    for output in Forward::new(&checkpoint).classify(&pixels, &merge) {
        results.push(&output.logits, &output.sizes);
    }
    Ok(results)
}

fn quantized(args: &ForwardArgs, path: &Path) -> Result<Results, CommandError> {
    let options = Engine::options().backend(args.backend.as_str());
    let mut engine = match args.merge {
        None => options.load(path)?,
        Some(r) => with_constant_merge(path, r, &options)?,
    };
    if let Some(name) = &args.schedule {
        engine.set_schedule(name)?;
    }
    let config = engine.pack().config();
    let (size, image) = (config.image_size, config.image_bytes());
    let pixels = read_pixels(&args.pixels, size)?;
    let mut results = Results::empty();
    for pixels in pixels.chunks_exact(image) {
        let output = engine.classify_pixels(pixels)?;
        results.push(output.logits(), output.sizes());
    }
    Ok(results)
}

/// The pack's weights under a schedule that the pack may lack.
fn with_constant_merge(
    path: &Path,
    r: u16,
    options: &EngineOptions,
) -> Result<Engine, CommandError> {
    let pack = Pack::open(path)?;
    let schedule = Schedule::constant(r, pack.config().depth);
    let folder = tempfile::tempdir()
        .map_err(|source| CommandError::io(&std::env::temp_dir(), "create a folder in", source))?;
    let copy = folder.path().join("merged.mvit");
    PackWriter::from_pack(&pack)
        .with_schedules(vec![schedule])
        .finish(&copy)?;
    // The memory map stays valid after the folder is deleted.
    Ok(options.load(&copy)?)
}

impl Results {
    fn empty() -> Self {
        Self {
            images: 0,
            logits: Vec::new(),
            sizes: Vec::new(),
        }
    }
}

/// Reads `pixels` u8 (N, S, S, 3), N at least 1.
fn read_pixels(path: &Path, size: usize) -> Result<Vec<u8>, CommandError> {
    let bytes = std::fs::read(path).map_err(|source| CommandError::io(path, "read", source))?;
    let refuse = |found: String| CommandError::Pixels {
        path: path.into(),
        found,
        size,
    };
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
    let pixels = tensors
        .tensor("pixels")
        .map_err(|_| refuse(format!("tensors {:?}", tensors.names())))?;
    let fits = matches!(pixels.shape(), &[images, h, w, 3] if images > 0 && h == size && w == size);
    if pixels.dtype() != Dtype::U8 || !fits {
        return Err(refuse(format!(
            "pixels {:?} {:?}",
            pixels.dtype(),
            pixels.shape()
        )));
    }
    Ok(pixels.data().to_vec())
}

fn write(path: &Path, results: &Results) -> Result<(), CommandError> {
    let invalid = |error: safetensors::SafeTensorError| {
        CommandError::io(path, "encode", std::io::Error::other(error))
    };
    let shape = |len: usize| vec![results.images, len / results.images];
    let logits: &[u8] = bytemuck::cast_slice(&results.logits);
    let sizes: &[u8] = bytemuck::cast_slice(&results.sizes);
    let logits =
        TensorView::new(Dtype::F32, shape(results.logits.len()), logits).map_err(invalid)?;
    let sizes = TensorView::new(Dtype::I32, shape(results.sizes.len()), sizes).map_err(invalid)?;
    let tensors = [("logits", logits), ("sizes", sizes)];
    let bytes = safetensors::serialize(tensors, None).map_err(invalid)?;
    files::write(path, &bytes)
}
