//! Finds an NVRTC of the right version on this machine.

use crate::error::Error;
use crate::nvrtc::{Nvrtc, VERSION};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// File name of the library in all of CUDA 12.
const LIBRARY: &str = "libnvrtc.so.12";

/// Where the library lies in a CUDA toolkit, in a Python environment or in a package folder; a `*` ends a prefix.
const FOLDERS: &[&[&str]] = &[
    &[],
    &["lib64"],
    &["lib"],
    &["targets", "*", "lib"],
    &[
        "lib",
        "python3*",
        "site-packages",
        "nvidia",
        "cuda_nvrtc",
        "lib",
    ],
];

/// Prints the folder of the PyPI package, wherever this Python's environment or user folder has it.
const PYTHON: &str = "\
import importlib.util
spec = importlib.util.find_spec('nvidia.cuda_nvrtc')
print(*(spec.submodule_search_locations if spec else ()), sep='\\n')";

/// Loads the first NVRTC 12.6 of: `named` (a library, or a folder such as a toolkit or a virtual environment),
/// the same in the variable `MERGEVIT_NVRTC`; and only if neither is given `CUDA_HOME`, `CUDA_PATH`,
/// `/usr/local/cuda*`, the loader's path, the PyPI package of the active Python. Returns where it was found.
///
/// # Errors
/// [`Error::NoNvrtc`], with a line for each library that was refused.
pub fn nvrtc(named: Option<&Path>) -> Result<(Nvrtc, PathBuf), Error> {
    let named = named
        .map(Path::to_owned)
        .or_else(|| variable("MERGEVIT_NVRTC"));
    let candidates = match &named {
        Some(path) if path.is_dir() => libraries_under(path),
        Some(path) => vec![path.clone()],
        None => installed(),
    };
    let mut tried = String::new();
    for path in candidates {
        let refused = match load(path.as_os_str()) {
            Ok(library) => return Ok((library, path)),
            Err(reason) => format!("  {}: {reason}\n", path.display()),
        };
        tried.push_str(&refused);
    }
    if let Some(path) = named.filter(|_| tried.is_empty()) {
        tried = format!("  {}: no {LIBRARY} in this folder\n", path.display());
    }
    Err(Error::NoNvrtc {
        version: VERSION,
        tried,
    })
}

fn load(name: &OsStr) -> Result<Nvrtc, String> {
    let library = Nvrtc::load(name).map_err(|error| error.to_string())?;
    let version = library.version().map_err(|error| error.to_string())?;
    if version == VERSION {
        Ok(library)
    } else {
        Err(format!("is version {version}"))
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn installed() -> Vec<PathBuf> {
    let mut toolkits: Vec<PathBuf> = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(variable)
        .collect();
    toolkits.extend(matching(Path::new("/usr/local"), "cuda*"));
    let mut found: Vec<PathBuf> = toolkits
        .iter()
        .flat_map(|folder| libraries_under(folder))
        .collect();
    found.push(PathBuf::from(LIBRARY));
    found.extend(
        python_package()
            .iter()
            .flat_map(|folder| libraries_under(folder)),
    );
    let mut unique = Vec::new();
    for path in found {
        if !unique.contains(&path) {
            unique.push(path);
        }
    }
    unique
}

/// The libraries in the known places under a folder.
fn libraries_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in FOLDERS {
        let mut folders = vec![folder.to_owned()];
        for part in *place {
            folders = folders
                .iter()
                .flat_map(|folder| matching(folder, part))
                .collect();
        }
        found.extend(
            folders
                .iter()
                .map(|folder| folder.join(LIBRARY))
                .filter(|path| path.is_file()),
        );
    }
    found
}

/// The entries of a folder that a name stands for, in order; one without a `*` stands for itself.
fn matching(folder: &Path, name: &str) -> Vec<PathBuf> {
    let Some(prefix) = name.strip_suffix('*') else {
        return vec![folder.join(name)];
    };
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn python_package() -> Vec<PathBuf> {
    let active = variable("VIRTUAL_ENV").map(|folder| folder.join("bin/python3"));
    let python = active.unwrap_or_else(|| PathBuf::from("python3"));
    // A machine without Python, or a Python that fails, has no such package.
    let output = Command::new(python).args(["-c", PYTHON]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn plant(root: &Path, folder: &str) -> PathBuf {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let library = folder.join(LIBRARY);
        fs::write(&library, "not a library").expect("a file");
        library
    }

    #[test]
    fn toolkits_and_environments_are_searched() {
        let root = tempfile::tempdir().expect("a folder");
        for folder in [
            "lib64",
            "targets/aarch64-linux/lib",
            "lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib",
        ] {
            let root = tempfile::tempdir().expect("a folder");
            assert_eq!(libraries_under(root.path()), Vec::<PathBuf>::new());
            let library = plant(root.path(), folder);
            assert_eq!(libraries_under(root.path()), [library]);
        }
        let (second, first) = (
            plant(root.path(), "targets/b/lib"),
            plant(root.path(), "targets/a/lib"),
        );
        assert_eq!(
            libraries_under(root.path()),
            [first, second],
            "in order of their names"
        );
    }

    #[test]
    fn what_was_tried_is_named() {
        let root = tempfile::tempdir().expect("a folder");
        let empty = nvrtc(Some(root.path()))
            .err()
            .expect("nothing is there")
            .to_string();
        assert!(
            empty.contains("no libnvrtc.so.12 in this folder"),
            "{empty}"
        );
        let library = plant(root.path(), "lib64");
        let broken = nvrtc(Some(root.path()))
            .err()
            .expect("it is none")
            .to_string();
        assert!(broken.contains(&library.display().to_string()), "{broken}");
        assert!(
            broken.contains("pip install nvidia-cuda-nvrtc-cu12==12.6.*"),
            "{broken}"
        );
    }
}
