//! A classifier for classes of one's own, from some images of each, on the embeddings of a pack without classes.
//!
//! The embeddings are those that the pack gives in INT8, so that the classifier learns what it will see. [`make`] makes
//! one: a linear layer with cross-validated regularization, or a direction a class. [`assess`] says how good it is on
//! images that had no part in making it, by making it again without them.

mod add;
mod assess;
mod features;
mod folds;
mod lbfgs;
mod linear;
mod logistic;
mod make;
mod prototypes;
mod temperature;
#[cfg(test)]
mod tests;
mod unknown;

pub use add::with_class;
pub use assess::{Assessment, assess, folds_of};
pub use features::Features;
pub use folds::folds;
pub use make::{Head, HeadKind, HeadOptions, make};
