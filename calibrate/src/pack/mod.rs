//! From quantized tensors to a pack.

use crate::checkpoint::Checkpoint;
use crate::observe::Observer;
use crate::quantize::{PackedLayer, PackedLinear, PackedModel, PackedNorm, PackedPooling};
use mergevit_runtime::pack::{Linear, Norm};
use mergevit_runtime::{
    ActivationQuantization, PackWriter, Provenance, Schedule, TensorKind, WriteError,
};
use std::collections::BTreeMap;

/// Adds tensors to a pack, in the shape of their kind.
struct Tensors<'a, 'w> {
    writer: &'w mut PackWriter<'a>,
    checkpoint: &'w Checkpoint,
}

impl<'a> Tensors<'a, '_> {
    fn f32(
        &mut self,
        kind: TensorKind,
        layer: Option<usize>,
        data: &'a [f32],
    ) -> Result<(), WriteError> {
        let (rows, columns) = kind.shape(&self.checkpoint.model);
        self.writer.tensor_f32(kind, layer, rows, columns, data)
    }

    fn linear(
        &mut self,
        which: Linear,
        layer: Option<usize>,
        linear: &'a PackedLinear,
    ) -> Result<(), WriteError> {
        let tensors = which.tensors();
        let (rows, columns) = tensors.weight.shape(&self.checkpoint.model);
        let weight = linear.weight.as_slice();
        self.writer
            .tensor_i8(tensors.weight, layer, rows, columns, weight)?;
        self.f32(tensors.scale, layer, &linear.scale)?;
        self.f32(tensors.bias, layer, &linear.bias)
    }

    fn norm(
        &mut self,
        which: Norm,
        layer: Option<usize>,
        norm: &'a PackedNorm,
    ) -> Result<(), WriteError> {
        let tensors = which.tensors();
        self.f32(tensors.gain, layer, &norm.gain)?;
        self.f32(tensors.bias, layer, &norm.bias)
    }

    fn layer(&mut self, index: usize, layer: &'a PackedLayer) -> Result<(), WriteError> {
        use TensorKind as Kind;
        let at = Some(index);
        self.norm(Norm::First, at, &layer.norm1)?;
        self.linear(Linear::Qkv, at, &layer.qkv)?;
        if !layer.rotary.is_empty() {
            self.f32(Kind::LayerRotaryFrequency, at, &layer.rotary)?;
        }
        self.f32(Kind::ScoreScale, at, &layer.score_scale)?;
        self.f32(Kind::ContextScale, at, &layer.context_scale)?;
        self.linear(Linear::Projection, at, &layer.proj)?;
        self.norm(Norm::Second, at, &layer.norm2)?;
        self.linear(Linear::Fc1, at, &layer.fc1)?;
        if let Some(hidden) = &layer.hidden {
            self.f32(Kind::HiddenQuantization, at, hidden)?;
        }
        if let Some(norm) = &layer.inner_norm {
            self.norm(Norm::Inner, at, norm)?;
        }
        self.linear(Linear::Fc2, at, &layer.fc2)
    }

    fn pooling(&mut self, pooling: &'a PackedPooling) -> Result<(), WriteError> {
        use TensorKind as Kind;
        let (rows, columns) = Kind::PoolQuery.shape(&self.checkpoint.model);
        let query = pooling.query.as_slice();
        self.writer
            .tensor_i8(Kind::PoolQuery, None, rows, columns, query)?;
        self.linear(Linear::PoolKeyValue, None, &pooling.key_value)?;
        self.f32(Kind::PoolScoreScale, None, &pooling.score_scale)?;
        self.f32(Kind::PoolContextScale, None, &pooling.context_scale)?;
        self.linear(Linear::PoolProjection, None, &pooling.proj)?;
        self.norm(Norm::Pool, None, &pooling.norm)?;
        self.linear(Linear::PoolFc1, None, &pooling.fc1)?;
        self.f32(Kind::PoolHiddenQuantization, None, &pooling.hidden)?;
        self.linear(Linear::PoolFc2, None, &pooling.fc2)
    }
}

/// Where a pack made with this crate comes from: `checkpoint`, and `images` images of the calibration set
/// `set`, quantized with `observer`. The colours' mean and deviation are folded into the weights; here people can read
/// them.
pub fn provenance(
    checkpoint: &Checkpoint,
    set: impl Into<String>,
    images: u64,
    observer: Observer,
) -> Provenance {
    Provenance {
        checkpoint: checkpoint.name.clone(),
        checkpoint_hash: checkpoint.hash.clone(),
        calibration_set: set.into(),
        calibration_images: images,
        tool: concat!("mergevit-calibrate ", env!("CARGO_PKG_VERSION")).into(),
        settings: BTreeMap::from([
            ("observer".into(), observer.to_string()),
            ("mean".into(), colours(checkpoint.mean)),
            ("std".into(), colours(checkpoint.std)),
        ]),
    }
}

/// A value for each colour, as text: `0.485, 0.456, 0.406`.
fn colours(values: [f32; 3]) -> String {
    values.map(|value| value.to_string()).join(", ")
}

/// A pack of `model`, quantized from `checkpoint`, ready to be written.
///
/// # Errors
/// [`WriteError`]: an impossible configuration or schedule, or values that a pack may not hold.
pub fn build<'a>(
    checkpoint: &Checkpoint,
    model: &'a PackedModel,
    schedules: Vec<Schedule>,
    provenance: Provenance,
) -> Result<PackWriter<'a>, WriteError> {
    let mut writer = PackWriter::new(checkpoint.model.clone(), schedules, provenance)?
        .with_quantization(scales(model));
    let mut tensors = Tensors {
        writer: &mut writer,
        checkpoint,
    };
    tensors.linear(Linear::Patch, None, &model.patch)?;
    tensors.f32(TensorKind::Position, None, &model.position)?;
    tensors.f32(TensorKind::Activation, None, &model.activation)?;
    if let Some(norm) = &model.pre_norm {
        tensors.norm(Norm::Pre, None, norm)?;
    }
    if !model.rotary.is_empty() {
        tensors.f32(TensorKind::RotaryFrequency, None, &model.rotary)?;
    }
    for (index, layer) in model.layers.iter().enumerate() {
        tensors.layer(index, layer)?;
    }
    if let Some(norm) = &model.token_norm {
        tensors.norm(Norm::Token, None, norm)?;
    }
    if let Some(pooling) = &model.pooling {
        tensors.pooling(pooling)?;
    }
    tensors.norm(Norm::Final, None, &model.final_norm)?;
    if let Some(head) = &model.head {
        tensors.linear(Linear::Head, None, head)?;
    }
    Ok(writer)
}

/// The activation scales in real units that no tensor holds. They inform people; the engine does not read them.
fn scales(model: &PackedModel) -> Vec<ActivationQuantization> {
    let mut list = Vec::with_capacity(2 * model.layers.len());
    for (index, layer) in model.layers.iter().enumerate() {
        let mut add = |activation: &str, scales: Vec<f32>| {
            list.push(ActivationQuantization {
                layer: Some(index),
                activation: activation.into(),
                scales,
                zero_point: 0,
            });
        };
        add("query", layer.query_step.clone());
        add("key", vec![layer.key_step]);
    }
    list
}
