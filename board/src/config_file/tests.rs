//! Files for a made-up program, and for the real one.

use super::*;
use clap::{Arg, ArgAction, CommandFactory, value_parser};

/// A program with a flag of each kind.
fn program() -> Command {
    let file = || {
        Arg::new("config")
            .long("config")
            .value_parser(value_parser!(PathBuf))
    };
    let run = Command::new("run").arg(file()).args([
        Arg::new("model").long("model").short('m').required(true),
        Arg::new("source")
            .long("source")
            .action(ArgAction::Append)
            .required(true),
        Arg::new("fps")
            .long("fps-limit")
            .value_parser(value_parser!(f64)),
        Arg::new("top")
            .long("top")
            .value_parser(value_parser!(u8).range(1..=100)),
        Arg::new("json").long("json").action(ArgAction::SetTrue),
        Arg::new("bare")
            .long("bare")
            .action(ArgAction::SetTrue)
            .conflicts_with("json"),
        Arg::new("color")
            .long("color")
            .value_parser(["red", "blue"]),
    ]);
    Command::new("program")
        .arg(
            Arg::new("verbose")
                .long("verbose")
                .short('v')
                .global(true)
                .action(ArgAction::Count),
        )
        .subcommand(run)
        .subcommand(
            Command::new("page")
                .arg(file())
                .arg(Arg::new("listen").long("listen")),
        )
        .subcommand(Command::new("doctor"))
}

/// The words that a file adds to a command line, whose FILE is the file.
fn added(text: &str, line: &str) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("c.toml");
    std::fs::write(&path, text).expect("a file");
    let place = path.to_str().expect("UTF-8");
    let args: Vec<OsString> = line
        .split_whitespace()
        .map(|word| word.replace("FILE", place).into())
        .collect();
    let expanded = expand(&program(), args.clone());
    let expanded = expanded.map_err(|error| error.to_string().replace(place, "FILE"))?;
    let words = expanded.iter().filter(|word| !args.contains(word));
    Ok(words
        .map(|word| word.to_str().expect("UTF-8").into())
        .collect())
}

const LINE: &str = "program run --config FILE";

#[test]
fn each_kind_of_flag_is_said_as_on_a_command_line() {
    let text = "# a comment\n\
                [run]\n\
                model = 'm.mvit'\n\
                source = [\"v4l2:/dev/video0\", 'file:a b/']\n\
                fps-limit = 12.5\n\
                top = 0x0A\n\
                json = true\n\
                bare = false\n\
                color = \"blue\"\n\
                verbose = 2\n\
                [page]\n\
                listen = \"[::1]:80\"\n";
    let mut words = added(text, LINE).expect("a file without mistakes");
    words.sort();
    let expected = [
        "--color=blue",
        "--fps-limit=12.5",
        "--json",
        "--model=m.mvit",
        "--source=file:a b/",
        "--source=v4l2:/dev/video0",
        "--top=10",
        "--verbose",
        "--verbose",
    ];
    assert_eq!(words, expected);
    let words = added(text, "program -v page --config=FILE").expect("the same file");
    assert_eq!(words, ["--listen=[::1]:80"]);
    let words = added("run.top = 1_0\nrun.fps-limit = +1_2.5", LINE);
    let mut words = words.expect("numbers as TOML has them");
    words.sort();
    assert_eq!(words, ["--fps-limit=+12.5", "--top=10"]);
    let words = added("run.source = 'one'", LINE).expect("one of a list");
    assert_eq!(words, ["--source=one"]);
}

#[test]
fn the_command_line_wins() {
    let text = "[run]\nmodel='a'\nsource=['x', 'y']\njson=true\ntop=3";
    let words = |line: &str| {
        let mut words = added(text, line).expect("a file without mistakes");
        words.sort();
        words.join(" ")
    };
    assert_eq!(
        words("program run -m b --config FILE"),
        "--json --source=x --source=y --top=3"
    );
    assert_eq!(
        words("program run --config FILE --source z --top=3"),
        "--json --model=a"
    );
    // What the command line excludes is not said, in either direction of the conflict.
    assert_eq!(
        words("program run --config FILE --bare --source z --top 1"),
        "--model=a"
    );
    let bare = added("run.bare = true", "program run --json --config FILE");
    assert_eq!(bare.expect("a file without mistakes"), [""; 0]);
}

