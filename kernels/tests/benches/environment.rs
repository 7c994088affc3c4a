//! Dates and names of processors.

use super::operations::environment::{processor, utc};

#[test]
fn dates_at_the_ends_of_years_and_on_leap_days() {
    for (seconds, date) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (978_307_199, "2000-12-31T23:59:59Z"),
        (1_709_251_200, "2024-03-01T00:00:00Z"),
        (1_795_545_005, "2026-11-24T18:30:05Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(utc(seconds), date);
    }
}

#[test]
fn processors_with_and_without_a_name() {
    let x86 = "processor\t: 0\nmodel name\t: AMD EPYC\n";
    assert_eq!(processor(x86), "AMD EPYC");
    let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n";
    assert_eq!(processor(arm), "implementer 0x41, part 0xd42");
    assert_eq!(processor(""), "unknown");
}
