//! Checks of tensor values, in loops that the compiler turns into vector instructions.

use super::error::{Defect, SectionName};
use super::kind::TensorKind;
use super::layout::SectionKind;
use crate::config::ModelConfig;
use crate::limits::MAX_MAGNITUDE;

/// Elements looked at before branching.
const BLOCK: usize = 4096;

/// Index of the first element that `is_bad`, found block by block.
fn find<T: Copy>(values: &[T], is_bad: impl Fn(T) -> bool) -> Option<usize> {
    let any = |block: &[T]| block.iter().fold(0u8, |any, &x| any | u8::from(is_bad(x))) != 0;
    let block = values.chunks(BLOCK).position(any)?;
    let start = block * BLOCK;
    values[start..]
        .iter()
        .position(|&x| is_bad(x))
        .map(|at| start + at)
}

/// Checks the values of one tensor whose shape is already known to be right.
pub(super) fn check(name: SectionName, config: &ModelConfig, bytes: &[u8]) -> Result<(), Defect> {
    let SectionKind::Tensor(kind) = name.kind else {
        return Ok(());
    };
    match kind.dtype() {
        super::DType::Text => Ok(()),
        super::DType::I8 => check_i8(name, kind, config, bytemuck::cast_slice(bytes)),
        super::DType::F32 => check_f32(name, kind, config, bytemuck::cast_slice(bytes)),
    }
}

fn check_i8(
    name: SectionName,
    kind: TensorKind,
    config: &ModelConfig,
    values: &[i8],
) -> Result<(), Defect> {
    let columns = kind.shape(config).1;
    if let Some(at) = find(values, |x| x == i8::MIN) {
        return Err(Defect::Weight {
            section: name,
            row: at / columns,
            column: at % columns,
        });
    }
    if kind != TensorKind::PatchWeight {
        return Ok(());
    }
    let used = 3 * config.patch_size * config.patch_size;
    for (row, values) in values.chunks_exact(columns).enumerate() {
        if let Some(at) = values[used..].iter().position(|&x| x != 0) {
            return Err(Defect::PatchPadding {
                section: name,
                row,
                column: used + at,
                found: values[used + at],
            });
        }
    }
    Ok(())
}

fn check_f32(
    name: SectionName,
    kind: TensorKind,
    config: &ModelConfig,
    values: &[f32],
) -> Result<(), Defect> {
    let refuse = |index: usize, expected| {
        Err(Defect::Value {
            section: name,
            index,
            found: values[index],
            expected,
        })
    };
    if let Some(index) = find(values, |x: f32| x.is_nan() || x.abs() > MAX_MAGNITUDE) {
        return refuse(index, "finite, of magnitude at most 2^64");
    }
    match kind {
        TensorKind::HiddenQuantization | TensorKind::PoolHiddenQuantization => {
            check_quantization(values).map_or(Ok(()), |(index, what)| refuse(index, what))
        }
        TensorKind::Activation => {
            check_activation(values).map_or(Ok(()), |(index, what)| refuse(index, what))
        }
        TensorKind::ClassThreshold => {
            let is_cosine = |x: &f32| (-1.0..=1.0).contains(x);
            match values.iter().position(|x| !is_cosine(x)) {
                Some(index) => refuse(index, "a cosine, from -1 to 1"),
                None => Ok(()),
            }
        }
        TensorKind::ClassVector if config.classifier.is_some_and(|own| own.is_linear()) => Ok(()),
        TensorKind::ClassVector | TensorKind::ClassCenter => {
            let columns = kind.shape(config).1;
            let long = |row: &[f32]| (length(row) - 1.0).abs() > LENGTH_TOLERANCE;
            match values.chunks_exact(columns).position(long) {
                Some(row) => refuse(row * columns, "the start of a row of length 1"),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Index of the first value that is not what it must be, and what that is.
fn check_quantization(values: &[f32]) -> Option<(usize, &'static str)> {
    let channels = values.len() / 2;
    let (inverse, zero_point) = values.split_at(channels);
    if let Some(index) = inverse.iter().position(|&inverse| inverse <= 0.0) {
        return Some((index, "one over a step, above 0"));
    }
    let is_integer = |zero: &f32| zero.abs() <= 127.0 && zero.fract() == 0.0;
    let index = zero_point.iter().position(|zero| !is_integer(zero))?;
    let expected = "a zero point that is an integer from -127 to 127";
    Some((channels + index, expected))
}

/// Largest limit, and largest coefficient, of an activation: those in use are below 11, and 1. Their product with a
/// value that an epilogue makes is then finite.
const MAX_ACTIVATION: f32 = 1024.0;

/// As [`check_quantization`].
fn check_activation(values: &[f32]) -> Option<(usize, &'static str)> {
    let (limit, map) = (values[0], values[1]);
    if !(limit > 0.0 && limit <= MAX_ACTIVATION) {
        return Some((0, "a limit above 0, at most 1024"));
    }
    // Either rounding of it.
    if (map * limit - 2.0).abs() > 1e-6 {
        return Some((1, "2 / limit"));
    }
    let large = values.iter().position(|x| x.abs() > MAX_ACTIVATION);
    large.map(|index| (index, "of magnitude at most 1024"))
}

/// How far from 1 the length of a class's vector may be.
const LENGTH_TOLERANCE: f64 = 1e-3;

fn length(row: &[f32]) -> f64 {
    row.iter()
        .map(|&x| f64::from(x).powi(2))
        .sum::<f64>()
        .sqrt()
}
