//! Where and when a record was made.

use super::record::Machine;
use mergevit_kernels::cpu;
use std::fs;
use std::num::NonZero;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Logical processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// This machine; `device` names the GPU that was measured.
pub(crate) fn machine(device: Option<String>) -> Machine {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let available = cpu::implementations().iter().filter(|i| i.available());
    Machine {
        processor: processor(&info),
        architecture: std::env::consts::ARCH.into(),
        cores: cores(),
        instruction_sets: available.map(|i| i.name.into()).collect(),
        device,
    }
}

/// The processor's name; Arm's have none, only numbers of their maker and kind.
pub(crate) fn processor(info: &str) -> String {
    let field = |name: &str| {
        info.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim())
        })
    };
    let numbers = || {
        let (maker, part) = (field("CPU implementer")?, field("CPU part")?);
        Some(format!("implementer {maker}, part {part}"))
    };
    let name = field("model name").map(str::to_owned);
    name.or_else(numbers).unwrap_or_else(|| "unknown".into())
}

/// The commit of the sources, with `-dirty` where tracked files differ from it; none outside a checkout.
pub(crate) fn commit() -> Option<String> {
    let exclude_tags = ["--exclude", "*"];
    let format = ["describe", "--always", "--dirty", "--abbrev=40"];
    let directory = ["-C", env!("CARGO_MANIFEST_DIR")];
    output(
        Command::new("git")
            .args(directory)
            .args(format)
            .args(exclude_tags),
    )
}

/// Version of the compiler that Cargo uses here.
pub(crate) fn rustc() -> Option<String> {
    output(Command::new("rustc").arg("--version"))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}

/// The time now, e.g. `2026-11-24T18:30:05Z`.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    utc(since.map_or(0, |since| since.as_secs()))
}

/// A count of seconds since 1970 as a date and time of day.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a count of days since 1970, by Hinnant's `civil_from_days` ("chrono-Compatible
/// Low-Level Date Algorithms", 2013): years start in March, so that the leap day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_OF_ERA: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * era + year + next, month, day)
}
