//! Which images of a set are used.

/// `count` of `places` at even distances, or all.
pub(super) fn spread(places: &[usize], count: usize) -> Vec<usize> {
    let len = places.len();
    if count >= len {
        return places.to_vec();
    }
    (0..count).map(|i| places[i * len / count]).collect()
}

/// Takes `taken` out of `places`; both ascend.
pub(super) fn remove(places: &mut Vec<usize>, taken: &[usize]) {
    places.retain(|place| taken.binary_search(place).is_err());
}

/// What `counts` become of a set of `len`: themselves if there are enough, else in proportion. What rounding down
/// leaves over goes to the first.
pub(super) fn shares(len: usize, counts: &[usize]) -> Vec<usize> {
    let wanted: u128 = counts.iter().map(|&count| count as u128).sum();
    if wanted <= len as u128 {
        return counts.to_vec();
    }
    let share = |&count: &usize| (count as u128 * len as u128 / wanted) as usize;
    let mut shares: Vec<usize> = counts.iter().map(share).collect();
    let mut left = len - shares.iter().sum::<usize>();
    for (share, &count) in shares.iter_mut().zip(counts) {
        if left > 0 && *share < count {
            *share += 1;
            left -= 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_in_proportion_and_use_all() {
        assert_eq!(shares(10, &[4, 3, 3]), [4, 3, 3]);
        assert_eq!(shares(9, &[4, 3, 3]), [4, 3, 2]);
        assert_eq!(shares(5, &[256, 256, 256]), [2, 2, 1]);
        assert_eq!(shares(7, &[usize::MAX, usize::MAX, 0]), [4, 3, 0]);
        assert_eq!(shares(0, &[1, 2]), [0, 0]);
        assert_eq!(shares(3, &[]), [0usize; 0]);
    }

    #[test]
    fn spread_covers_both_halves_alike() {
        let places: Vec<usize> = (100..200).collect();
        assert_eq!(spread(&places, 4), [100, 125, 150, 175]);
        assert_eq!(spread(&places, 100), places);
        assert_eq!(spread(&places, 0), [0usize; 0]);
    }

    #[test]
    fn what_is_taken_is_gone() {
        let mut places = vec![1, 3, 5, 7];
        remove(&mut places, &[3, 7]);
        assert_eq!(places, [1, 5]);
    }
}
