//! A report for the terminal.

use super::cascades::{cascades, confidence};
use super::results::Report;
use super::table::{Table, accuracy, embeddings, noise};
use super::why;
use std::fmt::Write;

/// What was measured, accuracy and noise. Lines end with a newline.
pub fn text(report: &Report) -> String {
    let mut text = format!(
        "{} on {}: {}, backend {}\n",
        report.model,
        report.dataset,
        report.count(),
        report.backend
    );
    let tables = [
        accuracy(report),
        cascades(report),
        confidence(report),
        embeddings(report),
        noise(report),
        why::quantizers(report),
        why::layers(report),
    ];
    for table in tables {
        if !table.rows.is_empty() {
            text.push('\n');
            write_table(&mut text, &table);
        }
    }
    if let Some(hint) = report.why.as_ref().and_then(|why| why.hint.as_ref()) {
        text += &format!("\nhint: {hint}\n");
    }
    text
}

/// Columns as wide as their widest cell, the first one to the left and numbers to the right.
pub(crate) fn write_table(text: &mut String, table: &Table) {
    let lines = || std::iter::once(&table.header).chain(&table.rows);
    let width = |column: usize| lines().map(|line| line[column].chars().count()).max();
    for line in lines() {
        for (column, cell) in line.iter().enumerate() {
            let width = width(column).unwrap_or(0);
            // Writing to a string cannot fail.
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let table = Table {
            header: row(["schedule", "top-1 %", "GMAC"]),
            rows: vec![row(["r0", "87.02", "17.563"]), row(["late", "-", "9.1"])],
        };
        let mut text = String::new();
        write_table(&mut text, &table);
        let expected = "schedule  top-1 %    GMAC\n\
                        r0          87.02  17.563\n\
                        late            -     9.1\n";
        assert_eq!(text, expected);
    }
}
