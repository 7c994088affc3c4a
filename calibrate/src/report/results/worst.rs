//! The images on which the pack does worst.

use serde::Serialize;

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// It is not what full precision without merging answers.
    Disagrees,
    /// It is not the label.
    Wrong,
}

/// A class and how sure a network is of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredClass {
    /// The class's name, or its index if the pack has no names.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f64,
}

/// An image, what it is, and what the networks take it for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorstImage {
    /// Its path, or its number in the set.
    pub image: String,
    /// Name of the schedule that it ran under.
    pub schedule: String,
    /// What is wrong with the answer.
    pub fault: Fault,
    /// The class's name, if the image has a label.
    pub label: Option<String>,
    /// The pack's answers under that schedule, most likely first.
    pub int8: Vec<ScoredClass>,
    /// Those of full precision without merging; empty without a checkpoint.
    pub fp32: Vec<ScoredClass>,
    /// Patches in a row of the image.
    pub side: usize,
    /// (side²) the token, by its place after the last layer, that each patch is part of in the end, row by row.
    pub token_of_patch: Vec<u16>,
    /// The image at model resolution, RGB, 3 x 8 bits a pixel: not a fact, and not in JSON.
    #[serde(skip)]
    pub pixels: Vec<u8>,
}
