//! Memory of this process and of the machine, in bytes, as Linux reports it under `/proc`.

/// Resident memory of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// All of it (`VmRSS`), mapped files included.
    pub(crate) total: u64,
    /// The part that no file backs (`RssAnon`): heap and stacks.
    pub(crate) anonymous: u64,
    /// The part of mapped files that is in pages of 2 MiB (`FilePmdMapped`).
    pub(crate) huge: u64,
}

/// This process's resident memory; `None` if `/proc` does not say.
pub(crate) fn resident() -> Option<Resident> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    // Linux tells it since 5.4.
    let maps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    Some(Resident {
        total: field(&status, "VmRSS")?,
        anonymous: field(&status, "RssAnon")?,
        huge: field(&maps, "FilePmdMapped").unwrap_or_default(),
    })
}

/// Total and available memory of the machine; `None` if `/proc` does not say.
pub(crate) fn machine() -> Option<(u64, u64)> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some((field(&info, "MemTotal")?, field(&info, "MemAvailable")?))
}

/// The value of a `Name:   123 kB` line, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_kibibytes() {
        let text = "VmRSSx:\t9 kB\nVmRSS:\t   12 kB\nThreads:\t3\n";
        assert_eq!(field(text, "VmRSS"), Some(12 << 10));
        assert_eq!(field(text, "Threads"), None);
        assert_eq!(field(text, "RssAnon"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_resident() {
        let resident = resident().expect("/proc is mounted");
        assert!(resident.anonymous > 0 && resident.total >= resident.anonymous);
        let (total, available) = machine().expect("/proc is mounted");
        assert!(total >= available && available > 0);
    }
}
