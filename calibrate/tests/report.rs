//! The report as a page and as data: the page needs nothing else, says what the data says, and takes nothing for markup.

mod common;

use common::{data, set, succeed};
use mergevit_calibrate::Evaluation;
use mergevit_calibrate::report::{Fault, Report, html, json, suspects};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{Engine, Pack};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs;

/// Elements without an end.
const VOID: [&str; 4] = ["meta", "img", "br", "!doctype"];

/// Elements of SVG that end themselves.
const SELF_CLOSING: [&str; 3] = ["path", "circle", "rect"];

/// Checks that every element is closed where it must be, and returns all start tags: name and attributes.
fn tags(page: &str) -> Vec<(String, String)> {
    let style = page.find("<style>").unwrap()..page.find("</style>").unwrap();
    let text = format!(
        "{}{}",
        &page[..style.start],
        &page[style.end + "</style>".len()..]
    );
    let (mut open, mut all): (Vec<String>, Vec<_>) = (Vec::new(), Vec::new());
    for part in text.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "near <{tag}>");
            continue;
        }
        let (name, attributes) = tag.split_once([' ', '\n']).unwrap_or((tag, ""));
        all.push((name.to_owned(), attributes.to_owned()));
        let ends_itself = tag.ends_with('/') && SELF_CLOSING.contains(&name);
        if !VOID.contains(&name) && !ends_itself {
            open.push(name.into());
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    all
}

/// Asserts what holds of every page.
fn check(page: &str) {
    assert!(page.starts_with("<!doctype html>\n") && page.ends_with("</html>\n"));
    let tags = tags(page);
    let (mut ids, mut targets) = (HashSet::new(), Vec::new());
    for (name, attributes) in &tags {
        assert!(
            !["script", "link", "iframe", "object"].contains(&name.as_str()),
            "<{name}>"
        );
        for source in attributes.split("src=\"").skip(1) {
            assert!(source.starts_with("data:image/png;base64,"), "{attributes}");
        }
        for part in attributes.split(' ') {
            if let Some(id) = part.strip_prefix("id=\"") {
                assert!(
                    ids.insert(id.trim_end_matches('"').to_owned()),
                    "twice: {id}"
                );
            }
            if let Some(target) = part.strip_prefix("href=\"#") {
                targets.push(target.split('"').next().unwrap().to_owned());
            }
        }
    }
    assert!(targets.len() >= 3);
    for target in targets {
        assert!(ids.contains(&target), "#{target} leads nowhere");
    }
    let style = &page[..page.find("</style>").unwrap()];
    for part in ["http:", "https:", "@import", "url("] {
        assert!(!style.contains(part), "{part}");
    }
    assert!(style.contains("prefers-color-scheme:dark") && style.contains("@media print"));
}

#[test]
fn the_page_says_what_the_data_says() {
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "evaluate -m ../board/assets/garments.mvit -c {} -i {} --limit 40 --json %r.json --report %r.html",
        data("garments").display(),
        set("test")
    );
    succeed(folder.path(), &command);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (page, report) = (read("r.html"), read("r.json"));
    check(&page);
    let report: Value = serde_json::from_str(&report).unwrap();
    let schedules = report["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 3);
    for schedule in schedules {
        for key in ["top1", "top5", "agreement", "ece"] {
            let fraction = schedule[key].as_f64().expect(key);
            let shown = format!("{:.2}", 100.0 * fraction);
            assert!(page.contains(&shown), "{key} {shown}");
        }
        let table = schedule["confusion"]["table"].as_array().unwrap();
        let rows = table.iter().flat_map(|row| row.as_array().unwrap());
        assert_eq!(rows.map(|count| count.as_u64().unwrap()).sum::<u64>(), 40);
    }
    for place in report["noise"].as_array().unwrap() {
        let shown = format!("{:.1}", place["signal_to_noise_db"].as_f64().unwrap());
        assert!(page.contains(&shown), "{shown} dB");
    }
    for worst in report["worst"].as_array().unwrap() {
        assert!(page.contains(worst["image"].as_str().unwrap()));
        assert_eq!(worst["token_of_patch"].as_array().unwrap().len(), 196);
        assert!(worst.get("pixels").is_none());
    }
    let made = &report["made"];
    assert!(
        made["command"]
            .as_str()
            .unwrap()
            .starts_with("mergevit-calibrate evaluate -m")
    );
    for text in [
        &report["pack_hash"],
        &made["provenance"]["checkpoint_hash"],
        &made["provenance"]["tool"],
    ] {
        assert!(page.contains(text.as_str().unwrap()), "{text}");
    }
}

/// A report of a random pack on random images, whose labels are random, too.
fn random(images: usize) -> (Report, usize) {
    let config = testing::tiny();
    let pack: Pack = testing::pack(&config, &[0, 3], 21);
    let engine = Engine::options().max_batch(4).build(pack).unwrap();
    let mut evaluation = Evaluation::new(engine, None, None).unwrap();
    let pixels = Random(5).bytes(images * config.image_bytes());
    let labels: Vec<Option<usize>> = (0..images)
        .map(|image| Some(image % config.classes))
        .collect();
    evaluation.classify(&pixels, &labels, &|| {}).unwrap();
    let suspects = suspects(&evaluation);
    let mut seen = HashMap::new();
    for suspect in &suspects {
        assert_eq!(suspect.fault, Fault::Wrong);
        assert_eq!(
            seen.insert(suspect.image, &suspect.schedule),
            None,
            "an image comes once"
        );
    }
    (
        Report::new(&evaluation, "noise", 2, Vec::new()),
        suspects.len(),
    )
}

#[test]
fn nothing_in_a_name_is_markup() {
    let (mut report, suspects) = random(12);
    assert!(suspects > 0);
    const HOSTILE: &str = "</style><script>alert('1')</script>\"&";
    report.dataset = HOSTILE.into();
    report.model = HOSTILE.into();
    report.pack = Some(HOSTILE.into());
    report.backend = HOSTILE.into();
    report.made.command = HOSTILE.into();
    report
        .made
        .provenance
        .settings
        .insert(HOSTILE.into(), HOSTILE.into());
    for schedule in &mut report.schedules {
        schedule.name = HOSTILE.into();
        for class in &mut schedule.classes {
            class.label = HOSTILE.into();
        }
        for pair in &mut schedule.confusion.as_mut().unwrap().pairs {
            pair.label = HOSTILE.into();
            pair.answer = HOSTILE.into();
        }
    }
    let page = html(&report);
    check(&page);
    assert!(!page.contains("<script"), "a name became markup");
    assert!(json(&report).unwrap().contains(r#"alert('1')</script>\"&"#));
}

#[test]
fn what_was_not_measured_has_no_section() {
    let (report, _) = random(3);
    let page = html(&report);
    check(&page);
    for absent in ["noise", "front", "worst", "why"] {
        assert!(!page.contains(&format!("id=\"{absent}\"")), "{absent}");
    }
    for present in ["packed", "results", "confusion", "made"] {
        assert!(page.contains(&format!("id=\"{present}\"")), "{present}");
    }
    assert!(page.contains("2 more could not be read"));
}
