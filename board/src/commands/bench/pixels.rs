//! Random images to time the network on.

/// A batch of random images at model resolution, the same in every run.
pub(super) struct Pixels {
    bytes: Vec<u8>,
    image: usize,
}

impl Pixels {
    /// `batch` images of `image` bytes each.
    pub(super) fn random(image: usize, batch: usize) -> Self {
        // xorshift64 (Marsaglia 2003); any nonzero seed will do.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let byte = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 56) as u8
        };
        Self {
            bytes: (0..image * batch).map(byte).collect(),
            image,
        }
    }

    /// (B, S, S, 3)
    pub(super) fn all(&self) -> &[u8] {
        &self.bytes
    }

    /// (S, S, 3)
    pub(super) fn image(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.image..][..self.image]
    }

    pub(super) fn batch(&self) -> usize {
        self.bytes.len() / self.image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_repeat_and_vary() {
        let (a, b) = (Pixels::random(48, 3), Pixels::random(48, 3));
        assert_eq!(a.all(), b.all());
        assert_eq!((a.batch(), a.image(1).len()), (3, 48));
        assert_ne!(a.image(0), a.image(1));
    }
}
