//! Ends with the process that started this one, however that ends.

use std::io;
use std::thread;

/// From now on, the end of standard input ends the process: whoever started it with a pipe there is gone.
///
/// # Errors
/// If no thread can be started.
pub(crate) fn end_with_parent() -> io::Result<()> {
    let wait = || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    };
    thread::Builder::new().name("parent".into()).spawn(wait)?;
    Ok(())
}
