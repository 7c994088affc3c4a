use crate::ops::Patchify;

/// Cuts u8 RGB images (B, S, S, 3) into patch rows (B, N, row) of `pixel - 128`.
///
/// A row holds its patch's pixels in reading order, colour fastest, then zeros up to the row's length:
/// the patch embedding's weights are stored in the same order.
pub fn patchify(shape: &Patchify, pixels: &[u8], patches: &mut [i8]) {
    let (size, patch) = (shape.image_size, shape.patch_size);
    let side = size / patch;
    assert_eq!(pixels.len(), shape.batch * size * size * 3);
    assert_eq!(patches.len(), shape.batch * shape.patches() * shape.row());
    for (n, row) in patches.chunks_exact_mut(shape.row()).enumerate() {
        let (image, patch_y, patch_x) = (n / (side * side), n / side % side, n % side);
        row.fill(0);
        for y in 0..patch {
            for x in 0..patch {
                for colour in 0..3 {
                    let (py, px) = (patch_y * patch + y, patch_x * patch + x);
                    let pixel = pixels[((image * size + py) * size + px) * 3 + colour];
                    row[(y * patch + x) * 3 + colour] = (i16::from(pixel) - 128) as i8;
                }
            }
        }
    }
}
