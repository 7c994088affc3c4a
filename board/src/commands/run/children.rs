//! The programs that `--page` and `--mqtt` start.

use super::Args;
use super::args::ServiceArgs;
use crate::failure::Failure;
use crate::live::{self, Socket, Supervised};
use std::ffi::{OsStr, OsString};

/// Starts them. They end when what this returns is dropped.
pub(super) fn start(args: &Args, socket: Option<&Socket>) -> Result<Vec<Supervised>, Failure> {
    let Some(socket) = socket else {
        return Ok(Vec::new());
    };
    let lines = lines(args, socket.path().as_os_str())?;
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::work(&format_args!("cannot find this program: {error}")))?;
    let children = lines.into_iter();
    children
        .map(|arguments| live::start_child(program.clone(), arguments))
        .collect()
}

/// The arguments of each.
fn lines(args: &Args, socket: &OsStr) -> Result<Vec<Vec<OsString>>, Failure> {
    let ServiceArgs {
        socket: _,
        page,
        page_token,
        page_hosts,
        mqtt,
        mqtt_user,
        mqtt_password_file,
    } = &args.service;
    let mut wanted = Vec::new();
    if let Some(address) = page {
        let mut line = Line::begin(args, "page", cfg!(feature = "page"), socket)?;
        line.flag("--listen", Some(address));
        line.flag("--token", page_token.as_ref());
        line.flag("--host", page_hosts);
        wanted.push(line.0);
    }
    if let Some(broker) = mqtt {
        let mut line = Line::begin(args, "mqtt", cfg!(feature = "mqtt"), socket)?;
        line.flag("--broker", Some(broker));
        line.flag("--user", mqtt_user.as_ref());
        line.flag("--password-file", mqtt_password_file.as_ref());
        wanted.push(line.0);
    }
    Ok(wanted)
}

/// The arguments of one.
struct Line(Vec<OsString>);

impl Line {
    /// What all have; refused if this program was `built` without it.
    fn begin(args: &Args, name: &str, built: bool, socket: &OsStr) -> Result<Self, Failure> {
        if !built {
            return Err(Failure::Usage(format!(
                "--{name}: this mergevit was built without it, so without `--features {name}`"
            )));
        }
        let mut line = Self(vec![name.into(), "--with-parent".into()]);
        line.flag("--socket", Some(socket));
        line.flag("--config", args.config.as_ref());
        Ok(line)
    }

    /// A flag before each of its values.
    fn flag(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<OsStr>>) {
        for value in values {
            self.0.push(name.into());
            self.0.push(value.as_ref().into());
        }
    }
}

#[cfg(all(test, feature = "page", feature = "mqtt"))]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        run: Args,
    }

    /// The arguments of all children of a run with these.
    fn children_of(more: &[&str]) -> Result<Vec<Vec<OsString>>, clap::Error> {
        let run = ["run", "--model", "m", "--source", "file:f"];
        let Program { run } = Program::try_parse_from(run.iter().chain(more))?;
        Ok(lines(&run, OsStr::new("s")).expect("both are built in"))
    }

    #[test]
    fn all_that_concerns_children_is_passed_on() {
        assert!(children_of(&[]).expect("no children").is_empty());
        let page = ["--page", "[::]:1", "--page-token", "t", "--page-host", "a"];
        let mqtt = ["--mqtt", "mqtt://b", "--mqtt-user", "u"];
        let more = [
            "--page-host",
            "b",
            "--mqtt-password-file",
            "p",
            "--config",
            "c",
        ];
        let found = children_of(&[&page[..], &mqtt, &more].concat()).expect("they are parsed");
        let expected = [
            "page --with-parent --socket s --config c --listen [::]:1 --token t --host a --host b",
            "mqtt --with-parent --socket s --config c --broker mqtt://b --user u --password-file p",
        ];
        assert_eq!(found, expected.map(words));
    }

    #[test]
    fn what_concerns_a_child_needs_that_child() {
        for (flag, other) in [
            ("--page-host", "--page"),
            ("--page-token", "--page"),
            ("--mqtt-user", "--mqtt"),
            ("--mqtt-password-file", "--mqtt"),
        ] {
            let error = children_of(&[flag, "x"]).expect_err("it is refused");
            assert!(error.to_string().contains(other), "{error}");
        }
        let mqtt = ["--mqtt", "mqtt://b", "--mqtt-user", "u"];
        assert!(children_of(&mqtt).is_err(), "a user without a password");
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }
}
