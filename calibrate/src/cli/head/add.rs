//! One more class for a pack whose classes are directions.

use super::args::HeadArgs;
use super::data::{Facts, check_labels, embed, open_class};
use super::outcome::Outcome;
use crate::cli::console::Console;
use crate::cli::error::CommandError;
use crate::head::{Features, HeadKind, with_class};
use mergevit_runtime::words::Count;
use mergevit_runtime::{
    Classes, EmbeddingClassifier, Engine, Pack, ScoreKind, TensorKind, Unknown,
};
use std::path::Path;

/// The classes of a pack, if they are directions.
///
/// # Errors
/// [`CommandError::NoPrototypes`].
fn classes(args: &HeadArgs, pack: &Pack) -> Result<Classes, CommandError> {
    let config = pack.config();
    let tensor = |kind| pack.tensor_f32(kind, None).map(<[f32]>::to_vec);
    let (Some(kind @ EmbeddingClassifier::Cosine { .. }), Some(vectors)) =
        (config.classifier, tensor(TensorKind::ClassVector))
    else {
        return Err(CommandError::NoPrototypes {
            path: args.model.clone(),
            has: match config.classifier {
                Some(_) => "a linear classifier, whose classes were fitted against each other",
                None => "no classes to add one to",
            },
        });
    };
    let known = tensor(TensorKind::ClassCenter).zip(tensor(TensorKind::ClassThreshold));
    Ok(Classes {
        labels: config.labels.clone(),
        kind,
        scores: ScoreKind::Softmax,
        vectors,
        bias: Vec::new(),
        unknown: known.map(|(centers, thresholds)| Unknown {
            centers,
            thresholds,
        }),
    })
}

/// Adds a class of the images in `folder` to the pack in `engine`. What the other classes are scored by does not change.
///
/// # Errors
/// [`CommandError`].
pub(super) fn run(
    args: &HeadArgs,
    folder: &Path,
    engine: &mut Engine,
    console: Console,
) -> Result<Outcome, CommandError> {
    let classes = classes(args, engine.pack())?;
    if args
        .kind
        .is_some_and(|kind| HeadKind::from(kind) == HeadKind::Linear)
    {
        return Err(CommandError::Usage(
            "--kind linear: a linear layer is made from images of all classes: give --images too"
                .into(),
        ));
    }
    let (name, mut images) = open_class(args, folder, engine.pack().config())?;
    let labels: Vec<String> = classes
        .labels
        .iter()
        .cloned()
        .chain([name.clone()])
        .collect();
    check_labels(engine.pack().config(), &labels)?;
    let mut features = Features::new(engine.pack().config().classes, 1);
    embed(engine, &mut images, &mut features, Some(0), console)?;
    if features.len() < 2 {
        return Err(CommandError::Usage(format!(
            "--add {}: {}, expected 2 or more",
            folder.display(),
            Count(features.len() as u64, "image")
        )));
    }
    let share = (!args.no_unknown).then_some(args.unknown);
    let (head, assessment) = with_class(classes, name.clone(), &features, share);
    let mut counts = vec![0; labels.len() - 1];
    counts.push(features.len());
    Ok(Outcome {
        kind: HeadKind::Prototypes,
        head,
        counts,
        assessment,
        facts: Facts {
            labels,
            set: name,
            skipped: images.skipped(),
        },
    })
}
