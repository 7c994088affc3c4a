//! Random damage of every kind, with and without right checksums: an error or a pack, never a panic.

use mergevit_runtime::ModelConfig;
use mergevit_runtime::testing::{self, Random};

/// Damages `bytes` in one way.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    // Most damage goes to the header, the table and the metadata: the rest is only numbers.
    let len = bytes.len().max(1);
    let reach = [64, 64 + 48 * 33, 4096, len][random.below(4)].min(len);
    let at = random.below(reach);
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_within(at.min(bytes.len())..),
        2 => {
            for byte in bytes.iter_mut().skip(at).take(8) {
                *byte = random.bits() as u8;
            }
        }
        3 => {
            let value = [0u64, 1, 63, 64, 65, u64::MAX, 1 << 31, 1 << 63][random.below(8)];
            for (byte, new) in bytes.iter_mut().skip(at & !7).zip(value.to_le_bytes()) {
                *byte = new;
            }
        }
        4 => {
            let from = random.below(reach);
            let chunk: Vec<u8> = bytes.iter().skip(from).take(48).copied().collect();
            for (byte, new) in bytes.iter_mut().skip(at).zip(chunk) {
                *byte = new;
            }
        }
        5 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ => {
            // Another digit in the metadata is another model.
            let digits: Vec<usize> = (0..bytes.len().min(4096))
                .filter(|&i| bytes[i].is_ascii_digit())
                .collect();
            if !digits.is_empty() {
                bytes[digits[random.below(digits.len())]] = b'0' + random.below(10) as u8;
            }
        }
    }
    let length = (bytes.len() as u64).to_le_bytes();
    if let Some(field) = bytes.get_mut(16..24).filter(|_| random.below(2) == 0) {
        field.copy_from_slice(&length);
    }
}

fn damage(pack: &[u8], times: usize, random: &mut Random) {
    testing::read_any(pack);
    for _ in 0..times {
        let mut bytes = pack.to_vec();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, random);
        }
        testing::read_any(&bytes);
    }
}

#[test]
fn damaged_packs_never_panic() {
    let mut random = Random(2026);
    let tiny = testing::bytes(&testing::tiny(), &[0, 1, 9], 1);
    damage(&tiny, 4000, &mut random);
    for (_, config) in testing::family() {
        let config = ModelConfig { depth: 1, ..config };
        let pack = testing::bytes(&config, &[0, 9], 1);
        damage(&pack, 200, &mut random);
    }
}

#[test]
fn noise_never_panics() {
    let mut random = Random(7);
    for len in (0..3000).step_by(7) {
        let mut bytes = random.bytes(len);
        testing::read_any(&bytes);
        // Past the magic and the version, too.
        let start = testing::bytes(&testing::tiny(), &[0], 1);
        let known = len.min(32);
        bytes[..known].copy_from_slice(&start[..known]);
        testing::read_any(&bytes);
    }
}
