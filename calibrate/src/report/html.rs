//! A report as one self-contained page.

use super::results::Report;
use super::table::{Table, accuracy, classes, embeddings, facts, noise};
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;border-bottom:1px solid #ccc;\
text-align:right}dt{float:left;clear:left;width:12em;color:#555}dd{margin-left:12em}th:first-child,td:first-child{text-align:left}";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn row(page: &mut String, tag: &str, cells: &[String]) {
    page.push_str("<tr>");
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(page, "<{tag}>{}</{tag}>", escape(cell));
    }
    page.push_str("</tr>\n");
}

fn section(page: &mut String, table: &Table) {
    let _ = write!(page, "<h2>{}</h2>\n<table>\n", table.title);
    row(page, "th", &table.header);
    for cells in &table.rows {
        row(page, "td", cells);
    }
    page.push_str("</table>\n");
}

/// A page that says what was measured, with the tables of accuracy, noise and classes.
pub fn html(report: &Report) -> String {
    let title = format!("{} on {}", escape(&report.model), escape(&report.dataset));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>{STYLE}</style>\n<h1>{title}</h1>\n<dl>\n",
    );
    for (name, value) in facts(report) {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    page.push_str("</dl>\n<p>After ± stands the standard error.</p>\n");
    let tables = [accuracy, embeddings, noise, classes];
    for table in tables.map(|table| table(report)) {
        if !table.rows.is_empty() {
            section(&mut page, &table);
        }
    }
    page.push_str("</html>\n");
    page
}
