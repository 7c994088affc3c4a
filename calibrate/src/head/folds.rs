//! Which images are held out together.

/// The fold of each image, below `count`: every class is spread over all folds.
///
/// The images of a class that follow each other stay together, because pictures of one thing are often taken, and named,
/// one after the other: in different folds, they would make a classifier that only knows them again look good.
pub fn folds(labels: &[usize], classes: usize, count: usize) -> Vec<usize> {
    let mut images = vec![0; classes];
    labels.iter().for_each(|&class| images[class] += 1);
    let mut seen = vec![0; classes];
    let fold = |&class: &usize| {
        let position = seen[class];
        seen[class] += 1;
        // Classes of a few images start at different folds.
        (position * count / images[class] + class) % count
    };
    labels.iter().map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_spread_in_runs() {
        assert_eq!(folds(&[0; 10], 1, 5), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        let labels: Vec<usize> = (0..60).map(|i| i % 3).collect();
        let folds = folds(&labels, 3, 5);
        for fold in 0..5 {
            for class in 0..3 {
                let pairs = folds.iter().zip(&labels);
                let images = pairs.filter(|&(&own, &label)| own == fold && label == class);
                assert_eq!(images.count(), 4);
            }
        }
    }

    #[test]
    fn small_classes_do_not_meet_in_one_fold() {
        assert_eq!(folds(&[0, 1, 2, 3, 4], 5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(folds(&[], 0, 5), [0usize; 0]);
    }
}
