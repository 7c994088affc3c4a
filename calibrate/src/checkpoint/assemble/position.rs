//! The position table: prefix tokens with their rows folded in, then a row for each patch.

use super::resample::resample;
use super::sizes::Sizes;
use crate::checkpoint::anatomy::{Anatomy, PrefixRows};
use crate::checkpoint::error::Defect;
use crate::checkpoint::files::check_finite;
use crate::checkpoint::tensors::Tensors;

/// (T, C)
pub(super) fn table(
    tensors: &Tensors<'_>,
    anatomy: &Anatomy,
    sizes: &Sizes,
) -> Result<Vec<f32>, Defect> {
    let names = &anatomy.names;
    let width = sizes.width;
    let mut table = Vec::new();
    for name in &names.prefix {
        table.extend(tensors.rows(name, width)?);
    }
    let patches = sizes.side * sizes.side;
    let Some(position) = &names.position else {
        table.resize(table.len() + patches * width, 0.0);
        return Ok(table);
    };
    let rows = tensors.rows(&position.name, width)?;
    let with_rows = match position.rows {
        PrefixRows::All => sizes.prefix,
        PrefixRows::First => sizes.prefix.min(1),
        PrefixRows::None => 0,
    };
    let (of_prefix, of_patches) = rows.split_at(with_rows * width);
    table.iter_mut().zip(of_prefix).for_each(|(t, p)| *t += p);
    if sizes.side == sizes.table_side {
        table.extend_from_slice(of_patches);
    } else {
        let sides = [sizes.table_side, sizes.side];
        table.extend(resample(of_patches, width, sides, anatomy.facts.resampling));
    }
    check_finite(&format!("{} plus the prefix tokens", position.name), &table)?;
    Ok(table)
}
