//! `manifest.json`: what each module was made from. It finds a stale module without compiling anything.

use crate::compile::{self, CUBIN, Module, PTX};
use crate::error::Error;
use crate::ptx;
use crate::sources::{self, Source};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Its name, in the folder of the modules.
pub const FILE: &str = "manifest.json";

/// Most bytes that all modules may have together: every clone of the repository carries every version of them.
pub const LIMIT_BYTES: u64 = 4_000_000;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Full version of the compiler, e.g. `12.6.85`.
    pub nvrtc: String,
    /// By name of the module.
    pub modules: BTreeMap<String, Record>,
}

/// One source file and the two forms of its module. Hashes are XXH3 (64 bits) in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The file and the headers it includes.
    pub files: Vec<String>,
    /// Hash of the compiler's options and of those files: [`Source::hash`].
    pub sources: String,
    /// Hash of the machine code.
    pub cubin: String,
    /// Hash of the PTX.
    pub ptx: String,
}

impl Manifest {
    /// Describes modules that were just made of these sources, in the same order.
    ///
    /// # Errors
    /// If no module's PTX tells the version of its compiler.
    pub fn new(sources: &[Source], modules: &[Module]) -> Result<Self, Error> {
        let version = modules
            .first()
            .and_then(|module| ptx::compiler_version(&module.ptx));
        let version = version
            .ok_or_else(|| Error::Nvrtc("no PTX that tells the compiler's version".to_owned()))?;
        let options = compile::options();
        let record = |(source, module): (&Source, &Module)| Record {
            files: [source.file()]
                .into_iter()
                .chain(source.headers.keys().cloned())
                .collect(),
            sources: hex(source.hash(&options)),
            cubin: hex(xxh3_64(&module.cubin)),
            ptx: hex(xxh3_64(module.ptx.as_bytes())),
        };
        let names = sources.iter().map(|source| source.name.clone());
        Ok(Self {
            nvrtc: version.to_owned(),
            modules: names.zip(sources.iter().zip(modules).map(record)).collect(),
        })
    }

    /// Reads `manifest.json` of a folder; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or has another form.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&path)(error)),
        }
    }

    /// The text of `manifest.json`.
    ///
    /// # Errors
    /// Never, for what [`Manifest::new`] makes.
    pub fn text(&self) -> Result<String, Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Compares the sources in `root/cuda` and the modules in `root/compiled` with `manifest.json`, without compiling.
/// Returns a line for everything that is not as recorded.
///
/// # Errors
/// If a file cannot be read, or a source includes what does not exist.
pub fn verify(root: &Path) -> Result<Vec<String>, Error> {
    let folder = root.join("compiled");
    let Some(manifest) = Manifest::read(&folder)? else {
        return Ok(vec![format!("compiled/{FILE}: missing")]);
    };
    let mut findings = Vec::new();
    let sources = sources::read(&root.join("cuda"))?;
    let options = compile::options();
    for source in &sources {
        match manifest.modules.get(&source.name) {
            None => findings.push(format!("cuda/{}: was never compiled", source.file())),
            Some(record) if record.sources != hex(source.hash(&options)) => {
                let files = record.files.join(", ");
                findings.push(format!(
                    "cuda/{}: its module is stale: made from other {files}",
                    source.file()
                ));
            }
            Some(_) => {}
        }
    }
    for name in manifest.modules.keys() {
        if !sources.iter().any(|source| source.name == *name) {
            findings.push(format!("compiled/{FILE}: {name} has no source file"));
        }
    }
    findings.extend(verify_modules(&folder, &manifest)?);
    Ok(findings)
}

fn verify_modules(folder: &Path, manifest: &Manifest) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    let mut unknown: BTreeSet<String> = sources::file_names(folder)?.into_iter().collect();
    unknown.remove(FILE);
    let mut total = 0;
    for (name, record) in &manifest.modules {
        for (ending, hash) in [(CUBIN, &record.cubin), (PTX, &record.ptx)] {
            let file = format!("{name}{ending}");
            if !unknown.remove(&file) {
                findings.push(format!("compiled/{file}: missing"));
                continue;
            }
            let path = folder.join(&file);
            let content = fs::read(&path).map_err(Error::io(&path))?;
            total += content.len() as u64;
            if *hash != hex(xxh3_64(&content)) {
                findings.push(format!(
                    "compiled/{file}: is not the file that {FILE} records"
                ));
            }
        }
    }
    findings.extend(
        unknown
            .iter()
            .map(|file| format!("compiled/{file}: comes from no source file")),
    );
    if total > LIMIT_BYTES {
        findings.push(format!(
            "modules: {total} bytes together, at most {LIMIT_BYTES} are allowed"
        ));
    }
    Ok(findings)
}
