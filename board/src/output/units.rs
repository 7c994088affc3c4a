//! Numbers as people read them.

use mergevit_runtime::estimate::Range;

/// A byte count: `12.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// A duration in microseconds: three or four digits and a unit.
pub(crate) fn microseconds(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0} µs"),
        ..1e5 => format!("{:.2} ms", value / 1e3),
        ..1e6 => format!("{:.1} ms", value / 1e3),
        _ => format!("{:.2} s", value / 1e6),
    }
}

/// Both ends of a duration in microseconds, the shortest with a decimal.
pub(crate) fn range(of: Range) -> String {
    match of.high {
        ..10.0 => format!("{:.1} – {:.1} µs", of.low, of.high),
        _ => format!("{} – {}", microseconds(of.low), microseconds(of.high)),
    }
}

/// A fraction (0..=1) in per cent: `87.5 %`.
pub(crate) fn percent(fraction: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", 100.0 * fraction)
}

/// `part / whole`, or 0 if `whole` is not positive.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Tokens from layer to layer: `197→189→181`.
pub(crate) fn arrows(tokens: &[u16]) -> String {
    let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
    tokens.join("→")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(1_234_567), "1234.6 kB");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(microseconds(12.3), "12 µs");
        assert_eq!(microseconds(12_345.0), "12.35 ms");
        assert_eq!(microseconds(2_500_000.0), "2.50 s");
        assert_eq!(percent(0.8749, 1), "87.5 %");
        assert_eq!(percent(0.5, 0), "50 %");
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(1.0, 4.0), 0.25);
        assert_eq!(ratio(1.0, 0.0), 0.0);
    }

    #[test]
    fn tokens_are_joined_by_arrows() {
        assert_eq!(arrows(&[197, 189]), "197→189");
        assert_eq!(arrows(&[]), "");
    }
}
