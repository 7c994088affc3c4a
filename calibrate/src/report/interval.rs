//! How far a measured fraction may be from the true one.

/// The normal distribution's quantile for an interval that holds the truth 95 times of 100.
const Z: f64 = 1.959_964;

/// Wilson's score interval (J. Am. Stat. Assoc. 22, 1927) at 95 % of a fraction `p` that was found in `n` images. Unlike
/// `p` and twice its standard error it stays between 0 and 1, and means something where all of few images are right.
pub(super) fn interval(p: f64, n: u64) -> (f64, f64) {
    let n = n as f64;
    let z2 = Z * Z / n;
    let centre = (p + z2 / 2.0) / (1.0 + z2);
    let half = Z / (1.0 + z2) * (p * (1.0 - p) / n + z2 / (4.0 * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (hits, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = interval(f64::from(hits) / n as f64, n);
            assert!(
                (found.0 - low).abs() < 6e-5 && (found.1 - high).abs() < 6e-5,
                "{found:?}"
            );
        }
        assert!((interval(1.0, 50).1 - 1.0).abs() < 1e-12);
    }
}
