//! The page's own files. They are part of the program: nothing is built, nothing is loaded from elsewhere.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};

const PAGE: &str = include_str!("page.html");
const LOGIN: &str = include_str!("login.html");

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Under `/assets/`: name, type, content.
const FILES: [(&str, &str, &str); 10] = [
    ("style.css", STYLE, include_str!("style.css")),
    ("page.js", SCRIPT, include_str!("page.js")),
    ("picture.js", SCRIPT, include_str!("picture.js")),
    ("classes.js", SCRIPT, include_str!("classes.js")),
    ("charts.js", SCRIPT, include_str!("charts.js")),
    ("schedule.js", SCRIPT, include_str!("schedule.js")),
    ("status.js", SCRIPT, include_str!("status.js")),
    ("dom.js", SCRIPT, include_str!("dom.js")),
    ("login.js", SCRIPT, include_str!("login.js")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// What watches the run.
pub(super) fn page() -> Html<&'static str> {
    Html(PAGE)
}

/// What asks for the token.
pub(super) fn login() -> Html<&'static str> {
    Html(LOGIN)
}

/// One of [`FILES`].
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|file| file.0 == name) {
        Some(&(_, kind, content)) => ([(CONTENT_TYPE, kind)], content).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text names after one of these words, up to a quote.
    fn named<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
        let parts = text.split(before).skip(1);
        parts.filter_map(|part| part.split('"').next()).collect()
    }

    #[test]
    fn the_pages_name_files_that_there_are_and_no_others() {
        let mut used = Vec::new();
        for page in [PAGE, LOGIN] {
            used.extend(named(page, "=\"/assets/"));
            for outside in [
                "http:", "https:", "<script>", "style=\"", "onclick", "onload",
            ] {
                assert!(!page.contains(outside), "{outside}");
            }
        }
        for (_, _, content) in FILES {
            used.extend(named(content, "from \"./"));
        }
        for name in &used {
            assert!(FILES.iter().any(|file| file.0 == *name), "{name}");
        }
        for (name, ..) in FILES {
            assert!(used.contains(&name), "{name} is of no use");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_or_made_of_text() {
        for (name, kind, content) in FILES {
            let content = content.replace("http://www.w3.org/2000/svg", "");
            for word in [
                "http:",
                "https:",
                "@import",
                "url(",
                "innerHTML",
                "eval(",
                "Function(",
            ] {
                assert!(!content.contains(word), "{name}: {word}");
            }
            assert!(
                kind != SCRIPT
                    || content.is_ascii()
                    || content.contains('\u{2009}')
                    || name.ends_with(".js")
            );
        }
    }
}
