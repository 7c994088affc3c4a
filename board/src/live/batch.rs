//! The frames that are classified together: what is new of all sources, whole or in regions.

use super::feed::Feed;
use super::regions::Region;
use crate::sources::Slot;
use mergevit_kernels::ops::MAX_BATCH;
use mergevit_runtime::Frame;

/// Most images of a batch: sources times regions.
pub(crate) const MAX_IMAGES: usize = MAX_BATCH;

/// A list for each image of a batch.
pub(super) type PerImage<T> = heapless::Vec<T, MAX_IMAGES>;

/// A frame: its slot, to be given back, and the feed that it came from.
pub(super) struct Taken {
    pub(super) slot: Slot,
    pub(super) feed: usize,
}

/// Frames that were taken, one of each feed at most.
pub(super) struct Batch {
    taken: Vec<Taken>,
}

/// What one image of the batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Place of its frame among those that were taken.
    pub(super) frame: usize,
    /// Place of its region, if frames are not whole.
    pub(super) region: Option<usize>,
}

/// The images of a batch, in their order.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub(super) inside: PerImage<Image>,
    /// Regions that have no part of their frame.
    pub(super) outside: PerImage<Image>,
}

impl Batch {
    /// Room for a frame of each of so many feeds. Allocates.
    pub(super) fn new(feeds: usize) -> Self {
        Self {
            taken: Vec::with_capacity(feeds),
        }
    }

    pub(super) fn push(&mut self, slot: Slot, feed: usize) {
        self.taken.push(Taken { slot, feed });
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The frames that were taken.
    pub(super) fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// What there is to classify, frame by frame, region by region.
    pub(super) fn images(&self, regions: &[Region]) -> (Images, PerImage<Frame<'_>>) {
        let mut images = Images::default();
        let mut frames = PerImage::new();
        for (place, taken) in self.taken.iter().enumerate() {
            let Ok(frame) = taken.slot.frame() else {
                continue;
            };
            let whole = regions.is_empty().then_some((None, Some(frame)));
            let parts = regions.iter().enumerate();
            let parts = parts.map(|(place, region)| (Some(place), region.of(&frame)));
            for (region, part) in whole.into_iter().chain(parts) {
                let image = Image {
                    frame: place,
                    region,
                };
                // The command line has no more of them than there is room for.
                let _ = match part {
                    Some(part) => images
                        .inside
                        .push(image)
                        .and(frames.push(part).map_err(|_| image)),
                    None => images.outside.push(image),
                };
            }
        }
        (images, frames)
    }

    /// Gives the slots back.
    pub(super) fn give_back(&mut self, feeds: &[Feed]) {
        for taken in self.taken.drain(..) {
            feeds[taken.feed].exchange().give_back(taken.slot);
        }
    }
}
