//! `forward`: logits or embeddings of given pixels, for comparison with other implementations.

use super::args;
use super::checkpoint::CheckpointArgs;
use super::error::CommandError;
use super::output::{self, Input};
use crate::fp32::Forward;
use clap::Args;
use mergevit_runtime::{
    Engine, LoadError, ModelConfig, OutputFile, OutputKind, Pack, PackWriter, Schedule, input_file,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::{Path, PathBuf};

/// Classify or embed pixels from a safetensors file and write the results
#[derive(Clone, Debug, Args)]
pub(super) struct ForwardArgs {
    /// Run a checkpoint (folder or file) in full precision
    #[arg(
        long,
        short,
        value_name = "DIR-or-FILE",
        required_unless_present = "model"
    )]
    checkpoint: Option<PathBuf>,
    /// Run a pack in INT8
    #[arg(long, short, value_name = "M.mvit", conflicts_with = "checkpoint")]
    model: Option<PathBuf>,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto", conflicts_with = "checkpoint")]
    backend: String,
    /// Input: `pixels` u8 (N, H, W, 3) at model resolution
    #[arg(long, value_name = "F.safetensors")]
    pixels: PathBuf,
    /// Tokens to merge in every layer
    #[arg(long, value_name = "R", conflicts_with = "schedule")]
    #[arg(value_parser = args::merge, allow_negative_numbers = true)]
    merge: Option<u16>,
    /// One of the pack's schedules
    #[arg(long, value_name = "NAME", conflicts_with = "checkpoint")]
    schedule: Option<String>,
    #[command(flatten)]
    stated: CheckpointArgs,
    /// Output: `logits` f32 (N, classes), or of a model that embeds `embedding` f32 (N, D) as the network gives it, and
    /// `sizes` i32 (N, tokens left); - is standard output
    #[arg(long, short, value_name = "G.safetensors")]
    output: PathBuf,
}

/// Results of N images, row-major.
struct Results {
    images: usize,
    logits: Vec<f32>,
    embedding: Vec<f32>,
    sizes: Vec<i32>,
}

impl Results {
    fn push(&mut self, logits: &[f32], embedding: &[f32], sizes: &[u32]) {
        self.images += 1;
        self.logits.extend_from_slice(logits);
        self.embedding.extend_from_slice(embedding);
        // A size is at most the number of patches.
        self.sizes.extend(sizes.iter().map(|&size| size as i32));
    }
}

impl ForwardArgs {
    fn inputs(&self) -> Vec<Input> {
        let mut inputs = vec![Input::file("--pixels", &self.pixels)];
        if let Some(model) = &self.model {
            inputs.push(Input::file("--model", model));
        }
        if let Some(checkpoint) = &self.checkpoint {
            inputs.extend(Input::checkpoint("--checkpoint", checkpoint));
        }
        inputs
    }
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`]; the output file is then unchanged.
pub(super) fn run(args: &ForwardArgs) -> Result<(), CommandError> {
    let output = output::open("--output", &args.output, &args.inputs())?;
    output::check_binary(&output)?;
    let results = match (&args.checkpoint, &args.model) {
        (Some(checkpoint), _) => full_precision(args, checkpoint)?,
        (None, Some(model)) => quantized(args, model)?,
        (None, None) => unreachable!("clap requires one of them"),
    };
    write(&output, &results)
}

/// Checks the merging that was asked for, if any.
fn check_merge(args: &ForwardArgs, model: &ModelConfig) -> Result<(), CommandError> {
    match args.merge {
        None => Ok(()),
        Some(r) => args::check_merge(r, model)
            .map_err(|reason| CommandError::Usage(format!("--merge {r}: {reason}"))),
    }
}

fn full_precision(args: &ForwardArgs, path: &Path) -> Result<Results, CommandError> {
    let checkpoint = args.stated.load_for_pixels(path)?;
    check_merge(args, &checkpoint.model)?;
    let pixels = read_pixels(&args.pixels, checkpoint.model.image_size)?;
    let merge = vec![usize::from(args.merge.unwrap_or(0)); checkpoint.model.depth];
    let mut results = Results::empty();
    for output in Forward::new(&checkpoint).classify(&pixels, &merge) {
        let (logits, embedding): (&[f32], &[f32]) = match checkpoint.model.output {
            OutputKind::Logits => (&output.logits, &[]),
            OutputKind::Embedding => (&[], &output.logits),
        };
        results.push(logits, embedding, &output.sizes);
    }
    Ok(results)
}

fn quantized(args: &ForwardArgs, path: &Path) -> Result<Results, CommandError> {
    let mut pack = Pack::open(path)?;
    check_merge(args, pack.config())?;
    if let Some(name) = &args.schedule {
        pack.schedule_index(name).map_err(LoadError::from)?;
    }
    let config = pack.config();
    let (size, image) = (config.image_size, config.image_bytes());
    let pixels = read_pixels(&args.pixels, size)?;
    if let Some(r) = args.merge {
        pack = with_constant_merge(&pack, r)?;
    }
    let mut engine = Engine::options()
        .backend(args.backend.as_str())
        .build(pack)?;
    if let Some(name) = &args.schedule {
        engine.set_schedule(name)?;
    }
    let mut results = Results::empty();
    for pixels in pixels.chunks_exact(image) {
        let output = engine.classify_pixels(pixels)?;
        let embedding = output.embedding(0).unwrap_or(&[]);
        results.push(output.logits(), embedding, output.sizes());
    }
    Ok(results)
}

/// The pack's weights under a schedule that the pack may lack.
fn with_constant_merge(pack: &Pack, r: u16) -> Result<Pack, CommandError> {
    let schedule = Schedule::constant(r, pack.config().depth);
    let writer = PackWriter::from_pack(pack).with_schedules(vec![schedule]);
    Ok(Pack::from_memory(writer.to_bytes()?)?)
}

impl Results {
    fn empty() -> Self {
        Self {
            images: 0,
            logits: Vec::new(),
            embedding: Vec::new(),
            sizes: Vec::new(),
        }
    }
}

/// Reads `pixels` u8 (N, S, S, 3), N at least 1.
fn read_pixels(path: &Path, size: usize) -> Result<Vec<u8>, CommandError> {
    let bytes =
        input_file::read(path).map_err(|error| CommandError::io(path, "read", error.into()))?;
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

fn write(output: &OutputFile, results: &Results) -> Result<(), CommandError> {
    let invalid = |error: safetensors::SafeTensorError| {
        CommandError::io(output.name(), "encode", std::io::Error::other(error))
    };
    let shape = |len: usize| vec![results.images, len / results.images];
    let view =
        |dtype, len: usize, bytes| TensorView::new(dtype, shape(len), bytes).map_err(invalid);
    let floats = [
        ("logits", &results.logits),
        ("embedding", &results.embedding),
    ];
    let mut tensors = Vec::new();
    for (name, values) in floats {
        if !values.is_empty() {
            let bytes = bytemuck::cast_slice(values);
            tensors.push((name, view(Dtype::F32, values.len(), bytes)?));
        }
    }
    let sizes: &[u8] = bytemuck::cast_slice(&results.sizes);
    tensors.push(("sizes", view(Dtype::I32, results.sizes.len(), sizes)?));
    let bytes = safetensors::serialize(tensors, None).map_err(invalid)?;
    output::write(output, &bytes)
}
