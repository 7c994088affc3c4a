//! Several images as one task: a layer's weights come from memory, and are laid out, once for all of them.
//!
//! What an image gives does not depend, to the bit, on the images beside it.

use super::{Change, Forward, Point};
use rayon::prelude::*;

/// Tokens of a task: so many that laying out weights costs little beside the products, so few that activations stay in a
/// level-3 cache.
const TOKENS: usize = 2048;

impl Forward<'_> {
    /// How many images `pixels` are.
    pub(super) fn images(&self, pixels: &[u8]) -> usize {
        pixels.len() / self.checkpoint.model.image_bytes()
    }

    /// What `run` gives for each image, in order, on all of rayon's threads; it gets a few images and the index of the
    /// first.
    ///
    /// # Panics
    /// If `pixels` is not a whole number of images.
    pub(super) fn batches<R: Send>(
        &self,
        pixels: &[u8],
        run: impl Fn(usize, &[u8]) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let (image, images) = (self.checkpoint.model.image_bytes(), self.images(pixels));
        assert_eq!(pixels.len(), images * image);
        let tokens = self.checkpoint.model.tokens();
        let tasks = tasks(images, tokens, rayon::current_num_threads());
        let edge = |task: usize| task * images / tasks;
        let run = |task| {
            let (first, end) = (edge(task), edge(task + 1));
            run(first, &pixels[first * image..end * image])
        };
        (0..tasks).into_par_iter().flat_map_iter(run).collect()
    }
}

/// Into how many tasks images of `tokens` tokens are split: each thread has as many as another.
fn tasks(images: usize, tokens: usize, threads: usize) -> usize {
    let most = (TOKENS / tokens).max(1);
    let each = images.div_ceil(threads).div_ceil(most);
    (each * threads).min(images)
}

/// Shows each image's tap its part of `values`, which hold the rows of one image after the other.
pub(super) fn show<T: Change>(taps: &mut [T], point: Point, values: &mut [f32], width: usize) {
    let part = values.len() / taps.len();
    for (tap, values) in taps.iter_mut().zip(values.chunks_exact_mut(part)) {
        tap.change(point, values, width);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Output;
    use super::*;
    use crate::checkpoint::Checkpoint;
    use mergevit_kernels::testing::Random;

    /// Long enough for every image to be in one task with others, where products of many rows are laid out.
    const IMAGES: usize = 9;

    #[test]
    fn an_image_gives_the_same_bits_beside_others() {
        let checkpoint = Checkpoint::random("vit_tiny_patch16_64", 1).unwrap();
        let forward = Forward::new(&checkpoint);
        let image = checkpoint.model.image_bytes();
        let mut random = Random(2);
        let pixels: Vec<u8> = (0..IMAGES * image).map(|_| random.bits() as u8).collect();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let alone = alone.unwrap();
        for merge in [&[][..], &[2; 12]] {
            let classify = |pixels| forward.classify(pixels, merge);
            let want: Vec<Output> = pixels.chunks_exact(image).flat_map(classify).collect();
            assert_eq!(alone.install(|| classify(&pixels)), want);
            let run = |pixels| forward.run(pixels, merge, &mut ());
            let want: Vec<Output> = pixels.chunks_exact(image).map(run).collect();
            let watched = alone.install(|| forward.watch(&pixels, merge, |_| (), &|| ()));
            let watched: Vec<Output> = watched.into_iter().map(|(output, ())| output).collect();
            assert_eq!(watched, want);
        }
    }

    #[test]
    fn tasks_are_small_and_even() {
        // Images, tokens of each, threads: tasks.
        for (images, tokens, threads, wanted) in [
            (0, 197, 2, 0),
            (1, 197, 2, 1),
            (64, 197, 2, 8),
            (64, 197, 48, 48),
            (1000, 197, 48, 144),
            (6, 2305, 2, 6),
        ] {
            let tasks = tasks(images, tokens, threads);
            assert_eq!(tasks, wanted, "{images} images of {tokens} on {threads}");
        }
    }
}
