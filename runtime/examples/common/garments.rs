//! What the examples classify: the model and the Fashion-MNIST test images of `mergevit demo`.

/// Path of the model.
pub(crate) const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../board/assets/garments.mvit");

/// Side of an image in pixels.
pub(crate) const SIDE: usize = 28;

static IMAGES: &[u8] = include_bytes!("../../../board/assets/frames-images.idx3-ubyte");
static LABELS: &[u8] = include_bytes!("../../../board/assets/frames-labels.idx1-ubyte");

/// Grey images, (28, 28) u8, each with its class.
pub(crate) fn garments() -> impl Iterator<Item = (&'static [u8], usize)> {
    // The container's headers: four and two numbers of 4 bytes.
    let images = IMAGES[16..].chunks_exact(SIDE * SIDE);
    images.zip(LABELS[8..].iter().map(|&class| class.into()))
}
