//! Which tensors a model has, by name: all that are missing or have no meaning are named at once.

use super::anatomy::{
    Anatomy, Head, LayerNames, Linear, Mlp, Names, PoolingNames, PoolingQkv, Qkv, Rotary,
};
use super::error::Defect;
use super::tensors::Tensors;
use std::collections::BTreeSet;

/// The names of all tensors of a model with `depth` layers. A norm's bias may be absent.
struct Inventory {
    required: BTreeSet<String>,
    optional: BTreeSet<String>,
}

impl Inventory {
    fn of(anatomy: &Anatomy, depth: usize) -> Self {
        let Names {
            patch,
            patch_side: _,
            prefix,
            position,
            pre_norm,
            layer,
            block,
            token_norm,
            pooling,
            final_norm,
            head,
            own: _,
        } = &anatomy.names;
        let mut all = Self {
            required: BTreeSet::new(),
            optional: BTreeSet::new(),
        };
        all.linear("", patch);
        all.required.extend(prefix.iter().cloned());
        all.required.extend(position.iter().map(|position| position.name.clone()));
        for norm in [pre_norm, token_norm, final_norm].into_iter().flatten() {
            all.norm("", norm);
        }
        if let Some(Rotary::Mixed { tensor, .. }) = &anatomy.facts.rotary {
            all.required.insert(tensor.clone());
        }
        for index in 0..depth {
            all.block(&layer.replace("{}", &index.to_string()), block);
        }
        if let Some(pooling) = pooling {
            all.pooling(pooling);
        }
        match head {
            Head::None => {}
            Head::Linear(linear) => all.linear("", linear),
            Head::Averaged(linears) => linears.iter().for_each(|linear| all.linear("", linear)),
            Head::Transposed(name) => drop(all.required.insert(name.clone())),
        }
        all
    }

    fn linear(&mut self, start: &str, linear: &Linear) {
        let names = [Some(&linear.weight), linear.bias.as_ref()];
        let names = names.into_iter().flatten();
        self.required.extend(names.map(|name| format!("{start}{name}")));
    }

    fn norm(&mut self, start: &str, name: &str) {
        self.required.insert(format!("{start}{name}.weight"));
        self.optional.insert(format!("{start}{name}.bias"));
    }

    fn block(&mut self, start: &str, names: &LayerNames) {
        self.norm(start, &names.norm1);
        self.norm(start, &names.norm2);
        match &names.qkv {
            Qkv::Fused(linear) => self.linear(start, linear),
            Qkv::FusedOddBias {
                weight,
                query,
                value,
            } => {
                let names = [weight, query, value].map(|name| format!("{start}{name}"));
                self.required.extend(names);
            }
            Qkv::Split(linears) => linears.iter().for_each(|linear| self.linear(start, linear)),
        }
        self.linear(start, &names.proj);
        let scales = [&names.scale1, &names.scale2].into_iter().flatten();
        self.required.extend(scales.map(|name| format!("{start}{name}")));
        let (inner, norm) = match &names.mlp {
            Mlp::Plain { fc1, fc2 } => (vec![fc1, fc2], &None),
            Mlp::Packed { fc1, norm, fc2 } => (vec![fc1, fc2], norm),
            Mlp::Split {
                gate,
                value,
                norm,
                fc2,
            } => (vec![gate, value, fc2], norm),
        };
        inner.into_iter().for_each(|linear| self.linear(start, linear));
        if let Some(norm) = norm {
            self.norm(start, norm);
        }
    }

    fn pooling(&mut self, names: &PoolingNames) {
        self.required.insert(names.latent.clone());
        match &names.attention {
            PoolingQkv::Fused(linear) => self.linear("", linear),
            PoolingQkv::Query { query, key_value } => {
                self.linear("", query);
                self.linear("", key_value);
            }
        }
        for linear in [&names.proj, &names.fc1, &names.fc2] {
            self.linear("", linear);
        }
        self.norm("", &names.norm);
    }

    fn has(&self, name: &str) -> bool {
        self.required.contains(name) || self.optional.contains(name)
    }
}

/// Checks that a file has every tensor of a model with `depth` layers and no other of the model's own.
/// Returns the names of all others, in order.
///
/// # Errors
/// [`Defect::Names`] with every name that is missing or has no meaning.
pub(super) fn check(tensors: &Tensors<'_>, anatomy: &Anatomy, depth: usize) -> Result<Vec<String>, Defect> {
    let all = Inventory::of(anatomy, depth);
    let missing = all.required.iter().filter(|name| !tensors.has(name));
    let missing: Vec<String> = missing.cloned().collect();
    let mut others: Vec<&str> = tensors.names().filter(|name| !all.has(name)).collect();
    others.sort_unstable();
    let is_own = |name: &&str| anatomy.names.own.iter().any(|start| name.starts_with(start.as_str()));
    let (unknown, others): (Vec<&str>, Vec<&str>) = others.into_iter().partition(is_own);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    if missing.is_empty() && unknown.is_empty() {
        Ok(owned(others))
    } else {
        Err(Defect::Names {
            missing,
            unknown: owned(unknown),
        })
    }
}
