//! What the program gives to shells and to `man`.
//!
//! Both programs share this file: `calibrate/tests/shell.rs` is a symbolic link to it.

use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = match (
    option_env!("CARGO_BIN_EXE_mergevit"),
    option_env!("CARGO_BIN_EXE_mergevit-calibrate"),
) {
    (Some(path), _) | (None, Some(path)) => path,
    (None, None) => panic!("cargo names the program under test"),
};

fn name() -> &'static str {
    Path::new(PROGRAM).file_name().unwrap().to_str().unwrap()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = succeed(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let names = list
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The long options in a help text.
fn long_options(help: &str) -> impl Iterator<Item = &str> {
    help.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line
            .split_once(", ")
            .filter(|(short, _)| short.len() == 2)
            .map_or(line, |(_, long)| long);
        // An option that counts how often it is given ends in dots.
        line.strip_prefix("--")?.split([' ', '=', '.']).next()
    })
}

#[test]
fn every_shell_gets_a_script_that_knows_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = succeed(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(script.contains("help"), "{shell}");
    }
    assert_eq!(run(&["completions", "cmd.exe"]).status.code(), Some(2));
}

#[test]
fn bash_understands_its_script() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, succeed(&["completions", "bash"])).unwrap();
    for command in commands() {
        // Completes the command's last letter, then an option that every command has.
        let test = r#"
            source "$0" || exit 1
            function=$(complete -p "$name" | sed 's/.*-F \([^ ]*\).*/\1/')
            complete_last() {
                COMP_WORDS=("$name" "$@") COMP_CWORD=$#
                "$function" "$name" "${@: -1}" "${@: -2:1}"
                echo "${COMPREPLY[@]}"
            }
            complete_last "${command%?}"
            complete_last "$command" --hel
        "#;
        let output = Command::new("bash")
            .args(["-c", test])
            .arg(&path)
            .env("name", name())
            .env("command", &command)
            .output();
        let Ok(output) = output else {
            return; // There is no bash here.
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{command}\n--help\n")
        );
    }
}

#[test]
fn the_manual_has_every_command_and_every_option() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    succeed(&["man", "--output", pages.to_str().unwrap()]);
    // Groff's hyphens are escaped.
    let page = |name: &str| {
        std::fs::read_to_string(pages.join(name))
            .unwrap()
            .replace('\\', "")
    };

    let whole = page(&format!("{}.1", name()));
    assert!(
        whole.contains(concat!("v", env!("CARGO_PKG_VERSION"), "\n")),
        "{whole}"
    );
    for command in commands() {
        assert!(
            whole.contains(&format!("{}-{command}(1)", name())),
            "{command}"
        );
        let own = page(&format!("{}-{command}.1", name()));
        let help = succeed(&[&command, "--help"]);
        assert!(long_options(&help).count() > 0, "{help}");
        for option in long_options(&help) {
            assert!(
                own.contains(&format!("--{option}")),
                "{command}: --{option}"
            );
        }
    }
}

#[test]
fn a_manual_that_cannot_be_written_is_a_failure() {
    let output = run(&["man", "--output", "/dev/null/man1"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("/dev/null/man1: cannot write manual pages"),
        "{errors}"
    );
}
