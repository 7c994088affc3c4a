//! The images of a pack: some to calibrate with, some to choose with, some to validate what was chosen.

use super::super::console::Console;
use super::super::error::CommandError;
use super::super::images::{Images, ImagesOptions};
use super::super::progress::Progress;
use crate::dataset::ClassFolders;
use mergevit_runtime::ModelConfig;
use mergevit_runtime::words::Count;
use std::path::PathBuf;

/// Parts of one set. `choose` and `validate` never share an image.
pub(super) struct Sets {
    pub(super) calibration: Images,
    /// Where schedules, thresholds and temperatures are chosen.
    pub(super) choose: Images,
    /// Where what was chosen is measured.
    pub(super) validate: Images,
    /// How many classes the whole set has images of.
    pub(super) present_classes: usize,
}

/// Images of the set that are held in memory, in an order of which every beginning is spread over the set.
#[derive(Debug, Default)]
pub(super) struct HeldOut {
    /// Name of the set.
    pub(super) name: String,
    /// u8 (N, S, S, 3)
    pub(super) pixels: Vec<u8>,
    /// (N) right classes of each image: one, none without a label, or several.
    pub(super) classes: Vec<Vec<usize>>,
}

impl HeldOut {
    /// Images, N.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether any image has a label.
    pub(super) fn is_labelled(&self) -> bool {
        !self.classes.iter().all(Vec::is_empty)
    }

    /// Reads all images.
    ///
    /// # Errors
    /// [`CommandError::Dataset`].
    pub(super) fn read(mut images: Images, console: Console) -> Result<Self, CommandError> {
        let name = images.name().to_owned();
        if images.len() == 0 {
            return Ok(Self::default());
        }
        let progress = Progress::new(console, "reading", images.len(), 1);
        let (mut pixels, mut classes) = (Vec::new(), Vec::new());
        while let Some(batch) = images.next_batch()? {
            for &place in &batch.places {
                classes.push(images.classes(place));
                progress.step();
            }
            pixels.extend(batch.pixels);
        }
        drop(progress);
        images.report_skipped();
        let order = spread(classes.len());
        let image = pixels.len() / classes.len();
        let ordered = order.iter().flat_map(|&at| &pixels[at * image..][..image]);
        Ok(Self {
            name,
            pixels: ordered.copied().collect(),
            classes: order.iter().map(|&at| classes[at].clone()).collect(),
        })
    }
}

/// An order of `count` things in which every beginning is spread evenly: steps of the golden ratio.
fn spread(count: usize) -> Vec<usize> {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let mut order: Vec<usize> = (0..count).collect();
    // Thing i has its turn at the fraction of i times the golden ratio.
    let turn = |&thing: &usize| (thing as f64 * GOLDEN).fract();
    order.sort_by(|a, b| turn(a).total_cmp(&turn(b)));
    order
}

/// How a set is taken apart.
#[derive(Clone, Debug)]
pub(super) struct SetsOptions {
    /// Folder of decoded images.
    pub(super) cache: Option<PathBuf>,
    /// How its folders become classes, if they are classes.
    pub(super) folders: ClassFolders,
    pub(super) strict: bool,
    /// Images that calibrate.
    pub(super) calibration: usize,
    /// Images to choose with, and to validate.
    pub(super) held_out: [usize; 2],
    /// Whether these have a use without labels, too.
    pub(super) is_judged: bool,
    pub(super) console: Console,
}

/// Opens the calibration set and takes it apart. Without labels that are the model's classes it serves all the same.
///
/// # Errors
/// [`CommandError::Dataset`].
pub(super) fn open(
    spec: &str,
    model: &ModelConfig,
    options: &SetsOptions,
) -> Result<Sets, CommandError> {
    let of = |folders| ImagesOptions {
        limit: None,
        cache: options.cache.clone(),
        folders,
        strict: options.strict,
        console: options.console,
    };
    let images = match Images::open(spec, model, &of(options.folders)) {
        Ok(images) => images,
        Err(error) => {
            // The same error again, unless it was about classes.
            let images = Images::open(spec, model, &of(ClassFolders::Ignored))?;
            log::info!("labels of the calibration set are not used: {error}");
            images
        }
    };
    // Nothing is held out if nothing would be done with it.
    let held_out = match options.is_judged || images.is_labelled() {
        true => options.held_out,
        false => [0; 2],
    };
    Ok(take_apart(
        &images,
        options.calibration,
        held_out,
        options.console,
    ))
}

/// Parts of `images`: first those that calibrate. If what is left over is not even half of what is to be held out, that comes
/// from the whole set, the images that calibrate included: they chose ranges of activations, and nothing that is judged here.
fn take_apart(images: &Images, limit: usize, held_out: [usize; 2], console: Console) -> Sets {
    let calibration = limit.min(images.len());
    let rest = images.len() - calibration;
    let wanted: usize = held_out.iter().sum();
    let mut parts = if 2 * rest >= wanted {
        let scale = |count: usize| match wanted > rest {
            true => count * rest / wanted,
            false => count,
        };
        images.split(&[calibration, scale(held_out[0]), scale(held_out[1])])
    } else {
        console.say(&format!(
            "note: of {}, those that calibrate also serve to choose and to validate; --limit N leaves others\n",
            Count(images.len() as u64, "image")
        ));
        let mut parts = images.split(&[calibration]);
        parts.append(&mut images.split(&held_out));
        parts
    };
    let mut next = || parts.remove(0);
    Sets {
        calibration: next(),
        choose: next(),
        validate: next(),
        present_classes: images.present_classes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_is_spread() {
        let order = spread(256);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..256).collect::<Vec<_>>());
        for count in [8, 32, 100] {
            let below = order[..count].iter().filter(|&&thing| thing < 128).count();
            assert!(below.abs_diff(count / 2) <= 2, "{count}: {below}");
        }
        assert_eq!((spread(0), spread(1)), (vec![], vec![0]));
    }
}
