//! A report as one page that needs nothing else: no network, no script.
//!
//! It is made of the [`Report`] alone, a section a file. A section without anything to show is left out.

mod confusion;
mod figures;
mod front;
mod made;
mod noise;
mod packed;
mod parts;
mod reliability;
mod results;
mod why;
mod worst;

use super::markup::escape;
use super::results::Report;
use parts::Section;
use std::fmt::Write;

/// Of the whole page.
const STYLE: &str = include_str!("style.css");

/// The report as a page: what was packed, results with their intervals, plots, confusion, the worst images, and how
/// everything was made. It adapts to light and dark, to paper and to a phone.
pub fn html(report: &Report) -> String {
    let title = format!("{} on {}", report.model, report.dataset);
    let title = escape(&title);
    let mut sections = vec![
        packed::section(report),
        results::section(report),
        front::section(report),
        noise::section(report),
        why::section(report),
        reliability::section(report),
        confusion::section(report),
        worst::section(report),
        made::section(report),
    ];
    sections.retain(|section| !section.body.is_empty());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"{}\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n<p class=\"lead\">{}, INT8 on {}, {}</p>\n",
        escape(&report.tool),
        escape(&report.count()),
        escape(&report.backend),
        escape(&report.date),
    );
    page.push_str(&figures::tiles(report));
    page.push_str("<nav>");
    for Section { id, title, .. } in &sections {
        // Writing to a string cannot fail.
        let _ = write!(page, "<a href=\"#{id}\">{title}</a>");
    }
    page.push_str("</nav>\n");
    for Section { id, title, body } in &sections {
        let _ = write!(
            page,
            "<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>\n"
        );
    }
    let _ = write!(
        page,
        "<footer>{}</footer>\n</main>\n</body>\n</html>\n",
        escape(&report.tool)
    );
    page
}
