//! Rotary positions as frequencies: each pair of channels turns by an angle that is linear in (y, x).

use super::heads::Heads;
use crate::checkpoint::anatomy::Rotary;
use std::f64::consts::TAU;

/// Turns a patch further down, a patch further right, and at patch (0, 0).
pub(super) type Frequency = [f64; 3];

/// A grid of `side` by `side` patches whose axes have the same `bands`, first those of y (of x, if `x_first`):
/// the coordinate of patch i is `scale * i + start`.
fn axes(bands: &[f64], scale: f64, start: f64, x_first: bool) -> Vec<Frequency> {
    let axis = |is_x: bool| {
        bands.iter().map(move |band| {
            let (slope, phase) = (band * scale, band * start);
            if is_x {
                [0.0, slope, phase]
            } else {
                [slope, 0.0, phase]
            }
        })
    };
    axis(x_first).chain(axis(!x_first)).collect()
}

/// Frequencies of the pairs of one head in the file, in the order of the file's pairs: neighbours, or the i-th of
/// both halves. None for learned ones, which [`mixed`] reads.
fn shared(rotary: &Rotary, width: usize, side: usize) -> Option<Vec<Frequency>> {
    let bands = width / 4;
    let side = side as f64;
    match *rotary {
        // timm.layers.RotaryEmbeddingCat
        Rotary::Index {
            temperature,
            offset,
            reference,
            x_first,
            ..
        } => {
            let band = |i: usize| temperature.powf(-(i as f64) / bands as f64) / TAU;
            let scale = reference.map_or(1.0, |reference| reference as f64 / side);
            let bands: Vec<f64> = (0..bands).map(band).collect();
            Some(axes(&bands, scale, offset * scale, x_first))
        }
        // timm.layers.RotaryEmbeddingDinoV3: an angle of one turn a period
        Rotary::Centred {
            temperature,
            offset,
            x_first,
            ..
        } => {
            let band = |i: usize| temperature.powf(-2.0 * i as f64 / (width / 2) as f64);
            let bands: Vec<f64> = (0..bands).map(band).collect();
            let start = 2.0 * (0.5 + offset) / side - 1.0;
            Some(axes(&bands, 2.0 / side, start, x_first))
        }
        Rotary::Mixed { .. } => None,
    }
}

/// One head's frequencies, padded to the pairs that are stored: padding does not turn.
fn pad(mut frequencies: Vec<Frequency>, heads: Heads) -> Vec<f64> {
    frequencies.resize(heads.stored / 2, [0.0; 3]);
    frequencies.into_flattened()
}

/// Frequencies (D / 2, 3) that all layers and heads share; none for learned ones.
pub(super) fn frequencies(rotary: &Rotary, heads: Heads, side: usize) -> Option<Vec<f64>> {
    shared(rotary, heads.width, side).map(|frequencies| pad(frequencies, heads))
}

/// Learned frequencies (H * D / 2, 3) of layer `layer` out of a tensor (2, depth, H, d / 2) in radians a patch, the
/// first half along x if `x_first`.
pub(super) fn mixed(freqs: &[f32], layer: usize, heads: Heads, x_first: bool) -> Vec<f64> {
    let pairs = heads.width / 2;
    let (first, second) = freqs.split_at(freqs.len() / 2);
    let start = layer * heads.count * pairs;
    let head = |head: usize| {
        let at = start + head * pairs;
        let turns = |of: &[f32], i: usize| f64::from(of[at + i]) / TAU;
        let pair = |i: usize| {
            let (a, b) = (turns(first, i), turns(second, i));
            if x_first { [b, a, 0.0] } else { [a, b, 0.0] }
        };
        pad((0..pairs).map(pair).collect(), heads)
    };
    (0..heads.count).flat_map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: Heads = Heads {
        count: 2,
        width: 8,
        stored: 12,
    };

    /// Radians of a pair at a patch.
    fn angle(frequencies: &[f64], pair: usize, y: f64, x: f64) -> f64 {
        let at = &frequencies[3 * pair..][..3];
        TAU * (at[0] * y + at[1] * x + at[2])
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn patch_numbers_turn_as_in_the_library() {
        let rotary = Rotary::Index {
            temperature: 10_000.0,
            offset: 1.0,
            reference: Some(16),
            x_first: false,
            halves: false,
        };
        let found = frequencies(&rotary, HEADS, 32).unwrap();
        assert_eq!(found.len(), 18);
        // t = (i + 1) / 32 * 16, bands 1 and 1 / 100
        close(angle(&found, 0, 6.0, 3.0), 3.5);
        close(angle(&found, 1, 6.0, 3.0), 0.035);
        close(angle(&found, 2, 6.0, 3.0), 2.0);
        close(angle(&found, 3, 6.0, 3.0), 0.02);
        close(angle(&found, 4, 6.0, 3.0), 0.0);
    }

    #[test]
    fn centres_turn_as_in_the_library() {
        let rotary = |x_first| Rotary::Centred {
            temperature: 100.0,
            offset: 0.0,
            x_first,
            halves: true,
        };
        let found = frequencies(&rotary(false), HEADS, 4).unwrap();
        // Centres -3/4, -1/4, 1/4, 3/4; periods 1 and 10
        close(angle(&found, 0, 0.0, 3.0), -0.75 * TAU);
        close(angle(&found, 1, 2.0, 3.0), 0.025 * TAU);
        close(angle(&found, 2, 0.0, 3.0), 0.75 * TAU);
        let swapped = frequencies(&rotary(true), HEADS, 4).unwrap();
        close(angle(&swapped, 0, 0.0, 3.0), 0.75 * TAU);
    }

    #[test]
    fn learned_frequencies_are_found_by_layer_head_and_axis() {
        // (2 axes, 2 layers, 2 heads, 4 pairs)
        let freqs: Vec<f32> = (0..32).map(|x| x as f32).collect();
        let found = mixed(&freqs, 1, HEADS, true);
        assert_eq!(found.len(), 2 * 6 * 3);
        // Layer 1, head 1, pair 2: x turns by freqs[14], y by freqs[30].
        close(angle(&found, 6 + 2, 2.0, 1.0), 2.0 * 30.0 + 14.0);
        close(
            angle(&mixed(&freqs, 1, HEADS, false), 6 + 2, 2.0, 1.0),
            2.0 * 14.0 + 30.0,
        );
        close(angle(&found, 6 + 5, 2.0, 1.0), 0.0);
    }
}
