//! The CUDA sources: each `.cu` file becomes one module, together with the `.cuh` headers that it includes.

use crate::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// One `.cu` file and every header that it includes, directly or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the module: the file's name without its extension.
    pub name: String,
    /// The file's text.
    pub text: String,
    /// The headers' texts by file name.
    pub headers: BTreeMap<String, String>,
}

impl Source {
    /// Name of the file.
    pub fn file(&self) -> String {
        format!("{}.cu", self.name)
    }

    /// XXH3 (64 bits) of the options and of all files with their names.
    pub fn hash(&self, options: &[&str]) -> u64 {
        let mut hash = Xxh3::new();
        // With lengths, so that no two different lists of texts look the same.
        let mut add = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        options.iter().for_each(|option| add(option));
        add(&self.file());
        add(&self.text);
        for (name, text) in &self.headers {
            add(name);
            add(text);
        }
        hash.digest()
    }

    /// Dynamic shared memory in bytes by kernel, as the file declares it for the largest common shape, one line
    /// for each kernel: `// dynamic shared: KERNEL BYTES`.
    ///
    /// # Errors
    /// If such a line has another form, or names a kernel twice.
    pub fn dynamic_shared(&self) -> Result<BTreeMap<&str, u32>, Error> {
        let mut bytes = BTreeMap::new();
        for line in self.text.lines() {
            let Some(declared) = line.trim().strip_prefix("// dynamic shared:") else {
                continue;
            };
            let words: Vec<&str> = declared.split_whitespace().collect();
            let parsed = match words[..] {
                [kernel, size] => size.parse().ok().map(|size| (kernel, size)),
                _ => None,
            };
            let wrong = || {
                Error::source(
                    &self.file(),
                    format!("not `// dynamic shared: KERNEL BYTES`: {line}"),
                )
            };
            let (kernel, size) = parsed.ok_or_else(wrong)?;
            if bytes.insert(kernel, size).is_some() {
                let what = format!("the dynamic shared memory of {kernel} is declared twice");
                return Err(Error::source(&self.file(), what));
            }
        }
        Ok(bytes)
    }
}

/// Reads every `.cu` file of a folder with its headers, in the order of their names.
///
/// # Errors
/// If a file cannot be read, or includes what is not in the folder.
pub fn read(folder: &Path) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for name in file_names(folder)? {
        if let Some(module) = name.strip_suffix(".cu") {
            let text = read_text(folder, &name)?;
            let mut headers = BTreeMap::new();
            add_headers(folder, &name, &text, &mut headers)?;
            sources.push(Source {
                name: module.to_owned(),
                text,
                headers,
            });
        }
    }
    Ok(sources)
}

/// Names of the files in a folder, in order.
pub(crate) fn file_names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = folder.read_dir().map_err(Error::io(folder))?;
    let names =
        entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names = names
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::io(folder))?;
    names.sort();
    Ok(names)
}

fn read_text(folder: &Path, name: &str) -> Result<String, Error> {
    let path = folder.join(name);
    fs::read_to_string(&path).map_err(Error::io(&path))
}

fn add_headers(
    folder: &Path,
    file: &str,
    text: &str,
    headers: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    for name in text.lines().filter_map(included) {
        let Some(name) = name
            .strip_prefix('"')
            .and_then(|name| name.split_once('"'))
            .map(|name| name.0)
        else {
            return Err(Error::source(
                file,
                format!("includes {name}: only headers beside it may be included"),
            ));
        };
        if headers.contains_key(name) {
            continue;
        }
        if name.contains('/') || !folder.join(name).is_file() {
            return Err(Error::source(
                file,
                format!("includes {name:?}, which is not beside it"),
            ));
        }
        let header = read_text(folder, name)?;
        headers.insert(name.to_owned(), header.clone());
        add_headers(folder, name, &header, headers)?;
    }
    Ok(())
}

/// What an `#include` line includes, with its quotes.
fn included(line: &str) -> Option<&str> {
    let directive = line.trim_start().strip_prefix('#')?.trim_start();
    Some(directive.strip_prefix("include")?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        folder
    }

    #[test]
    fn headers_are_found_through_headers() {
        let folder = folder(&[
            (
                "b.cu",
                "#include \"one.cuh\"\n  # include \"two.cuh\" // both\n",
            ),
            ("a.cu", "int x;\n"),
            (
                "one.cuh",
                "#pragma once\n#include \"two.cuh\"\n#include \"three.cuh\"\n",
            ),
            ("two.cuh", ""),
            ("three.cuh", "#include \"one.cuh\"\n"),
            ("unused.cuh", ""),
        ]);
        let sources = read(folder.path()).expect("sources");
        assert_eq!(
            sources
                .iter()
                .map(|source| &*source.name)
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert!(sources[0].headers.is_empty());
        assert_eq!(
            sources[1].headers.keys().collect::<Vec<_>>(),
            ["one.cuh", "three.cuh", "two.cuh"]
        );
    }

    #[test]
    fn what_lies_elsewhere_is_refused() {
        for text in [
            "#include <cuda_fp16.h>",
            "#include \"none.cuh\"",
            "#include \"../x/a.cuh\"",
            "#include NAME",
        ] {
            let folder = folder(&[("a.cu", text)]);
            let error = read(folder.path()).expect_err(text).to_string();
            assert!(error.starts_with("a.cu: includes"), "{error}");
        }
    }

    #[test]
    fn the_hash_sees_every_change() {
        let source = |text: &str, header: &str| Source {
            name: "a".into(),
            text: text.into(),
            headers: BTreeMap::from([("h.cuh".into(), header.into())]),
        };
        let first = source("x", "y");
        let hash = first.hash(&["-O", "-g"]);
        assert_eq!(hash, first.clone().hash(&["-O", "-g"]));
        assert_ne!(hash, first.hash(&["-O-g"]));
        assert_ne!(hash, source("y", "y").hash(&["-O", "-g"]));
        assert_ne!(hash, source("x", "x").hash(&["-O", "-g"]));
    }

    #[test]
    fn dynamic_shared_memory_is_declared_by_kernel() {
        let source = |text: &str| Source {
            name: "a".into(),
            text: text.into(),
            headers: BTreeMap::new(),
        };
        let two = source("// dynamic shared: f 49152\nint x;\n// dynamic shared: g 128\n");
        assert_eq!(
            two.dynamic_shared().expect("two"),
            BTreeMap::from([("f", 49152), ("g", 128)])
        );
        for wrong in ["f", "f 1 2", "f x", "f -1", "f 1\n// dynamic shared: f 1"] {
            source(&format!("// dynamic shared: {wrong}"))
                .dynamic_shared()
                .expect_err(wrong);
        }
    }
}
