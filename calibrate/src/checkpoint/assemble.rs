//! From the tensors of a file to the weights of a model.

use super::error::Defect;
use super::file::{TensorFile, check_finite};
use super::naming::{Entry, Listing};
use super::tensor::{Dimensions, Transformation};
use super::weights::{Block, Weights};

/// Reads every tensor that `listing` names: fuses queries, keys and values, folds class token and LayerScale.
///
/// `dimensions` must be those of a valid model.
///
/// # Errors
/// [`Defect::Shape`], [`Defect::Type`], [`Defect::NonFinite`], with the tensor's name.
pub(super) fn assemble(
    file: &TensorFile<'_>,
    listing: &Listing,
    dimensions: &Dimensions,
) -> Result<Weights, Defect> {
    let mut weights = Weights {
        blocks: vec![Block::default(); dimensions.depth],
        ..Weights::default()
    };
    for entry in &listing.entries {
        let shape = entry.tensor.shape(dimensions);
        if entry.present {
            let values = file.values(&entry.name, &shape)?;
            apply(&mut weights, entry, values)?;
        } else if let Transformation::AppendOrZeros(slot) = entry.tensor.transformation() {
            let weight = slot.of(&mut weights, entry.layer);
            weight.resize(weight.len() + shape.iter().product::<usize>(), 0.0);
        }
    }
    Ok(weights)
}

/// Does with a tensor's values what its place in the list says.
fn apply(weights: &mut Weights, entry: &Entry, values: Vec<f32>) -> Result<(), Defect> {
    let layer = entry.layer;
    match entry.tensor.transformation() {
        Transformation::Append(slot) | Transformation::AppendOrZeros(slot) => {
            let weight = slot.of(weights, layer);
            if weight.is_empty() {
                *weight = values;
            } else {
                weight.extend(values);
            }
            Ok(())
        }
        Transformation::AddToFirstRow(slot) => {
            let weight = slot.of(weights, layer);
            weight.iter_mut().zip(values).for_each(|(w, x)| *w += x);
            check_finite(
                &format!("{} plus the position embedding", entry.name),
                weight,
            )
        }
        Transformation::ScaleOutputs { weight, bias } => {
            let name = format!("weight or bias times {}", entry.name);
            for slot in [weight, bias] {
                let weight = slot.of(weights, layer);
                let inputs = weight.len() / values.len();
                for (row, factor) in weight.chunks_exact_mut(inputs).zip(&values) {
                    row.iter_mut().for_each(|w| *w *= factor);
                }
                check_finite(&name, weight)?;
            }
            Ok(())
        }
    }
}
