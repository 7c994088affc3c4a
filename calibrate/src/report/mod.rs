//! What an evaluation found: as data for machines, as text and as a page for people.

mod html;
mod results;
mod table;
mod text;

pub use html::html;
pub use results::{ClassReport, Report, ScheduleReport};
pub use text::text;
