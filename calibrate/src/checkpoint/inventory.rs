//! Which tensors a model has, by name: all that are missing or have no meaning are named at once.

use super::anatomy::{
    Anatomy, Head, LayerNames, Linear, Mlp, Names, PoolingNames, PoolingQkv, Qkv, Rotary,
};
use super::error::Defect;
use super::tensors::Tensors;
use mergevit_runtime::Normalization;
use std::collections::BTreeSet;

/// The names of all tensors of a model.
struct Inventory {
    names: BTreeSet<String>,
    /// What a norm's tensors are called after its name.
    norm: &'static [&'static str],
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
            names: BTreeSet::new(),
            norm: match anatomy.facts.norm {
                Normalization::Rms => &["weight"],
                Normalization::Layer | Normalization::None => &["weight", "bias"],
            },
        };
        all.linear("", patch);
        all.names.extend(prefix.iter().cloned());
        all.names
            .extend(position.iter().map(|position| position.name.clone()));
        for norm in [pre_norm, token_norm, final_norm].into_iter().flatten() {
            all.norm("", norm);
        }
        if let Some(Rotary::Mixed { tensor, .. }) = &anatomy.facts.rotary {
            all.names.insert(tensor.clone());
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
            Head::Transposed(name) => drop(all.names.insert(name.clone())),
        }
        all
    }

    fn linear(&mut self, start: &str, linear: &Linear) {
        let names = [Some(&linear.weight), linear.bias.as_ref()];
        let names = names.into_iter().flatten();
        self.names
            .extend(names.map(|name| format!("{start}{name}")));
    }

    fn norm(&mut self, start: &str, name: &str) {
        let names = self.norm.iter().map(|part| format!("{start}{name}.{part}"));
        self.names.extend(names);
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
                self.names.extend(names);
            }
            Qkv::Split(linears) => linears.iter().for_each(|linear| self.linear(start, linear)),
        }
        self.linear(start, &names.proj);
        let scales = [&names.scale1, &names.scale2].into_iter().flatten();
        self.names
            .extend(scales.map(|name| format!("{start}{name}")));
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
        inner
            .into_iter()
            .for_each(|linear| self.linear(start, linear));
        if let Some(norm) = norm {
            self.norm(start, norm);
        }
    }

    fn pooling(&mut self, names: &PoolingNames) {
        self.names.insert(names.latent.clone());
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
}

/// Checks that a file has every tensor of a model with `depth` layers and no other of the model's own.
/// Returns the names of all others, in order.
///
/// # Errors
/// [`Defect::Names`] with every name that is missing or has no meaning.
pub(super) fn check(
    tensors: &Tensors<'_>,
    anatomy: &Anatomy,
    depth: usize,
) -> Result<Vec<String>, Defect> {
    let all = Inventory::of(anatomy, depth);
    let missing = all.names.iter().filter(|name| !tensors.has(name));
    let missing: Vec<String> = missing.cloned().collect();
    let mut others: Vec<&str> = tensors
        .names()
        .filter(|name| !all.names.contains(*name))
        .collect();
    others.sort_unstable();
    let is_own = |name: &&str| {
        anatomy
            .names
            .own
            .iter()
            .any(|start| name.starts_with(start.as_str()))
    };
    let (unknown, others): (Vec<&str>, Vec<&str>) = others.into_iter().partition(is_own);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    if missing.is_empty() && unknown.is_empty() {
        Ok(owned(others))
    } else {
        let full = |names: Vec<String>| names.iter().map(|name| tensors.full_name(name)).collect();
        Err(Defect::Names {
            missing: full(missing),
            unknown: full(owned(unknown)),
        })
    }
}