/// Checks how each file's refusal begins.
fn assert_refused(files: &[(&str, &str)]) {
    for (text, expected) in files {
        let error = added(text, LINE).expect_err(text);
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn wrong_names_are_told_with_their_line_and_the_nearest() {
    assert_refused(&[
        (
            "[run]\nmodle = 'a'",
            "FILE:2: `run` has no `modle`; did you mean `model`?",
        ),
        (
            "[run]\nfps_limit = 1",
            "FILE:2: `run` has no `fps_limit`; did you mean `fps-limit`?",
        ),
        (
            "[page]\nx = 1",
            "FILE:2: `page` has no `x`; expected one of listen, verbose",
        ),
        ("[run]\nconfig = 'a'", "FILE:2: `run` has no `config`; "),
        ("[run]\nhelp = true", "FILE:2: `run` has no `help`; "),
        (
            "\n[rum]\n",
            "FILE:2: there is no table `rum`; did you mean `run`?",
        ),
        (
            "[doctor]\n",
            "FILE:1: there is no table `doctor`; expected one of run, page",
        ),
        ("model = 'a'", "FILE:1: there is no table `model`; "),
    ]);
}

#[test]
fn wrong_values_are_told_with_their_line_and_what_was_expected() {
    assert_refused(&[
        ("run = 3", "FILE:1: run: expected a table, found integer"),
        (
            "[run]\n\ntop = '3'",
            "FILE:3: top: expected a number, found a string",
        ),
        (
            "[run]\ntop = true",
            "FILE:2: top: expected a number, found a boolean",
        ),
        (
            "[run]\nmodel = 3",
            "FILE:2: model: expected a string, found an integer",
        ),
        (
            "[run]\nmodel = ['a']",
            "FILE:2: model: expected a string, found an array",
        ),
        (
            "[run]\nsource = [1]",
            "FILE:2: source: expected a string or a list of them, found an integer",
        ),
        (
            "[run]\nsource = 2020-01-01",
            "FILE:2: source: expected a string or a list of them, found a datetime",
        ),
        (
            "[run]\njson = 1",
            "FILE:2: json: expected true or false, found an integer",
        ),
        (
            "[run]\nverbose = -1",
            "FILE:2: verbose: expected a number of times, 0 to 255, found an integer",
        ),
        (
            "[run]\ntop = 1000",
            "FILE:2: top: invalid value '1000' for '--top <top>': ",
        ),
        (
            "[run]\ncolor = 'rde'",
            "FILE:2: color: invalid value 'rde' for '--color <color>' [possible values: red, blue]",
        ),
        ("[run]\nmodel = 'a'\nmodel = 'b'", "FILE:3: duplicate key"),
        ("[run]\nmodel = 'a", "FILE:2: "),
    ]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let args = |path: &str| {
        ["program", "run", "--config", path]
            .map(OsString::from)
            .to_vec()
    };
    let error = expand(&program(), args("/none.toml")).expect_err("there is no such file");
    assert!(
        error.to_string().starts_with("cannot read /none.toml: "),
        "{error}"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("c.toml");
    for bytes in [vec![b'#'; 1 + LONGEST as usize], b"\xff".to_vec()] {
        std::fs::write(&path, bytes).expect("a file");
        let error = expand(&program(), args(path.to_str().expect("UTF-8")));
        let error = error.expect_err("too long, or no text").to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }
}

#[test]
fn without_a_file_the_command_line_stays_as_it_is() {
    for line in [
        "program",
        "program doctor",
        "program run -m a --source b",
        "program run --help",
        "program run --config",
        "program run --unknown",
        "program --config FILE doctor",
    ] {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(expand(&program(), args.clone()), Ok(args), "{line}");
    }
}

#[test]
fn every_flag_of_every_configured_command_can_be_said_in_a_file() {
    let mut program = crate::cli::Cli::command();
    program.build();
    let commands: Vec<_> = flags::configured(&program).collect();
    assert!(commands.iter().any(|command| command.get_name() == "run"));
    for command in commands {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let longs = shown.filter_map(Arg::get_long);
        let longs = longs.filter(|long| !["help", "version", CONFIG].contains(long));
        let mut expected: Vec<_> = longs.collect();
        let mut found: Vec<_> = flags::of(command).map(|flag| flag.name()).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{}", command.get_name());
        assert!(found.contains(&"verbose"), "global flags too");
    }
}

/// The file that a package installs, and the same with every suggestion in it taken.
#[test]
fn the_installed_file_and_all_that_it_suggests_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("service");
    let path = folder.join("mergevit.toml");
    let installed = std::fs::read_to_string(&path).expect("the file is there");
    let suggestion = |line: &str| {
        let key = line.strip_prefix('#')?.split_once(" = ")?.0;
        let is_key = |c: char| c.is_ascii_lowercase() || c == '-';
        (!key.is_empty() && key.chars().all(is_key)).then(|| line[1..].to_owned())
    };
    let lines = installed.lines();
    let taken: Vec<_> = lines
        .map(|line| suggestion(line).unwrap_or_else(|| line.into()))
        .collect();
    let all = taken.join("\n");
    assert_ne!(installed.trim_end(), all, "it suggests something");
    let program = crate::cli::Cli::command();
    for text in [&installed, &all] {
        let tables = DeTable::parse(text).expect("TOML");
        // A program may be built without the commands of some tables.
        let known = |name: &str| program.find_subcommand(name).is_some();
        let kept = || tables.get_ref().iter();
        assert!(kept().any(|(name, _)| name.get_ref() == "run"));
        for (name, _) in kept().filter(|(name, _)| known(name.get_ref())) {
            let name = name.get_ref().as_ref();
            let own = own_table(text, name);
            let lenient = program.clone().ignore_errors(true);
            let given = lenient.try_get_matches_from(["mergevit", name]);
            let given = given.expect("errors are ignored");
            let (_, given) = given.subcommand().expect("the command");
            let words = Reader::new(&program).words(name, given, &path, &own);
            let words = words.expect("a file without mistakes");
            let line = ["mergevit", name].map(OsString::from).into_iter();
            let line: Vec<_> = line.chain(words).collect();
            if let Err(error) = program.clone().try_get_matches_from(&line) {
                // The units name the socket.
                let missing = error.kind() == ErrorKind::MissingRequiredArgument;
                assert!(name != "run" && missing, "{line:?}: {error}");
            }
        }
    }
}

/// A file with one of its tables alone.
fn own_table(text: &str, name: &str) -> String {
    let heading = format!("[{name}]");
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if line.starts_with('[') {
            inside = *line == heading;
        }
        inside
    });
    lines.collect::<Vec<_>>().join("\n")
}
