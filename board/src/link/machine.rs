//! This machine's name.

/// As the kernel has it. A service whose `/proc` is restricted can ask, too.
pub(crate) fn machine_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}
