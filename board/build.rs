//! Tells the program which source it was built from: `MERGEVIT_LONG_VERSION` is what `--version` prints.
//!
//! The commit comes from the first of these that has one:
//! - `MERGEVIT_COMMIT`, for a packager who builds from an archive; `SOURCE_DATE_EPOCH` gives the date beside it;
//! - `.cargo_vcs_info.json`, which `cargo package` writes into a crate;
//! - git, if the repository around this package tracks it.
//!
//! Both programs share this file: `calibrate/build.rs` is a symbolic link to it, which `cargo package` follows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What a program is made of. Only a change in these makes it `-dirty`: to edit a test or a document must not
/// build the program again.
const SOURCES: [&str; 6] = [
    ":/Cargo.*",
    ":/*/Cargo.toml",
    ":/*/build.rs",
    ":/*/src/*",
    ":/*/compiled/*",
    ":/*/assets/*",
];

/// Where the source came from.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Origin {
    /// Seven digits or more, with `-dirty` after them if the source differs from the commit.
    pub(crate) commit: Option<String>,
    /// The commit's day, `YYYY-MM-DD` in UTC.
    pub(crate) date: Option<String>,
    /// The files that say so: when one of them changes, so may the answer.
    pub(crate) watched: Vec<PathBuf>,
}

fn main() {
    let package = PathBuf::from(cargo_variable("CARGO_MANIFEST_DIR"));
    let mut origin = match packager_variable("MERGEVIT_COMMIT") {
        Some(commit) => Origin {
            commit: Some(commit),
            ..Origin::default()
        },
        None => packaged(&package)
            .or_else(|| tracked(&package))
            .unwrap_or_default(),
    };
    if let Some(seconds) = packager_variable("SOURCE_DATE_EPOCH") {
        let seconds = seconds.parse().unwrap_or_else(|_| {
            panic!(
                "SOURCE_DATE_EPOCH is `{seconds}`, expected seconds since 1970 as a whole number"
            )
        });
        origin.date = Some(day_of(seconds));
    }
    println!("cargo::rerun-if-changed=build.rs");
    for path in &origin.watched {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let features = env::var("CARGO_CFG_FEATURE").unwrap_or_default();
    println!(
        "cargo::rustc-env=MERGEVIT_LONG_VERSION={}",
        long_version(
            &cargo_variable("CARGO_PKG_VERSION"),
            &origin,
            &features,
            &cargo_variable("TARGET")
        )
    );
}

fn cargo_variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|error| panic!("{name}, which cargo sets for build scripts: {error}"))
}

/// A variable that whoever builds may set; the script runs again when it changes.
fn packager_variable(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn long_version(version: &str, origin: &Origin, features: &str, target: &str) -> String {
    let commit = origin.commit.as_deref().unwrap_or("no commit recorded");
    let date = origin.date.as_ref().map(|date| format!(", {date}"));
    let features = match features {
        "" => "none".to_owned(),
        list => list.replace(',', ", "),
    };
    format!(
        "{version} ({commit}{}; features: {features}; {target})",
        date.unwrap_or_default()
    )
}

/// The origin of a crate that cargo packaged.
pub(crate) fn packaged(package: &Path) -> Option<Origin> {
    let path = package.join(".cargo_vcs_info.json");
    let text: String = fs::read_to_string(&path).ok()?.split_whitespace().collect();
    let (_, hash) = text.split_once(r#""sha1":""#)?;
    let dirty = if text.contains(r#""dirty":true"#) {
        "-dirty"
    } else {
        ""
    };
    Some(Origin {
        commit: Some(format!("{}{dirty}", hash.get(..7)?)),
        date: None,
        watched: vec![path],
    })
}

/// The origin of a package in a git repository, which may be a worktree.
pub(crate) fn tracked(package: &Path) -> Option<Origin> {
    // The repository around an unpacked archive knows nothing of it.
    git(
        package,
        &["ls-files", "--error-unmatch", "--", "Cargo.toml"],
    )?;
    let hash = git(package, &["rev-parse", "--short=7", "HEAD"])?;
    let changes = [
        &["status", "--porcelain", "--untracked-files=no", "--"],
        SOURCES.as_slice(),
    ]
    .concat();
    let dirty = if git(package, &changes)?.is_empty() {
        ""
    } else {
        "-dirty"
    };

    let sources = git(package, &[&["ls-files", "--"], SOURCES.as_slice()].concat())?;
    let mut watched: Vec<_> = sources.lines().map(|file| package.join(file)).collect();
    watched.extend(head_files(package)?);
    Some(Origin {
        commit: Some(format!("{hash}{dirty}")),
        date: git(
            package,
            &["log", "-1", "--date=format-local:%Y-%m-%d", "--format=%cd"],
        ),
        watched,
    })
}

/// The files of which git writes at least one when the current commit becomes another.
pub(crate) fn head_files(package: &Path) -> Option<Vec<PathBuf>> {
    let path = |name: &str| {
        git(package, &["rev-parse", "--git-path", name]).map(|path| package.join(path))
    };
    let mut files = vec![path("HEAD")?];
    let log = path("logs/HEAD")?;
    if log.exists() {
        files.push(log);
    } else if let Some(branch) = git(package, &["symbolic-ref", "--quiet", "HEAD"]) {
        // A branch in `packed-refs` has no file yet. Cargo runs a script every time if a file is missing.
        files.push(path(&branch)?);
    }
    Some(files)
}

/// What git prints, or nothing if it is not installed or refuses.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        // A build must not wait for, or disturb, another git at work.
        .arg("--no-optional-locks")
        // Names as they are, whatever their letters.
        .args(["-c", "core.quotePath=false"])
        .args(arguments)
        .current_dir(folder)
        .env("TZ", "UTC0")
        // A hook that builds has these set, relative to another folder.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// The day of a time in seconds since 1970, `YYYY-MM-DD` in UTC.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
pub(crate) fn day_of(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
