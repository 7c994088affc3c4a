//! What every implementation must do as the scalar reference does: one function an operation, each over
//! all candidates of a set.

mod attention;
mod ends;
mod linear;
mod merging;
mod norms;

pub use attention::{check_attention, check_pool_attention};
pub use ends::{check_head, check_patchify, check_pool, check_rotary};
pub use linear::{
    Product, check_activation, check_embedding, check_linear, check_product, check_rotation,
};
pub use merging::{Places, check_merge};
pub use norms::check_norm;

use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::ops::Capacity;
use mergevit_kernels::reference::Reference;
use std::fmt::Debug;

/// Implementations to be compared with the reference.
pub trait Candidates {
    fn candidates(capacity: &Capacity) -> Vec<Box<dyn Kernels>>;
}

/// Room for the operation at hand.
fn capacity(batch: usize, tokens: usize, width: usize, inner: usize) -> Capacity {
    Capacity {
        batch,
        tokens,
        width,
        head_width: 64,
        inner,
    }
}

/// Every candidate gives the reference's results, which are returned.
fn compare<S: Candidates, R: PartialEq>(
    capacity: &Capacity,
    what: impl Debug,
    run: impl Fn(&mut dyn Kernels) -> R,
) -> R {
    let want = run(&mut Reference::new());
    for mut kernels in S::candidates(capacity) {
        let same = run(&mut *kernels) == want;
        let threads = kernels.threads();
        assert!(same, "{} on {threads} threads: {what:?}", kernels.name());
    }
    want
}

/// Bits of f16 values, so that `==` tells -0 from 0. All NaN are one: which it is, is left open.
pub fn bits(values: &[f16]) -> Vec<u16> {
    let bits = |value: &f16| if value.is_nan() { f16::NAN } else { *value }.to_bits();
    values.iter().map(bits).collect()
}

/// Bits of f32 values, likewise.
pub fn bits32(values: &[f32]) -> Vec<u32> {
    let bits = |value: &f32| if value.is_nan() { f32::NAN } else { *value }.to_bits();
    values.iter().map(bits).collect()
}

/// Patches that tokens stand for, up to `most`.
fn sizes(random: &mut mergevit_kernels::testing::Random, count: usize, most: usize) -> Vec<u32> {
    (0..count).map(|_| 1 + random.below(most) as u32).collect()
}
