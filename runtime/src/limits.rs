//! Every limit of a pack, with its derivation. Exceeding one is a typed error at load.

use mergevit_kernels::ops::{MAX_HEADS, MAX_INNER};

/// Most layers: EVA-02-E has 64.
pub const MAX_LAYERS: usize = 64;

/// Most classes: ImageNet-21k has 21,843; the next power of two that fits every public label set.
pub const MAX_CLASSES: usize = 65_536;

/// Longest patch side in pixels: the largest p whose row of `3 p^2` bytes is at most
/// [`MAX_INNER`].
pub const MAX_PATCH_SIZE: usize = 73;

/// Longest name of a model, class, schedule or provenance entry in bytes. ImageNet's longest class is 131.
pub const MAX_TEXT: usize = 256;

/// Most merge schedules of one pack: choosing among a few is common; a sweep over r = 0..=31 fits twice.
pub const MAX_SCHEDULES: usize = 64;

/// Most cascades of one pack: a few agreements, each over a few schedules.
pub const MAX_CASCADES: usize = 16;

/// Most entries of the informative activation list: 8 quantized activations a layer, as many of the attention
/// pooling, and 4 beside them.
pub const MAX_QUANTIZATIONS: usize = 8 * (MAX_LAYERS + 1) + 4;

/// Most scales of one activation: one a head.
pub const MAX_SCALES: usize = MAX_HEADS;

/// Most bytes of the metadata section: every label at its limit with every byte escaped (33.8 MB), and
/// 2 MiB for the rest.
pub const MAX_METADATA: usize = MAX_CLASSES * (2 * MAX_TEXT + 3) + (2 << 20);

/// Largest magnitude of an f32 tensor's values. An i32 sum times a scale, plus a bias, is then below
/// `2^31 * 2^64 + 2^64`, far from overflow, so no epilogue makes an infinity or a NaN out of finite values.
pub const MAX_MAGNITUDE: f32 = 18_446_744_073_709_551_616.0;

/// Most threads of an engine: the cores of two large sockets. More would wait for each other.
pub const MAX_THREADS: usize = 256;

const _: () = {
    assert!(3 * MAX_PATCH_SIZE * MAX_PATCH_SIZE <= MAX_INNER);
    assert!(3 * (MAX_PATCH_SIZE + 1) * (MAX_PATCH_SIZE + 1) > MAX_INNER);
};

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::MAX_SIDE;
    use mergevit_kernels::ops::{MAX_BATCH, MAX_PREFIX, MAX_TOKENS, MAX_WIDTH};

    /// Those that `SECURITY.md` states as plain numbers.
    const STATED: [(&str, usize); 15] = [
        ("MAX_BATCH", MAX_BATCH),
        ("MAX_CASCADES", MAX_CASCADES),
        ("MAX_CLASSES", MAX_CLASSES),
        ("MAX_HEADS", MAX_HEADS),
        ("MAX_INNER", MAX_INNER),
        ("MAX_LAYERS", MAX_LAYERS),
        ("MAX_METADATA", MAX_METADATA),
        ("MAX_PATCH_SIZE", MAX_PATCH_SIZE),
        ("MAX_PREFIX", MAX_PREFIX),
        ("MAX_SCHEDULES", MAX_SCHEDULES),
        ("MAX_SIDE", MAX_SIDE),
        ("MAX_TEXT", MAX_TEXT),
        ("MAX_THREADS", MAX_THREADS),
        ("MAX_TOKENS", MAX_TOKENS),
        ("MAX_WIDTH", MAX_WIDTH),
    ];

    #[test]
    fn the_table_of_limits_states_these() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../SECURITY.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut found = 0;
        for row in text.lines().filter(|row| row.contains("| `MAX_")) {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let names = cells[3].split('`').filter(|name| name.starts_with("MAX_"));
            for (name, value) in names.zip(cells[2].split(';')) {
                let Some((_, limit)) = STATED.iter().find(|(stated, _)| *stated == name) else {
                    continue;
                };
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                assert_eq!(digits, limit.to_string(), "{row}");
                found += 1;
            }
        }
        assert_eq!(found, STATED.len());
    }
}
