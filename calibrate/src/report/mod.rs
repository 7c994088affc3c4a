//! What an evaluation found: as data for machines, as text and as a page for people.

mod cascades;
mod interval;
mod json;
mod markup;
mod page;
mod plot;
mod results;
mod table;
mod text;
mod why;
mod worst;

pub use json::json;
pub use page::html;
pub use results::{
    CascadeReport, ClassReport, ConfusedPair, Confusion, Fault, FrontBasis, FrontPoint, Made,
    ModelFacts, NAMED_PAIRS, ReliabilityBin, Report, ScheduleReport, ScoredClass, TABLE_CLASSES,
    WorstImage,
};
pub(crate) use table::Table;
pub use text::text;
pub(crate) use text::write_table;
pub use worst::{Suspect, examine, suspects};
