//! Logarithms of token sizes.

use crate::ops::MAX_TOKENS;

/// `log2(n)` for token sizes n = 0..=[`MAX_TOKENS`] (entry 0 is unused and 0).
///
/// Computed in f64 and rounded once. A test shows that no entry lies near enough to the middle of two
/// f32 values for two correct mathematics libraries to disagree.
pub fn log2_table() -> Box<[f32]> {
    (0..=MAX_TOKENS)
        .map(|n| {
            if n == 0 {
                0.0
            } else {
                (n as f64).log2() as f32
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log2_table_does_not_depend_on_the_mathematics_library() {
        for (n, &entry) in log2_table().iter().enumerate().skip(1) {
            let truth = (n as f64).log2();
            let ulp = f64::from(entry.next_up()) - f64::from(entry);
            let to_middle = ((truth - f64::from(entry)).abs() - ulp / 2.0).abs();
            assert!(n.is_power_of_two() || to_middle > 1e-14, "log2({n})");
        }
    }
}
