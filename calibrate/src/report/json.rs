//! A report for machines.

use super::results::Report;

/// One JSON object, indented, with a newline at its end.
///
/// # Errors
/// None is known; serialization could report one.
pub fn json(report: &Report) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}
