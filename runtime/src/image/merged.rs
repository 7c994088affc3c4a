//! What merging makes of a picture, as a picture.

use super::Rgb;

/// Pixels that an outline is wide, on a side of the picture of so many pixels: two of 448.
const OUTLINE: usize = 224;

/// The golden ratio's share of a turn: hues of successive tokens are far apart.
const HUE_STEP: f32 = 0.618_034;

/// The picture of merged tokens, as in the paper of token merging (Bolya et al., arXiv 2210.09461, figure 4): patches
/// that became one token have the mean of their colours and an outline of the token's own hue, wherever they lie;
/// patches that stayed alone are left as they were.
///
/// `pixels` are (S, S, 3) RGB at model resolution, `token_of_patch` (side²) is what
/// [`token_map`](crate::inspect::token_map) gives for the image. The result has `zoom` times as many pixels a side.
///
/// # Panics
/// If these do not belong together: `pixels` that are no square of whole patches, `token_of_patch` that is no square,
/// a zoom of 0.
pub fn merged_tokens(pixels: &[u8], token_of_patch: &[u16], zoom: usize) -> Rgb {
    let (size, side) = ((pixels.len() / 3).isqrt(), token_of_patch.len().isqrt());
    assert_eq!(
        (3 * size * size, side * side),
        (pixels.len(), token_of_patch.len())
    );
    assert!(side > 0 && size.is_multiple_of(side) && zoom > 0);
    let patch = size / side;
    let colours = Colours::new(pixels, token_of_patch, patch);
    let (width, edge) = (size * zoom, patch * zoom);
    let outline = (width / OUTLINE).max(1);
    let token = |x: usize, y: usize| token_of_patch[y / edge * side + x / edge];
    let mut out = Vec::with_capacity(3 * width * width);
    for y in 0..width {
        for x in 0..width {
            let own = token(x, y);
            let Some((fill, line)) = colours.of(own) else {
                let at = 3 * (y / zoom * size + x / zoom);
                out.extend_from_slice(&pixels[at..at + 3]);
                continue;
            };
            // Whether another token, or the end of the picture, is less than an outline away.
            let near = |at: usize, by: isize| at.checked_add_signed(by).filter(|&at| at < width);
            let differs = |dx, dy| match (near(x, dx), near(y, dy)) {
                (Some(x), Some(y)) => token(x, y) != own,
                _ => true,
            };
            let reach = outline as isize;
            let steps = [-reach, 0, reach];
            let is_edge = steps
                .iter()
                .any(|&dy| steps.iter().any(|&dx| differs(dx, dy)));
            out.extend_from_slice(if is_edge { &line } else { &fill });
        }
    }
    Rgb::new(width, width, out)
}

/// Fill and outline of each token.
struct Colours(Vec<Option<([u8; 3], [u8; 3])>>);

impl Colours {
    fn new(pixels: &[u8], token_of_patch: &[u16], patch: usize) -> Self {
        let side = token_of_patch.len().isqrt();
        let size = side * patch;
        let tokens = token_of_patch
            .iter()
            .max()
            .map_or(0, |&last| usize::from(last) + 1);
        let mut patches = vec![0u32; tokens];
        let mut sums = vec![[0u64; 3]; tokens];
        for (place, &token) in token_of_patch.iter().enumerate() {
            let token = usize::from(token);
            patches[token] += 1;
            let (top, left) = (place / side * patch, place % side * patch);
            for y in top..top + patch {
                let row = &pixels[3 * (y * size + left)..][..3 * patch];
                for rgb in row.chunks_exact(3) {
                    let sum = sums[token].iter_mut().zip(rgb);
                    sum.for_each(|(sum, &x)| *sum += u64::from(x));
                }
            }
        }
        let colours = patches.iter().zip(&sums).enumerate();
        let colour = |(token, (&patches, sums)): (usize, (&u32, &[u64; 3]))| {
            let count = u64::from(patches) * (patch * patch) as u64;
            let fill = (patches > 1).then(|| sums.map(|sum| (sum / count) as u8))?;
            Some((fill, outline(token, fill)))
        };
        Self(colours.map(colour).collect())
    }

    /// None of a token of one patch.
    fn of(&self, token: u16) -> Option<([u8; 3], [u8; 3])> {
        self.0[usize::from(token)]
    }
}

/// A vivid colour, light on dark and dark on light.
fn outline(token: usize, fill: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = fill.map(f32::from);
    // Rec. 709's luma.
    let light = (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255.0;
    let lightness = if light > 0.55 { 0.32 } else { 0.68 };
    from_hsl((token as f32 * HUE_STEP).fract(), 0.95, lightness)
}

/// sRGB of hue, saturation and lightness, each 0 to 1 (CSS Color 4, section 7).
fn from_hsl(hue: f32, saturation: f32, lightness: f32) -> [u8; 3] {
    let reach = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|turn| {
        let k = (turn + 12.0 * hue) % 12.0;
        let x = lightness - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (255.0 * x).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4 x 4 pixels in patches of 2, one colour a patch.
    fn pixels() -> Vec<u8> {
        let patch = [[10, 0, 0], [30, 0, 0], [0, 200, 0], [0, 0, 90]];
        let pixel = |at: usize| patch[at / 8 * 2 + at % 4 / 2];
        (0..16).flat_map(pixel).collect()
    }

    fn at(picture: &Rgb, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * picture.width() + x);
        picture.pixels()[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn merged_patches_have_their_mean_and_others_stay() {
        let picture = merged_tokens(&pixels(), &[1, 1, 2, 3], 4);
        assert_eq!((picture.width(), picture.height()), (16, 16));
        assert_eq!(at(&picture, 2, 12), [0, 200, 0]);
        assert_eq!(at(&picture, 12, 12), [0, 0, 90]);
        // The first two patches: inside, across the border between them, and on their outline.
        assert_eq!(at(&picture, 4, 4), [20, 0, 0]);
        assert_eq!(at(&picture, 8, 4), [20, 0, 0]);
        let outline = outline(1, [20, 0, 0]);
        for (x, y) in [(0, 0), (7, 0), (15, 3), (5, 7)] {
            assert_eq!(at(&picture, x, y), outline, "({x}, {y})");
        }
    }

    #[test]
    fn parts_of_a_token_share_their_colours() {
        let picture = merged_tokens(&pixels(), &[5, 1, 2, 5], 4);
        assert_eq!(at(&picture, 4, 4), at(&picture, 12, 12));
        assert_eq!(at(&picture, 0, 0), at(&picture, 15, 15));
        assert_eq!(at(&picture, 12, 4), [30, 0, 0]);
    }

    #[test]
    fn without_merging_the_picture_is_the_image() {
        assert_eq!(
            merged_tokens(&pixels(), &[1, 2, 3, 4], 1).pixels(),
            pixels()
        );
    }

    #[test]
    fn hues_are_those_of_css() {
        assert_eq!(from_hsl(0.0, 1.0, 0.5), [255, 0, 0]);
        assert_eq!(from_hsl(1.0 / 3.0, 1.0, 0.25), [0, 128, 0]);
        assert_eq!(from_hsl(240.0 / 360.0, 1.0, 0.75), [128, 128, 255]);
    }
}
