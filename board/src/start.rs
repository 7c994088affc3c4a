//! What runs: the first record of a command that classifies, so that a log says which program gave its results, on
//! which backend, with which model.

use crate::failure::Failure;
use crate::output::{Escaped, Time};
use crate::sensors::jetson;
use crate::{model, output};
use mergevit_runtime::Engine;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// An engine that is about to run.
#[derive(Serialize)]
pub(crate) struct Start<'a> {
    event: &'static str,
    time: Time,
    command: &'static str,
    version: &'static str,
    backend: &'static str,
    /// The GPU; `None` on the processor.
    device: Option<&'a str>,
    threads: usize,
    #[serde(skip)]
    place: String,
    /// Why the default backend is not a GPU; `None` on one, and where the backend was named.
    gpu_refusal: Option<String>,
    /// What is likely not as it was meant.
    warning: Option<String>,
    /// The pack's file; `None` if it is embedded.
    model: Option<String>,
    /// Of the whole pack.
    hash: String,
    architecture: &'a str,
    /// Side of the square input in pixels.
    image_size: usize,
    checkpoint: &'a str,
    checkpoint_hash: &'a str,
    /// Or a cascade.
    schedule: &'a str,
    /// Where frames come from, for people.
    source: Option<&'a str>,
}

impl<'a> Start<'a> {
    /// `command` with an engine on a source. `root` is `/`, or what stands for it in a test.
    fn new(
        command: &'static str,
        engine: &'a Engine,
        source: Option<&'a str>,
        root: &Path,
    ) -> Self {
        let pack = engine.pack();
        let gpu_refusal = engine.refusal().map(ToString::to_string);
        Self {
            event: "start",
            time: Time::now(),
            command,
            version: env!("CARGO_PKG_VERSION"),
            backend: engine.backend(),
            device: engine.device(),
            threads: engine.threads(),
            place: model::place(engine),
            warning: gpu_refusal
                .as_ref()
                .and_then(|refusal| idle_gpu(root, refusal)),
            gpu_refusal,
            model: pack.path().map(|path| path.to_string_lossy().into_owned()),
            hash: pack.hash(),
            architecture: &pack.config().architecture,
            image_size: pack.config().image_size,
            checkpoint: &pack.provenance().checkpoint,
            checkpoint_hash: &pack.provenance().checkpoint_hash,
            schedule: model::chosen(engine),
            source,
        }
    }
}

/// A Jetson has a GPU, so that the processor runs there is hardly what was meant.
fn idle_gpu(root: &Path, refusal: &str) -> Option<String> {
    jetson::model(root).map(|model| {
        format!(
            "this is an {model}, but its GPU does not run: {refusal}; `mergevit doctor` shows more, `--backend cpu` \
             says that the processor is meant"
        )
    })
}

/// One line.
impl fmt::Display for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} mergevit {} · {}",
            self.time,
            self.version,
            Escaped(&self.place)
        )?;
        if let Some(refusal) = &self.gpu_refusal {
            write!(f, " (no GPU: {})", Escaped(refusal))?;
        }
        let model = self.model.as_deref().unwrap_or("embedded model");
        let (model, architecture) = (Escaped(model), Escaped(self.architecture));
        write!(
            f,
            " · {model} {}, {architecture}, {size}x{size}",
            self.hash,
            size = self.image_size
        )?;
        let (checkpoint, hash) = (Escaped(self.checkpoint), Escaped(self.checkpoint_hash));
        write!(
            f,
            " · checkpoint {checkpoint} {hash} · schedule {}",
            self.schedule
        )?;
        match self.source {
            Some(source) => write!(f, " · {}", Escaped(source)),
            None => Ok(()),
        }
    }
}

/// Says what is about to run: as a record on standard output, or as a line on standard error.
pub(crate) fn announce(
    command: &'static str,
    engine: &Engine,
    source: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let start = Start::new(command, engine, source, Path::new(jetson::ROOT));
    if let Some(warning) = &start.warning {
        output::warning(warning);
    }
    if json {
        return output::print_json(&start);
    }
    output::note(&start.to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::testing;

    #[test]
    fn a_jetson_that_runs_on_its_processor_is_warned_about() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let tree = root.path().join("proc/device-tree");
        std::fs::create_dir_all(&tree).expect("a folder");
        std::fs::write(tree.join("model"), "NVIDIA Jetson Orin Nano\0").expect("a file");
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        for (backend, root, warned) in [
            ("auto", root.path(), true),
            ("cpu", root.path(), false),
            ("auto", elsewhere.path(), false),
        ] {
            let pack = testing::pack(&testing::tiny(), &[0], 1);
            let options = Engine::options().backend(backend).threads(1);
            let engine = options.build(pack).expect("the processor runs it");
            let start = Start::new("run", &engine, Some("a\nsource"), root);
            // A machine with a GPU has nothing to warn about.
            let warned = warned && engine.device().is_none();
            assert_eq!(start.warning.is_some(), warned, "{backend}");
            assert_eq!(start.gpu_refusal.is_some(), engine.refusal().is_some());
            if let Some(warning) = &start.warning {
                assert!(warning.starts_with("this is an NVIDIA Jetson Orin Nano, but its GPU"));
            }
            let line = start.to_string();
            assert!(line.contains(" on 1 thread"), "{line}");
            assert!(line.ends_with(" · schedule r0 · a\\nsource"), "{line}");
        }
    }
}
