//! Peaks are measured where an implementation runs, and only there.

use mergevit_kernels::cpu;

#[test]
fn every_available_implementation_has_a_peak() {
    for implementation in cpu::implementations() {
        let peak = implementation.measure_peak(2);
        assert_eq!(
            peak.is_some(),
            implementation.available(),
            "{}",
            implementation.name
        );
        assert!(
            peak.is_none_or(|peak| peak.is_finite() && peak > 0.0),
            "{}",
            implementation.name
        );
    }
    let peak = cpu::measure_peak(0);
    assert!(
        peak.is_some_and(|peak| peak > 0.0),
        "no threads means the caller's"
    );
}
