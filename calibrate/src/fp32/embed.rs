//! From pixels to tokens.

use super::elementwise::norm;
use super::{Change, Forward, Point, Tokens, linear};

impl Forward<'_> {
    /// The residual stream before the first layer.
    pub(super) fn embed(&self, pixels: &[u8], tap: &mut impl Change) -> Tokens {
        let (model, weights) = (&self.checkpoint.model, &self.checkpoint.weights);
        assert_eq!(pixels.len(), model.image_bytes());
        let (size, patch, side) = (model.image_size, model.patch_size, model.side());
        let inner = 3 * patch * patch;
        let mut patches = vec![0.0; side * side * inner];
        for (n, row) in patches.chunks_exact_mut(inner).enumerate() {
            for (k, x) in row.iter_mut().enumerate() {
                let (colour, y, x_in) = (k / (patch * patch), k / patch % patch, k % patch);
                let (py, px) = (n / side * patch + y, n % side * patch + x_in);
                let pixel = f32::from(pixels[(py * size + px) * 3 + colour]);
                *x = (pixel / 255.0 - self.checkpoint.mean[colour]) / self.checkpoint.std[colour];
            }
        }
        let rows = linear(&patches, inner, &weights.patch_weight, &weights.patch_bias);
        let mut residual = weights.position.clone();
        for (x, y) in residual[model.prefix * model.width..].iter_mut().zip(rows) {
            *x += y;
        }
        tap.change(Point::PatchEmbed, &mut residual, model.width);
        if let Some(affine) = &weights.pre_norm {
            residual = norm(model.norm, &residual, affine, model.width, model.epsilon);
        }
        let prefix = std::iter::repeat_n([0.0; 2], model.prefix);
        let grid = (0..side * side).map(|patch| [(patch / side) as f64, (patch % side) as f64]);
        Tokens {
            residual,
            sizes: vec![1; model.tokens()],
            positions: prefix.chain(grid).collect(),
        }
    }
}
