//! Which files of a folder hold the weights.

use crate::checkpoint::error::{CheckpointError, Defect};
use std::path::{Path, PathBuf};

/// Names that libraries give the weights of a folder, the best first: as transformers, timm and open_clip look for them.
const NAMES: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
];

/// What the names of indices of sharded weights end with.
const INDEX: &str = ".index.json";

/// What other files of weights end with.
const ENDINGS: [&str; 7] = [
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".pth.tar",
    ".ckpt",
    ".npz",
];

/// What the program of PEFT writes instead of a model.
const ADAPTERS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// Where the weights are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// All in one file.
    Single(PathBuf),
    /// In several, which this index names.
    Sharded(PathBuf),
}

/// The folder whose configuration belongs to `path`: itself, or the one that the file is in.
pub(in crate::checkpoint) fn folder(path: &Path) -> &Path {
    if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    }
}

/// Finds the weights of a folder, or takes the file given.
///
/// # Errors
/// [`Defect::Folder`] says what a folder has instead, [`Defect::Shard`] that the file is a part.
pub(super) fn locate(path: &Path) -> Result<Located, CheckpointError> {
    let fail = |defect| CheckpointError {
        path: path.into(),
        defect,
    };
    if !path.is_dir() {
        return match shards(path) {
            Some(shards) if shards > 1 => Err(fail(Defect::Shard { shards })),
            _ => Ok(kind(path.into())),
        };
    }
    let mut files = NAMES.iter().map(|name| path.join(name));
    let found = files.find(|file| file.exists());
    found.map(kind).ok_or_else(|| fail(instead(path)))
}

fn kind(file: PathBuf) -> Located {
    if file.to_string_lossy().ends_with(INDEX) {
        Located::Sharded(file)
    } else {
        Located::Single(file)
    }
}

/// The number of shards, of which a file of this name is one: `model-00001-of-00002.safetensors`.
fn shards(path: &Path) -> Option<usize> {
    let stem = path.file_stem()?.to_str()?;
    let (before, count) = stem.rsplit_once("-of-")?;
    let (_, number) = before.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(number) && is_number(count)).then(|| count.parse().ok())?
}

/// What a folder without known weights has instead.
fn instead(folder: &Path) -> Defect {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    if names.iter().any(|name| ADAPTERS.contains(&name.as_str())) {
        return Defect::Folder {
            found: "an adapter of PEFT, which is no model by itself".into(),
            advice: "merge it in Python: model.merge_and_unload().save_pretrained('NEW')",
        };
    }
    let mut steps: Vec<u64> = names
        .iter()
        .filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok())
        .collect();
    if !steps.is_empty() {
        steps.sort_unstable();
        let steps: Vec<_> = steps
            .iter()
            .map(|step| format!("checkpoint-{step}"))
            .collect();
        return Defect::Folder {
            found: steps.join(", "),
            advice: "give one of these folders; best_model_checkpoint in the trainer_state.json of the last one \
                     names the best, if the training kept it",
        };
    }
    names.retain(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)));
    if names.is_empty() {
        return Defect::Folder {
            found: "nothing of the kind".into(),
            advice: "a checkpoint is a folder with model.safetensors or pytorch_model.bin and config.json, or a file \
                     of weights, beside its config.json if it has one",
        };
    }
    Defect::Folder {
        found: names.join(", "),
        advice: "if one of these files holds the whole model, give that file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => std::fs::create_dir(folder.path().join(name)).unwrap(),
                None => std::fs::write(folder.path().join(name), "").unwrap(),
            }
        }
        folder
    }

    #[test]
    fn the_best_known_name_is_taken() {
        let mut names: Vec<&str> = NAMES.into();
        while let Some(first) = names.first() {
            let folder = folder_of(&names);
            let file = folder.path().join(first);
            let expected = if first.ends_with("json") {
                Located::Sharded(file.clone())
            } else {
                Located::Single(file.clone())
            };
            assert_eq!(locate(folder.path()).unwrap(), expected);
            assert_eq!(locate(&file).unwrap(), expected);
            names.remove(0);
        }
    }

    #[test]
    fn what_is_there_instead_is_named() {
        for (names, what) in [
            (&["config.json"][..], "nothing of the kind"),
            (
                &["adapter_model.safetensors", "adapter_config.json"],
                "merge_and_unload",
            ),
            (
                &["checkpoint-9/", "checkpoint-100/", "runs/"],
                "checkpoint-9, checkpoint-100",
            ),
            (&["model_best.pth.tar", "args.yaml"], "model_best.pth.tar"),
            (
                &["model-00001-of-00002.safetensors"],
                "model-00001-of-00002.safetensors",
            ),
        ] {
            let folder = folder_of(names);
            let error = locate(folder.path()).unwrap_err();
            let text = format!("{error} {}", error.defect.hint().unwrap());
            assert!(text.contains(what), "{text}");
        }
    }

    #[test]
    fn one_shard_of_several_is_refused() {
        for (name, shards) in [
            ("model-00001-of-00002.safetensors", Some(2)),
            ("pytorch_model-00002-of-00012.bin", Some(12)),
            ("model-00001-of-00001.safetensors", Some(1)),
            ("model-1-of-2.safetensors", None),
            ("vit-base.safetensors", None),
        ] {
            assert_eq!(super::shards(Path::new(name)), shards, "{name}");
        }
        let error = locate(Path::new("model-00001-of-00002.safetensors")).unwrap_err();
        assert!(matches!(error.defect, Defect::Shard { shards: 2 }));
    }
}
