//! `--version` names the source that the program was built from.

#[path = "../build.rs"]
#[expect(dead_code, reason = "`main` is for cargo to call")]
mod build;

use std::fs;
use std::path::Path;
use std::process::Command;

fn printed(flag: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mergevit"))
        .arg(flag)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_COMMITTER_DATE", "2024-02-29T23:30:00+0000")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A repository with a package in `program`, one commit; nothing where git is not installed.
fn repository() -> Option<tempfile::TempDir> {
    Command::new("git").arg("--version").output().ok()?;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("program/src")).unwrap();
    fs::write(folder.path().join("program/Cargo.toml"), "").unwrap();
    fs::write(folder.path().join("program/src/main.rs"), "").unwrap();
    fs::write(folder.path().join("README.md"), "").unwrap();
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "first"]);
    Some(folder)
}

fn commit(package: &Path) -> String {
    build::tracked(package).unwrap().commit.unwrap()
}

#[test]
fn the_short_version_is_the_number() {
    assert_eq!(
        printed("-V"),
        concat!("mergevit ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn the_long_version_names_commit_features_and_target() {
    let version = printed("--version");
    assert_eq!(
        version,
        format!("mergevit {}\n", env!("MERGEVIT_LONG_VERSION"))
    );
    let start = concat!("mergevit ", env!("CARGO_PKG_VERSION"), " (");
    assert!(version.starts_with(start), "{version}");
    let known = [
        ("camera", cfg!(feature = "camera")),
        ("mqtt", cfg!(feature = "mqtt")),
        ("page", cfg!(feature = "page")),
    ];
    let built = known.iter().filter(|(_, is_built)| *is_built);
    let features = built.map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let features = if features.is_empty() {
        "none"
    } else {
        &features
    };
    assert!(
        version.contains(&format!("; features: {features}; ")),
        "{version}"
    );
    assert!(version.contains(std::env::consts::ARCH), "{version}");
}

#[test]
fn the_parts_that_are_known_are_named() {
    let mut origin = build::Origin::default();
    let version =
        |origin: &build::Origin, features| build::long_version("1.2.3", origin, features, "m68k");
    assert_eq!(
        version(&origin, ""),
        "1.2.3 (no commit recorded; features: none; m68k)"
    );
    origin.commit = Some("705044b".into());
    assert_eq!(
        version(&origin, "a,b"),
        "1.2.3 (705044b; features: a, b; m68k)"
    );
    origin.date = Some("2026-11-24".into());
    assert_eq!(
        version(&origin, "a"),
        "1.2.3 (705044b, 2026-11-24; features: a; m68k)"
    );
}

#[test]
fn a_change_in_the_sources_makes_the_commit_dirty() {
    let Some(folder) = repository() else { return };
    let package = folder.path().join("program");
    let origin = build::tracked(&package).unwrap();
    assert_eq!(origin.date.as_deref(), Some("2024-02-29"));
    let clean = origin.commit.unwrap();
    assert_eq!(clean.len(), 7);

    fs::write(folder.path().join("README.md"), "a document").unwrap();
    assert_eq!(commit(&package), clean);
    fs::write(package.join("src/main.rs"), "fn main() {}").unwrap();
    assert_eq!(commit(&package), format!("{clean}-dirty"));
}

#[test]
fn a_commit_touches_a_watched_file() {
    let Some(folder) = repository() else { return };
    let tree = tempfile::tempdir().unwrap();
    let worktree = tree.path().join("worktree");
    git(
        folder.path(),
        &["worktree", "add", "--quiet", worktree.to_str().unwrap()],
    );
    for root in [folder.path(), &worktree] {
        let package = root.join("program");
        let contents = || -> Vec<_> {
            build::head_files(&package)
                .unwrap()
                .iter()
                .map(|path| fs::read(path).unwrap())
                .collect()
        };
        let before = contents();
        git(
            root,
            &["commit", "--quiet", "--allow-empty", "--message", "second"],
        );
        assert_ne!(contents(), before, "{}", root.display());
    }
}

#[test]
fn a_branch_without_a_file_or_log_is_looked_up_each_time() {
    let Some(folder) = repository() else { return };
    git(folder.path(), &["pack-refs", "--all"]);
    fs::remove_dir_all(folder.path().join(".git/logs")).unwrap();
    let files = build::head_files(&folder.path().join("program")).unwrap();
    // Cargo runs a build script again if a file it watches is missing.
    assert!(files.iter().any(|path| !path.exists()), "{files:?}");
}

#[test]
fn an_archive_in_somebody_elses_repository_has_no_commit() {
    let Some(folder) = repository() else { return };
    let package = folder.path().join("unpacked");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("Cargo.toml"), "").unwrap();
    assert_eq!(build::tracked(&package), None);
}

#[test]
fn a_packaged_crate_knows_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let info = |text: &str| {
        fs::write(folder.path().join(".cargo_vcs_info.json"), text).unwrap();
        build::packaged(folder.path()).and_then(|origin| origin.commit)
    };
    assert_eq!(build::packaged(folder.path()), None);
    let hash = "705044b1e5c16163032283bc75102eb6e1a4cae1";
    let clean = format!(
        "{{\n  \"git\": {{\n    \"sha1\": \"{hash}\"\n  }},\n  \"path_in_vcs\": \"board\"\n}}"
    );
    assert_eq!(info(&clean).as_deref(), Some("705044b"));
    let dirty = clean.replace("\n  }", ",\n    \"dirty\": true\n  }");
    assert_eq!(info(&dirty).as_deref(), Some("705044b-dirty"));
    assert_eq!(info("{}"), None);
    assert_eq!(info(r#"{"git": {"sha1": "70"}}"#), None);
}

#[test]
fn days_follow_the_calendar() {
    for (seconds, day) in [
        (0, "1970-01-01"),
        (951_782_399, "2000-02-28"),
        (951_782_400, "2000-02-29"),
        (1_709_251_199, "2024-02-29"),
        (1_735_689_600, "2025-01-01"),
        (4_107_542_400, "2100-03-01"),
    ] {
        assert_eq!(build::day_of(seconds), day);
    }
}
