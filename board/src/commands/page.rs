//! `mergevit page`: serves a page to watch a run on.

use crate::failure::Failure;
use crate::page::{self, Guard, Token};
use crate::{link, output};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit page --socket /run/mergevit/socket\n\
                        \x20 mergevit page --socket /run/mergevit/socket --listen 0.0.0.0:8080 --token /etc/mergevit/token\n\
                        \n\
                        Addresses: / the page, /metrics for Prometheus, /snapshot.jpg the present picture (?source=NAME, \
                        ?draw=merged), /events what the page hears, /healthz whether the run is there; POST \
                        {\"schedule\":NAME} to /api/schedule holds a schedule, null releases it.\n\
                        \n\
                        The token also opens them as the header `Authorization: Bearer TOKEN`. What passes is not \
                        encrypted: on a network that you do not trust, put a TLS proxy before it, or an SSH tunnel.")]
pub(crate) struct Args {
    /// Take flags from the table [page] of a TOML file; those on the command line win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The run's socket: what it was given as --socket. The run may come and go
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Address and port to listen on; any but the loopback needs --token
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// File with the token that whoever looks must have: 16 to 256 letters and digits
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A further name by which browsers reach this machine [default: its host name, and that with .local]
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// End when standard input does: with the run that started this
    #[arg(long, hide = true)]
    with_parent: bool,
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let token = args.token.as_deref().map(read_token).transpose()?;
    if token.is_none() && !args.listen.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "--listen {}: others can reach this address, so --token FILE is needed; `head -c 24 /dev/urandom | base64` \
             makes a token",
            args.listen
        )));
    }
    let mut names = own_names(&link::machine_name());
    names.extend_from_slice(&args.hosts);
    if args.with_parent {
        link::end_with_parent().map_err(|error| Failure::thread(&error))?;
    }
    let ready = |address| output::note(&format!("the page is at http://{address}/"));
    page::serve(&args.socket, args.listen, Guard::new(&names, token), ready)
        .map_err(|error| Failure::work(&format_args!("--listen {}: {error}", args.listen)))
}

/// Reads a token from a file that others should not be able to read.
fn read_token(path: &Path) -> Result<Token, Failure> {
    let failure =
        |error: &dyn std::fmt::Display| Failure::work(&format_args!("{}: {error}", path.display()));
    let mode = std::fs::metadata(path)
        .map_err(|error| failure(&error))?
        .permissions()
        .mode();
    if mode & 0o004 != 0 {
        output::warning(&format_args!(
            "{}: everybody on this machine can read the token",
            path.display()
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failure(&error))?;
    Token::parse(&text).map_err(|error| failure(&error))
}

/// The names of a machine of this name: mDNS has it, too.
fn own_names(name: &str) -> Vec<String> {
    match name {
        "" => Vec::new(),
        name => vec![name.to_owned(), format!("{name}.local")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_its_names() {
        assert!(own_names("").is_empty());
        assert_eq!(own_names("orin"), ["orin", "orin.local"]);
        assert!(!link::machine_name().is_empty());
    }

    #[test]
    fn a_token_is_read_or_the_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let error = read_token(&file).err().expect("there is no file");
        assert!(error.to_string().contains("token: "), "{error}");
        std::fs::write(&file, "secret\n").expect("a file");
        let error = read_token(&file).err().expect("it is short").to_string();
        assert!(
            error.contains("6 letters") && !error.contains("secret"),
            "{error}"
        );
        std::fs::write(&file, "0123456789abcdef\n").expect("a file");
        assert!(read_token(&file).is_ok());
    }
}
