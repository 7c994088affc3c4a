//! The images on which the pack does worst.

use super::super::markup::escape;
use super::super::results::{Fault, Report, ScoredClass, WorstImage};
use super::parts::Section;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use mergevit_runtime::image::{Rgb, merged_tokens};
use std::fmt::Write;

/// Pixels of a merged-token picture a pixel of the image: room for outlines.
const ZOOM: usize = 2;

pub(super) fn section(report: &Report) -> Section {
    let mut body = String::new();
    if !report.worst.is_empty() {
        body += "<p>First the images to which INT8 gives another answer than FP32, then those where the answer is wrong, \
                 the surest first. Where tokens merged, beside the image is what the network sees of it in the end: patches that merged into \
                 one token have their mean colour and the token's outline, wherever they lie.</p>\n<div class=\"gallery\">\n";
        for image in &report.worst {
            body += &card(image);
        }
        body += "</div>\n";
    }
    Section {
        id: "worst",
        title: "The worst images",
        body,
    }
}

fn card(worst: &WorstImage) -> String {
    let (title, schedule) = (escape(&worst.image), escape(&worst.schedule));
    let label = worst
        .label
        .as_deref()
        .map_or("without label".into(), escape);
    let fault = match worst.fault {
        Fault::Disagrees => "INT8 and FP32 disagree",
        Fault::Wrong => "wrong",
    };
    let mut out = String::from("<figure class=\"image\">\n");
    out += &pictures(worst);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<h3>{label}</h3>\n<p class=\"note\">{fault} under {schedule}: {title}</p>\n<div class=\"answers\">{}{}</div>\n</figure>\n",
        answers("INT8", &worst.int8, worst.label.as_deref()),
        answers("FP32", &worst.fp32, worst.label.as_deref()),
    );
    out
}

fn pictures(worst: &WorstImage) -> String {
    let size = (worst.pixels.len() / 3).isqrt();
    let Some(image) = Rgb::from_pixels(size, size, worst.pixels.clone()) else {
        return String::new();
    };
    let mut distinct = worst.token_of_patch.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let (left, all) = (distinct.len(), worst.token_of_patch.len());
    if left == all {
        // Nothing merged: one picture says it all.
        return format!(
            "<div class=\"pair\"><img alt=\"the image\" width=\"{size}\" height=\"{size}\" src=\"{}\"></div>\n",
            data(&image)
        );
    }
    let tokens = merged_tokens(&worst.pixels, &worst.token_of_patch, ZOOM);
    format!(
        "<div class=\"pair\"><img alt=\"the image\" width=\"{size}\" height=\"{size}\" src=\"{}\"><img \
         alt=\"{all} patches as {left} tokens\" title=\"{all} patches as {left} tokens\" width=\"{size}\" \
         height=\"{size}\" src=\"{}\"></div>\n",
        data(&image),
        data(&tokens)
    )
}

/// A picture within the page.
fn data(picture: &Rgb) -> String {
    format!(
        "data:image/png;base64,{}",
        BASE64_STANDARD.encode(picture.to_png())
    )
}

fn answers(who: &str, answers: &[ScoredClass], label: Option<&str>) -> String {
    if answers.is_empty() {
        return String::new();
    }
    let mut out = format!("<div><b>{who}</b><ol>");
    for ScoredClass {
        label: name,
        probability,
    } in answers
    {
        let class = if Some(name.as_str()) == label {
            " class=\"right\""
        } else {
            ""
        };
        let _ = write!(
            out,
            "<li{class} style=\"--share:{probability:.3}\"><span>{}</span><span>{:.1}\u{a0}%</span></li>",
            escape(name),
            100.0 * probability
        );
    }
    out += "</ol></div>";
    out
}
