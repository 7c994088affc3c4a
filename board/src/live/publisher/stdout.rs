//! The thread that writes records to standard output.

use super::lost::Lost;
use super::reader::{Reader, Received};
use super::shared::{Form, Shared};
use crate::output::{self, Line};
use crate::seal;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;

/// Bytes of what tells a reader that it lost records.
const LOST: usize = 256;

/// Standard output, written record by record.
#[derive(Debug)]
pub(super) struct StandardOutput;

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        output::write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        output::write(b"")
    }
}

/// Starts it, with `out` in standard output's place. Once this returns, the thread does not allocate.
pub(super) fn start(
    mut reader: Reader,
    form: Form,
    mut out: impl Write + Send + 'static,
) -> io::Result<Thread> {
    let (started, starts) = std::sync::mpsc::sync_channel(1);
    let shared = Arc::clone(&reader.shared);
    let mut line = Line::new(shared.records.entry_bytes() + LOST);
    let handle = std::thread::Builder::new()
        .name("stdout".into())
        .spawn(move || {
            seal::begun();
            // The first use of standard output allocates its buffer.
            let flushed = out.flush();
            let _ = started.send(());
            drop(started);
            let written = flushed.and_then(|()| write(&mut reader, form, &mut line, &mut out));
            match written {
                Ok(()) => {
                    shared.complete.store(true, Ordering::Release);
                    shared.control.wake();
                }
                Err(error) => shared.fail(error),
            }
        })?;
    let _ = starts.recv();
    Ok(handle.thread().clone())
}

/// Writes every record to its end.
fn write(reader: &mut Reader, form: Form, line: &mut Line, out: &mut impl Write) -> io::Result<()> {
    while !reader.is_at_end() {
        if let Some(received) = reader.next() {
            line.clear();
            compose(&received, form, line)?;
            out.write_all(line.bytes())?;
        } else if !reader.is_at_end() {
            // Not without this look: records that nobody wants may have been the last, and the call that wakes this
            // thread for the end may be spent.
            std::thread::park();
        }
        publish_progress(reader);
    }
    Ok(())
}

fn publish_progress(reader: &Reader) {
    let Shared {
        written, control, ..
    } = &*reader.shared;
    if written.swap(reader.position(), Ordering::AcqRel) != reader.position() {
        control.wake();
    }
}

/// A record, after what was lost before it.
fn compose(received: &Received<'_>, form: Form, line: &mut Line) -> io::Result<()> {
    if received.lost > 0 {
        let lost = Lost::new(received.lost);
        match form {
            Form::Text => writeln!(line, "{lost}")?,
            Form::Json => {
                serde_json::to_writer(&mut *line, &lost)?;
                line.write_all(b"\n")?;
            }
        }
    }
    let bytes = match form {
        Form::Text => received.text,
        Form::Json => received.json,
    };
    line.write_all(bytes)?;
    match bytes {
        [] => Ok(()),
        _ => line.write_all(b"\n"),
    }
}
