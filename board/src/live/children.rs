//! Programs that a run starts to show what it says, and starts again where they end.
//!
//! A child reads the run's socket. It ends with the run, however that ends: its standard input is a pipe that the run holds.

use crate::failure::{Failure, USAGE};
use crate::{output, seal, supervisor};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is looked whether a child has ended.
const LOOK: Duration = Duration::from_millis(200);

/// How long to wait before a child is started again: at first, and at most. It doubles each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A child that ran for so long was well; its next end is a first.
const WELL: Duration = Duration::from_secs(60);

/// How long a child may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// A child that is watched over. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Supervised {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts `program` with `arguments`, of which the first is its name for people, and watches over it on a thread.
/// Allocates.
///
/// # Errors
/// The thread or the first start was refused.
pub(crate) fn start(program: PathBuf, arguments: Vec<OsString>) -> Result<Supervised, Failure> {
    let name = arguments
        .first()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let cannot =
        |error: io::Error| Failure::work(&format_args!("cannot start `mergevit {name}`: {error}"));
    let first = spawn(&program, &arguments).map_err(cannot)?;
    let ended = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&ended);
    let title = name.clone();
    let watch = move || watch(first, &own, &title, || spawn(&program, &arguments));
    let thread = seal::spawn_exempt("child", watch).map_err(cannot)?;
    Ok(Supervised {
        ended,
        thread: Some(thread),
    })
}

/// Its messages go where ours go; what it prints, nowhere.
fn spawn(program: &PathBuf, arguments: &[OsString]) -> io::Result<Child> {
    let mut command = Command::new(program);
    // It would speak for the service otherwise.
    for variable in supervisor::VARIABLES {
        command.env_remove(variable);
    }
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
}

/// Keeps a child running until the run ends.
fn watch(mut child: Child, ended: &AtomicBool, name: &str, again: impl Fn() -> io::Result<Child>) {
    let mut wait = BACK_OFF.0;
    loop {
        let begin = Instant::now();
        let status = loop {
            if ended.load(Ordering::Acquire) {
                return end(child);
            }
            match child.try_wait() {
                Ok(Some(status)) => break status,
                _ => std::thread::park_timeout(LOOK),
            }
        };
        if status.code() == Some(i32::from(USAGE)) {
            // It has said what is wrong, and would say it again.
            output::error(&format_args!(
                "`mergevit {name}` cannot run like this; the run goes on without it"
            ));
            return;
        }
        if begin.elapsed() >= WELL {
            wait = BACK_OFF.0;
        }
        let seconds = wait.as_secs();
        output::warning(&format_args!(
            "`mergevit {name}` ended with {status}; it is started again in {seconds} s"
        ));
        child = loop {
            if pause(wait, ended) {
                return;
            }
            wait = (2 * wait).min(BACK_OFF.1);
            match again() {
                Ok(child) => break child,
                Err(error) => {
                    output::warning(&format_args!("cannot start `mergevit {name}`: {error}"));
                }
            }
        };
    }
}

/// Waits, unless the run ends first; returns whether it does.
fn pause(time: Duration, ended: &AtomicBool) -> bool {
    let begin = Instant::now();
    while !ended.load(Ordering::Acquire) {
        let left = time.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return false;
        }
        std::thread::park_timeout(left);
    }
    true
}

/// Lets a child end, or ends it.
fn end(mut child: Child) {
    drop(child.stdin.take());
    let begin = Instant::now();
    while begin.elapsed() < FAREWELL {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::park_timeout(LOOK / 10);
    }
    // It may have ended meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic has said what it was.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A shell that says in a file that it runs.
    fn shell(folder: &Path, script: &str) -> Vec<OsString> {
        let folder = folder.display();
        let script = format!("echo $$ >> '{folder}/starts'; {script}");
        vec!["-c".into(), script.into()]
    }

    fn starts(folder: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(folder.join("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for(folder: &Path, count: usize) -> Vec<String> {
        let begin = Instant::now();
        loop {
            let found = starts(folder);
            if found.len() >= count {
                return found;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{found:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_child_that_ends_is_started_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = shell(folder.path(), "exit 3");
        let child = start("/bin/sh".into(), arguments).expect("it starts");
        wait_for(folder.path(), 2);
        drop(child);
    }

    #[test]
    fn a_child_that_refuses_its_arguments_is_not_started_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = shell(folder.path(), "exit 2");
        let mut child = start("/bin/sh".into(), arguments).expect("it starts");
        let thread = child.thread.take().expect("it watches");
        thread.join().expect("it ends by itself");
        assert_eq!(starts(folder.path()).len(), 1);
    }

    #[test]
    fn a_child_ends_with_the_run_whether_it_listens_or_not() {
        for script in ["cat", "trap '' TERM; while :; do sleep 1; done"] {
            let folder = tempfile::tempdir().expect("a folder");
            let arguments = shell(folder.path(), script);
            let child = start("/bin/sh".into(), arguments).expect("it starts");
            let id = wait_for(folder.path(), 1).remove(0);
            assert!(Path::new("/proc").join(&id).exists());
            drop(child);
            assert!(!Path::new("/proc").join(&id).exists());
            assert_eq!(starts(folder.path()).len(), 1);
        }
    }
}
