//! The embedded frames: the first 256 test images of Fashion-MNIST in IDX files, 28 × 28 grey.

static IMAGES: &[u8] = include_bytes!("../../../assets/frames-images.idx3-ubyte");
static LABELS: &[u8] = include_bytes!("../../../assets/frames-labels.idx1-ubyte");

/// Side of a frame in pixels.
pub(super) const SIDE: usize = 28;
const IMAGES_HEADER: usize = 16;
const LABELS_HEADER: usize = 8;

/// A frame with its class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// (28, 28) grey.
    pub(super) pixels: &'static [u8],
    pub(super) class: usize,
}

/// All embedded frames.
pub(super) fn samples() -> impl ExactSizeIterator<Item = Sample> {
    let images = IMAGES[IMAGES_HEADER..].chunks_exact(SIDE * SIDE);
    let labels = LABELS[LABELS_HEADER..].iter();
    images.zip(labels).map(|(pixels, &class)| Sample {
        pixels,
        class: usize::from(class),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_say_what_the_code_assumes() {
        let word = |bytes: &[u8], at: usize| {
            let word = bytes[4 * at..][..4].try_into().expect("four bytes");
            u32::from_be_bytes(word) as usize
        };
        let count = word(IMAGES, 1);
        assert_eq!((word(IMAGES, 0), word(LABELS, 0)), (0x803, 0x801));
        assert_eq!((word(IMAGES, 2), word(IMAGES, 3)), (SIDE, SIDE));
        assert_eq!(IMAGES.len(), IMAGES_HEADER + count * SIDE * SIDE);
        assert_eq!(word(LABELS, 1), count);
        assert_eq!(LABELS.len(), LABELS_HEADER + count);
        assert_eq!(samples().len(), count);
        assert!(samples().all(|sample| sample.class < 10));
    }
}
