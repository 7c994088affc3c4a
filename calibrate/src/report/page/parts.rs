//! What sections are made of.

use super::super::interval::interval;
use super::super::markup::escape;
use std::fmt::Write;

/// A part of the page.
pub(super) struct Section {
    /// Unique.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// HTML; empty where there is nothing to show.
    pub(super) body: String,
}

/// A fraction in percent with two decimals; a dash where there is none.
pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "–".into(), |x| format!("{:.2}", 100.0 * x))
}

/// A fraction in percent with its interval below, as the content of a cell. It was found in `n` images.
pub(super) fn with_interval(fraction: Option<f64>, n: u64) -> String {
    match fraction {
        Some(p) if n > 0 => {
            let (low, high) = interval(p, n);
            format!(
                "{}<small>{:.2} to {:.2}</small>",
                percent(fraction),
                100.0 * low,
                100.0 * high
            )
        }
        _ => percent(fraction),
    }
}

/// Decibels with one decimal; a dash where there are none.
pub(super) fn decibels(db: Option<f64>) -> String {
    db.map_or_else(|| "–".into(), |db| format!("{db:.1}"))
}

/// A table with a row of heads. Cells are HTML; the first of a row is its head.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("<div class=\"wide\"><table>\n<thead><tr>");
    for name in head {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        let mut cells = row.iter();
        let first = cells.next().map_or("", String::as_str);
        let _ = write!(out, "<tr><th scope=\"row\">{first}</th>");
        for cell in cells {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// Names with their values. Values are text.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let mut out = String::from("<dl>\n");
    for (name, value) in facts {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    out.push_str("</dl>\n");
    out
}
