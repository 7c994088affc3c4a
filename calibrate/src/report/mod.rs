//! What an evaluation found: as data for machines, as text and as a page for people.

mod html;
mod json;
mod results;
mod table;
mod text;

pub use html::html;
pub use json::json;
pub use results::{
    CascadeReport, ClassReport, ConfusedPair, Confusion, Fault, FrontBasis, FrontPoint, Made,
    ModelFacts, NAMED_PAIRS, ReliabilityBin, Report, ScheduleReport, ScoredClass, TABLE_CLASSES,
    WorstImage,
};
pub(crate) use table::Table;
pub use text::text;
pub(crate) use text::write_table;
