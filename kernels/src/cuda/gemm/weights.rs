//! Weights in the order in which `gemm.cuh` reads them.

/// Rows of the weights, which are columns of the output, in a panel.
const PANEL: usize = 32;

/// Bytes of K that one product of a warp takes.
const PRODUCT: usize = 32;

/// Weights (N, K), row by row, as the kernels take them: panels of 32 rows, in each 32 bytes of K after another. Of
/// those, each lane's 16 bytes for the even pair of its `mma` fragments follow each other, then those for the odd pair:
/// what a warp loads for a step of K is one piece of memory, and a lane's operands are one load from shared memory.
///
/// Column g of fragment f stands for output column 8 (g / 2) + 2 f + g % 2 of the panel: so a lane's sums are those of
/// eight neighbouring columns.
///
/// # Panics
/// If N or K is no multiple of 32.
pub fn arrange(weights: &[i8], inputs: usize) -> Vec<i8> {
    assert!(inputs.is_multiple_of(PRODUCT) && weights.len().is_multiple_of(PANEL * inputs));
    let mut arranged = Vec::with_capacity(weights.len());
    for panel in weights.chunks_exact(PANEL * inputs) {
        for k in (0..inputs).step_by(PRODUCT) {
            for (pair, lane, odd) in places() {
                let row = 8 * (lane / 8) + 4 * pair + 2 * odd + lane / 4 % 2;
                let at = row * inputs + k + 4 * (lane % 4);
                // PTX ISA "mma.m16n8k32": of a column, four bytes of the first half of K and four of the second.
                arranged.extend_from_slice(&panel[at..at + 4]);
                arranged.extend_from_slice(&panel[at + 16..at + 20]);
            }
        }
    }
    arranged
}

/// Pair of fragments, lane, which fragment of the pair, in the order of memory.
fn places() -> impl Iterator<Item = (usize, usize, usize)> {
    (0..2).flat_map(|pair| (0..32).flat_map(move |lane| (0..2).map(move |odd| (pair, lane, odd))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_keeps_a_place_in_its_panel_and_product() {
        let (rows, inputs) = (64, 128);
        // Which panel and product, 16 of them.
        let of = |row: usize, k: usize| (row / PANEL * (inputs / PRODUCT) + k / PRODUCT) as i8;
        let weights: Vec<i8> = (0..rows * inputs)
            .map(|i| of(i / inputs, i % inputs))
            .collect();
        for (index, piece) in arrange(&weights, inputs)
            .chunks(PANEL * PRODUCT)
            .enumerate()
        {
            assert!(piece.iter().all(|&x| x as usize == index), "{index}");
        }
    }

    #[test]
    fn a_lane_has_the_operands_of_its_columns() {
        // A weight says its row, then its place in K.
        let by_row: Vec<i8> = (0..32 * 32).map(|i| (i / 32) as i8).collect();
        let by_k: Vec<i8> = (0..32 * 32).map(|i| (i % 32) as i8).collect();
        let (rows, ks) = (arrange(&by_row, 32), arrange(&by_k, 32));
        // Lane 22 is in group 5, the third of its group: columns 16 + 2 f + 1 for fragments f.
        let lane = |of: &[i8], pair: usize| of[512 * pair + 16 * 22..][..16].to_vec();
        assert_eq!(lane(&rows, 0), [[17; 8], [19; 8]].concat());
        assert_eq!(lane(&rows, 1), [[21; 8], [23; 8]].concat());
        assert_eq!(lane(&ks, 0), [8, 9, 10, 11, 24, 25, 26, 27].repeat(2));
    }
}
