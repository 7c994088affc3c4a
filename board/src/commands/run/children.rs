//! The programs that `--page` and `--mqtt` start.

use super::Args;
use crate::failure::Failure;
use crate::live::{self, Socket, Supervised};
use std::ffi::OsString;

/// Starts them. They end when what this returns is dropped.
pub(super) fn start(args: &Args, socket: Option<&Socket>) -> Result<Vec<Supervised>, Failure> {
    let mut wanted: Vec<Vec<OsString>> = Vec::new();
    let Some(socket) = socket else {
        return Ok(Vec::new());
    };
    let path = socket.path().as_os_str();
    let common = |name: &str, built: bool| -> Result<Vec<OsString>, Failure> {
        match built {
            true => {
                let mut line: Vec<OsString> = vec![
                    name.into(),
                    "--with-parent".into(),
                    "--socket".into(),
                    path.into(),
                ];
                if let Some(config) = &args.config {
                    line.extend(["--config".into(), config.into()]);
                }
                Ok(line)
            }
            false => Err(Failure::Usage(format!(
                "--{name}: this mergevit was built without it, so without `--features {name}`"
            ))),
        }
    };
    if let Some(address) = &args.service.page {
        let mut page = common("page", cfg!(feature = "page"))?;
        page.extend(["--listen".into(), address.into()]);
        if let Some(token) = &args.service.page_token {
            page.extend(["--token".into(), token.into()]);
        }
        wanted.push(page);
    }
    if let Some(broker) = &args.service.mqtt {
        let mut mqtt = common("mqtt", cfg!(feature = "mqtt"))?;
        mqtt.extend(["--broker".into(), broker.into()]);
        wanted.push(mqtt);
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::work(&format_args!("cannot find this program: {error}")))?;
    let children = wanted.into_iter();
    children
        .map(|arguments| live::start_child(program.clone(), arguments))
        .collect()
}
