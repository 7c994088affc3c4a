//! What `pack` says when it is done.

use super::progress::time;
use crate::report::{Table, write_table};
use mergevit_runtime::words::Count;
use mergevit_runtime::{Pack, Plan};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A line that says how large a pack is, its hash, and how long it took.
pub(super) fn write_size(text: &mut String, pack: &Pack, elapsed: Duration) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n{:.1} MB, {}, in {}",
        pack.len() as f64 / 1e6,
        pack.hash(),
        time(elapsed.as_secs_f64())
    );
}

/// What is in a pack that was made in `elapsed`, and what to do with it. It lies at `path`, unless it went to
/// standard output. Lines end with a newline.
pub(super) fn summary(pack: &Pack, path: Option<&Path>, elapsed: Duration) -> String {
    let (model, source) = (pack.config(), pack.provenance());
    let observer = source.settings.get("observer");
    let mut text = format!(
        "{}: {} x {} pixels, {}, {}\n\
         calibrated on {} of {}, observer {}\n\n",
        model.architecture,
        model.image_size,
        model.image_size,
        Count(model.depth as u64, "layer"),
        gives(pack),
        Count(source.calibration_images, "image"),
        source.calibration_set,
        observer.map_or("unknown", String::as_str),
    );
    write_table(&mut text, &schedules(pack));
    write_size(&mut text, pack, elapsed);
    if let Some(path) = path {
        let path = quoted(path);
        let _ = writeln!(
            text,
            "next: mergevit inspect {path}\n      mergevit classify --model {path} IMAGE"
        );
    }
    text
}

/// What comes out of the network: `10 classes`, or `embeddings of 384 numbers`.
fn gives(pack: &Pack) -> String {
    let model = pack.config();
    match (model.classifies(), model.scores()) {
        (true, 1) => "1 class".into(),
        (true, classes) => format!("{classes} classes"),
        (false, numbers) => format!("embeddings of {numbers} numbers"),
    }
}

fn schedules(pack: &Pack) -> Table {
    let row = |schedule| {
        let plan = Plan::new(pack.config(), schedule, 1).ok()?;
        let tokens = plan.tokens();
        Some(vec![
            schedule.name.clone(),
            format!("{} to {}", pack.config().tokens(), tokens[tokens.len() - 1]),
            format!("{:.3}", plan.cost().macs as f64 / 1e9),
        ])
    };
    Table {
        header: ["schedule", "tokens", "GMAC"].map(String::from).into(),
        // A valid pack's schedules can all be planned.
        rows: pack.schedules().iter().filter_map(row).collect(),
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%=:".contains(c);
    if path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        let quoted = |path: &str| quoted(path.as_ref());
        assert_eq!(quoted("models/vit-b_16.mvit"), "models/vit-b_16.mvit");
        assert_eq!(quoted("my model.mvit"), "'my model.mvit'");
        assert_eq!(quoted("it's.mvit"), r"'it'\''s.mvit'");
    }
}
