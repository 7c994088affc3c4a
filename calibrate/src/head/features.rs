//! Embeddings of images whose classes are known.

use mergevit_runtime::normalize;

/// Embeddings as the network gives them, and the class of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    columns: usize,
    classes: usize,
    /// (N, columns)
    rows: Vec<f32>,
    /// (N), below `classes`.
    labels: Vec<usize>,
}

impl Features {
    /// None yet, of embeddings of `columns` numbers.
    pub fn new(columns: usize, classes: usize) -> Self {
        Self {
            columns,
            classes,
            rows: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Adds an image.
    ///
    /// # Panics
    /// If the embedding has another number of columns, or the class is beyond the classes.
    pub fn push(&mut self, embedding: &[f32], class: usize) {
        assert_eq!(embedding.len(), self.columns, "numbers of an embedding");
        assert!(class < self.classes, "class {class} of {}", self.classes);
        self.rows.extend_from_slice(embedding);
        self.labels.push(class);
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers of an embedding.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// (N, columns)
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// One image's embedding.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.columns..][..self.columns]
    }

    /// (N) the classes.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Images of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.labels.iter().for_each(|&class| counts[class] += 1);
        counts
    }

    /// The images that `keep` wants, by index.
    pub fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self::new(self.columns, self.classes);
        for index in (0..self.len()).filter(|&index| keep(index)) {
            kept.push(self.row(index), self.labels[index]);
        }
        kept
    }

    /// The same embeddings with length 1 each.
    pub fn unit(&self) -> Self {
        let mut unit = self.clone();
        let rows = unit.rows.chunks_exact_mut(self.columns);
        for (to, row) in rows.zip(self.rows.chunks_exact(self.columns)) {
            normalize(row, to);
        }
        unit
    }
}
