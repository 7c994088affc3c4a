//! `mergevit mqtt`: tells an MQTT broker what a run sees.

use crate::failure::Failure;
use crate::mqtt::{self, Broker, Credentials, Settings, parse_topic};
use crate::{link, output};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit mqtt --socket /run/mergevit/socket --broker mqtt://localhost\n\
                        \x20 mergevit mqtt --socket /run/mergevit/socket --broker mqtt://ha.local:1883 --user board --password-file secret\n\
                        \n\
                        Below the topic: availability (online, offline), SOURCE/state on each change, SOURCE/camera (ON, \
                        OFF), schedule, sensors, lost. Home Assistant finds them by itself. What passes is not encrypted: \
                        across a network that you do not trust, use a broker on this machine that passes on by TLS.")]
pub(crate) struct Args {
    /// Take flags from the table [mqtt] of a TOML file; those on the command line win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The run's socket: what it was given as --socket. The run may come and go
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The broker; it may come and go
    #[arg(long, value_name = "mqtt://HOST:PORT", value_parser = Broker::parse)]
    broker: Broker,
    /// Topic under which everything is [default: mergevit/ and the machine's name]
    #[arg(long, value_name = "TOPIC", value_parser = parse_topic)]
    topic: Option<String>,
    /// User of the broker
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Topic under which Home Assistant looks for new devices
    #[arg(long, value_name = "TOPIC", default_value = "homeassistant", value_parser = parse_topic)]
    discovery: String,
    /// End when standard input does: with the run that started this
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let machine = machine(&link::machine_name());
    let credentials = match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => Some(Credentials {
            user: user.clone(),
            password: read_password(file)?,
        }),
        _ => None,
    };
    let settings = Settings {
        socket: args.socket.clone(),
        broker: args.broker.clone(),
        credentials,
        topic: args
            .topic
            .clone()
            .unwrap_or_else(|| format!("mergevit/{machine}")),
        discovery: args.discovery.clone(),
        machine,
    };
    if args.with_parent {
        link::end_with_parent().map_err(|error| Failure::thread(&error))?;
    }
    let ready = || output::note(&format!("connected to {}", args.broker));
    mqtt::serve(settings, ready)
        .map_err(|error| Failure::work(&format_args!("{}: {error}", args.broker)))
}

/// A password ends at the line's end.
fn read_password(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::work(&format_args!("{}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A machine's name as a part of a topic.
fn machine(name: &str) -> String {
    match parse_topic(name) {
        Ok(name) if !name.contains('/') => name,
        _ => "board".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_usable_name_is_a_board() {
        for (name, expected) in [
            ("orin", "orin"),
            ("a/b", "board"),
            ("#", "board"),
            ("(none)", "board"),
            ("", "board"),
        ] {
            assert_eq!(machine(name), expected);
        }
    }

    #[test]
    fn a_password_is_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        assert!(read_password(&file).is_err());
        std::fs::write(&file, " pass word \n").expect("a file");
        assert_eq!(read_password(&file).expect("a line"), " pass word ");
    }
}
