//! The command lines that the documents show, for a test that parses them.
//!
//! Both programs share this file: `calibrate/src/documented.rs` is a symbolic link to it.

use std::path::Path;

/// Relative to a crate. The package of a crate has the first alone.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "../README.md",
    "../CONTRIBUTING.md",
    "../BENCHMARKS.md",
    "../board/README.md",
    "../calibrate/README.md",
];

/// A call of a program in a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Document and line.
    pub(crate) place: String,
    /// The program's name, then its arguments.
    pub(crate) words: Vec<String>,
}

/// The calls of `program` in the code of all documents that are there.
pub(crate) fn calls(program: &str) -> Vec<Call> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts = DOCUMENTS.iter().filter_map(|document| {
        let text = std::fs::read_to_string(root.join(document)).ok()?;
        Some((document, text))
    });
    texts
        .flat_map(|(document, text)| calls_of(program, document, &shell_code(&text)))
        .collect()
}

/// Checks that `parse` takes every call, or answers it with help.
///
/// # Panics
/// At the first call that is refused, with its place; if there are no calls.
pub(crate) fn check<T>(calls: &[Call], parse: impl Fn(&[String]) -> Result<T, clap::Error>) {
    assert!(!calls.is_empty());
    for Call { place, words } in calls {
        if let Err(error) = parse(words)
            && error.use_stderr()
        {
            panic!("{place}: {}\n{error}", words.join(" "));
        }
    }
}

/// A Markdown text in which all lines but those of shell code are empty: in fences of `sh`, or indented.
fn shell_code(text: &str) -> String {
    let mut fence = None;
    let mut code = String::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = match fence {
                None => Some(language),
                Some(_) => None,
            };
        } else if fence == Some("sh") || (fence.is_none() && line.starts_with("    ")) {
            code.push_str(line);
        }
        code.push('\n');
    }
    code
}

/// The calls of `program` in shell code, through the target folder and cargo too. Variables stay as they are written.
///
/// # Panics
/// If a line that names the program ends within quotes.
pub(crate) fn calls_of(program: &str, document: &str, code: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut lines = code.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut line = line.to_owned();
        while line.ends_with('\\')
            && let Some((_, next)) = lines.next()
        {
            line.pop();
            line.push_str(next);
        }
        if !line.contains(program) {
            continue;
        }
        let place = format!("{document}:{}", index + 1);
        let words = shlex::split(&line);
        let words = words.unwrap_or_else(|| panic!("{place}: a quote is open: {line}"));
        for command in words.split(|word| matches!(word.as_str(), "|" | "||" | "&&" | ";" | "&")) {
            calls.extend(arguments(program, command).map(|arguments| Call {
                place: place.clone(),
                words: [vec![program.into()], arguments].concat(),
            }));
        }
    }
    calls
}

/// The arguments that a command gives to `program`; `None` if it is another program's.
fn arguments(program: &str, command: &[String]) -> Option<Vec<String>> {
    let name = command.iter().position(|word| !is_assignment(word))?;
    let arguments = match command[name].as_str() {
        "cargo" => {
            let end = command.iter().position(|word| word == "--")?;
            let mut options = command[..end].windows(2);
            options
                .any(|pair| pair[0] == "--bin" && pair[1] == program)
                .then(|| &command[end + 1..])?
        }
        path if path.rsplit('/').next() == Some(program) => &command[name + 1..],
        _ => return None,
    };
    let mut words = arguments.iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        match operator.trim_start_matches(['<', '>']) {
            target if target.len() == operator.len() => kept.push(word.clone()),
            "" => drop(words.next()),
            _ => {}
        }
    }
    Some(kept)
}

/// Whether a word sets a variable of the command after it.
fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters.all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty()
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

#[test]
fn calls_are_found_in_whatever_a_shell_puts_around_them() {
    let text = "\
`eye --not this`

```sh
target/release/eye see --file a \\
  \"two words\"     # a comment
A=1 B=$C eye < in.raw 2>> log >out | other | eye see $D/x && cd y
cargo run --release --bin eye -- see -
other --eye see
```

    eye --indented

```text
eye prints this
```
";
    let found = calls_of("eye", "README.md", &shell_code(text));
    let found: Vec<String> = found
        .iter()
        .map(|call| format!("{} {}", call.place, call.words.join("|")))
        .collect();
    assert_eq!(
        found,
        [
            "README.md:4 eye|see|--file|a|two words",
            "README.md:6 eye",
            "README.md:6 eye|see|$D/x",
            "README.md:7 eye|see|-",
            "README.md:11 eye|--indented",
        ]
    );
}
