//! What the program writes into the repository, and how that compares with what is there.

use crate::compile::{self, CUBIN, PTX};
use crate::error::Error;
use crate::manifest::{self, LIMIT_BYTES, Manifest};
use crate::nvrtc::Nvrtc;
use crate::{resources, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// All files made from the sources.
pub struct Rebuilt {
    /// Contents by path within the folder of kernels: the compiled modules first, `manifest.json`, `README.md`.
    files: BTreeMap<String, Vec<u8>>,
    /// The compiler's full version.
    nvrtc: String,
    /// The table of resources.
    pub table: String,
    /// Bytes of all modules.
    pub bytes: u64,
}

/// Compiles `root/cuda` and collects all files to be written.
///
/// # Errors
/// If the kernels do not compile, break a rule or are too large; if `root/README.md` has no place for the table.
pub fn rebuild(root: &Path, nvrtc: &Nvrtc) -> Result<Rebuilt, Error> {
    let cuda = root.join("cuda");
    let sources = sources::read(&cuda)?;
    if sources.is_empty() {
        return Err(Error::source(
            &cuda.display().to_string(),
            "no .cu file in this folder",
        ));
    }
    let modules = compile::compile(nvrtc, &sources)?;
    let manifest = Manifest::new(&sources, &modules)?;
    let table = resources::table(modules.iter().flat_map(|module| &module.kernels));
    let mut files = BTreeMap::new();
    for module in modules {
        files.insert(format!("compiled/{}{CUBIN}", module.name), module.cubin);
        files.insert(
            format!("compiled/{}{PTX}", module.name),
            module.ptx.into_bytes(),
        );
    }
    let bytes = files.values().map(|content| content.len() as u64).sum();
    if bytes > LIMIT_BYTES {
        return Err(Error::TooLarge {
            bytes,
            limit: LIMIT_BYTES,
        });
    }
    files.insert(
        format!("compiled/{}", manifest::FILE),
        manifest.text()?.into_bytes(),
    );
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).map_err(Error::io(&readme))?;
    files.insert(
        "README.md".to_owned(),
        resources::place(&text, &table)?.into_bytes(),
    );
    Ok(Rebuilt {
        files,
        nvrtc: manifest.nvrtc,
        table,
        bytes,
    })
}

impl Rebuilt {
    /// Makes `root` agree; returns what it changed.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub fn write(&self, root: &Path) -> Result<Vec<String>, Error> {
        let compiled = root.join("compiled");
        fs::create_dir_all(&compiled).map_err(Error::io(&compiled))?;
        let mut changed = Vec::new();
        for name in self.unknown(root)? {
            let path = root.join(&name);
            fs::remove_file(&path).map_err(Error::io(&path))?;
            changed.push(format!("{name}: removed"));
        }
        for (name, content) in &self.files {
            let path = root.join(name);
            if read(&path)?.as_ref() != Some(content) {
                fs::write(&path, content).map_err(Error::io(&path))?;
                changed.push(format!("{name}: written"));
            }
        }
        Ok(changed)
    }

    /// A line for everything in `root` that is not what a rebuild gives.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn differences(&self, root: &Path) -> Result<BTreeSet<String>, Error> {
        let mut found: BTreeSet<String> = manifest::verify(root)?.into_iter().collect();
        if let Some(recorded) = Manifest::read(&root.join("compiled"))?
            && recorded.nvrtc != self.nvrtc
        {
            found.insert(format!(
                "compiled/{}: made with NVRTC {}, this one is {}: pip install nvidia-cuda-nvrtc-cu12=={}",
                manifest::FILE,
                recorded.nvrtc,
                self.nvrtc,
                recorded.nvrtc
            ));
        }
        for (name, content) in &self.files {
            match read(&root.join(name))? {
                None => found.insert(format!("{name}: missing")),
                Some(present) if present != *content => {
                    found.insert(format!("{name}: differs from a rebuild"))
                }
                Some(_) => continue,
            };
        }
        found.extend(
            self.unknown(root)?
                .iter()
                .map(|name| format!("{name}: comes from no source file")),
        );
        Ok(found)
    }

    /// Files in the folder of modules that come from no source.
    fn unknown(&self, root: &Path) -> Result<Vec<String>, Error> {
        let compiled = root.join("compiled");
        if !compiled.is_dir() {
            return Ok(Vec::new());
        }
        let names = sources::file_names(&compiled)?
            .into_iter()
            .map(|name| format!("compiled/{name}"));
        Ok(names
            .filter(|name| !self.files.contains_key(name))
            .collect())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error)),
    }
}
