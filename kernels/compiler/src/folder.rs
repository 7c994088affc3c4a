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

/// The files that the sources give.
pub struct Rebuilt {
    /// Contents by path within the folder of kernels: the images first, `images.json`, `README.md`.
    files: BTreeMap<String, Vec<u8>>,
    /// The compiler's full version.
    nvrtc: String,
    /// The table of resources.
    pub table: String,
    /// Bytes of all images.
    pub bytes: u64,
}

/// Compiles `root/cuda` and lays out everything that follows from it.
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
    let images = compile::compile(nvrtc, &sources)?;
    let manifest = Manifest::new(&sources, &images)?;
    let table = resources::table(images.iter().flat_map(|image| &image.kernels));
    let mut files = BTreeMap::new();
    for image in images {
        files.insert(format!("images/{}{CUBIN}", image.name), image.cubin);
        files.insert(
            format!("images/{}{PTX}", image.name),
            image.ptx.into_bytes(),
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
        format!("images/{}", manifest::FILE),
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
        let images = root.join("images");
        fs::create_dir_all(&images).map_err(Error::io(&images))?;
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
        if let Some(recorded) = Manifest::read(&root.join("images"))?
            && recorded.nvrtc != self.nvrtc
        {
            found.insert(format!(
                "images/{}: made with NVRTC {}, this one is {}: pip install nvidia-cuda-nvrtc-cu12=={}",
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

    /// Files among the images that no source gives.
    fn unknown(&self, root: &Path) -> Result<Vec<String>, Error> {
        let images = root.join("images");
        if !images.is_dir() {
            return Ok(Vec::new());
        }
        let names = sources::file_names(&images)?
            .into_iter()
            .map(|name| format!("images/{name}"));
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
