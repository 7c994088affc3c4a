//! One tensor where its file has it.

use super::element::Element;

/// A tensor that weights are read from. Every element that its layout leads to is in `data`.
#[derive(Clone, Debug)]
pub(super) struct Stored<'a> {
    element: Element,
    shape: Vec<usize>,
    layout: Layout,
    data: &'a [u8],
}

/// Where elements are, in elements.
#[derive(Clone, Debug)]
enum Layout {
    /// All of `data`, row-major.
    RowMajor,
    /// From `offset` on, one step in a dimension being its stride.
    Strided { offset: usize, strides: Vec<usize> },
}

impl<'a> Stored<'a> {
    /// A row-major tensor, of which `data` holds every element and no more.
    pub(super) fn row_major(element: Element, shape: Vec<usize>, data: &'a [u8]) -> Self {
        Self {
            element,
            shape,
            layout: Layout::RowMajor,
            data,
        }
    }

    /// A tensor somewhere in `data`; offset and strides count elements.
    ///
    /// # Errors
    /// What is wrong: it reaches beyond `data`, repeats elements, or the type is not read.
    pub(super) fn strided(
        element: Element,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        data: &'a [u8],
    ) -> Result<Self, String> {
        let size = element.size().ok_or("its type is not read")?;
        let held = data.len() / size;
        if shape.len() != strides.len() {
            return Err(format!(
                "it has {} dimensions and {} strides",
                shape.len(),
                strides.len()
            ));
        }
        let beyond = || format!("it reaches beyond the {held} elements of its storage");
        let count = shape
            .iter()
            .try_fold(1usize, |n, &side| n.checked_mul(side));
        // A side of 0 makes it empty, whatever the others would overflow to.
        if shape.contains(&0) {
            return Ok(Self::row_major(element, shape, &[]));
        }
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |at, (&side, &stride)| {
                at.checked_add((side - 1).checked_mul(stride)?)
            });
        let (Some(count), Some(_)) = (count, last.filter(|&last| last < held)) else {
            return Err(beyond());
        };
        // So that a few bytes never become gigabytes.
        if count > held {
            return Err(format!(
                "it repeats elements: {count} of a storage of {held}"
            ));
        }
        if is_row_major(&shape, &strides) {
            let data = &data[offset * size..][..count * size];
            return Ok(Self::row_major(element, shape, data));
        }
        Ok(Self {
            element,
            shape,
            layout: Layout::Strided { offset, strides },
            data,
        })
    }

    /// Its shape.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its elements, row-major.
    pub(super) fn values(&self) -> Vec<f32> {
        let Layout::Strided { offset, strides } = &self.layout else {
            return self.element.decode(self.data);
        };
        let size = self.element.size().unwrap_or(1);
        let row = *self.shape.last().unwrap_or(&1);
        let step = *strides.last().unwrap_or(&1);
        let mut bytes = Vec::with_capacity(self.shape.iter().product::<usize>() * size);
        let mut index = vec![0; self.shape.len().saturating_sub(1)];
        loop {
            let start = index.iter().zip(strides).map(|(i, s)| i * s).sum::<usize>() + offset;
            for column in 0..row {
                let at = (start + column * step) * size;
                bytes.extend_from_slice(&self.data[at..at + size]);
            }
            if !advance(&mut index, &self.shape) {
                return self.element.decode(&bytes);
            }
        }
    }
}

/// Whether elements one after the other are those of a row-major tensor. Sides of 1 may have any stride.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&side, &stride)| {
        let fits = side == 1 || stride == expected;
        expected *= side;
        fits
    })
}

/// The next index of all dimensions but the last, row-major; false after the last one.
fn advance(index: &mut [usize], shape: &[usize]) -> bool {
    for (i, &side) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < side {
            return true;
        }
        *i = 0;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect()
    }

    fn view(
        shape: &[usize],
        strides: &[usize],
        offset: usize,
        held: usize,
    ) -> Result<Vec<f32>, String> {
        let data = bytes(held);
        let stored = Stored::strided(Element::F32, shape.into(), strides.into(), offset, &data)?;
        assert_eq!(stored.shape(), shape);
        Ok(stored.values())
    }

    #[test]
    fn strides_and_offsets_find_their_elements() {
        assert_eq!(
            view(&[2, 3], &[3, 1], 1, 7).unwrap(),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
        assert_eq!(
            view(&[3, 2], &[1, 3], 0, 6).unwrap(),
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
        assert_eq!(view(&[2, 2], &[4, 2], 1, 8).unwrap(), [1.0, 3.0, 5.0, 7.0]);
        assert_eq!(view(&[1, 2], &[99, 1], 0, 2).unwrap(), [0.0, 1.0]);
        assert_eq!(view(&[], &[], 3, 4).unwrap(), [3.0]);
        assert!(view(&[0, usize::MAX], &[7, 7], 9, 1).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_in_the_storage_is_refused() {
        let huge = usize::MAX;
        for (shape, strides, offset, what) in [
            (&[2, 3][..], &[3, 1][..], 1, "beyond"),
            (&[1], &[1], 6, "beyond"),
            (&[2], &[huge], 0, "beyond"),
            (&[huge, 2], &[0, 1], 0, "beyond"),
            (&[huge], &[1], 1, "beyond"),
            (&[2, 2], &[1], 0, "strides"),
            (&[7], &[0], 0, "repeats"),
        ] {
            let error = view(shape, strides, offset, 6).unwrap_err();
            assert!(error.contains(what), "{shape:?} {strides:?}: {error}");
        }
    }

    proptest! {
        /// Any order of the dimensions of a row-major tensor reads the elements of the transposed one.
        #[test]
        fn permuted_tensors_equal_their_definition(
            (sides, order) in prop::collection::vec(1usize..5, 1..5).prop_flat_map(|sides| {
                let order = Just((0..sides.len()).collect::<Vec<_>>()).prop_shuffle();
                (Just(sides), order)
            }),
            offset in 0usize..4,
        ) {
            let mut strides = vec![1; sides.len()];
            for i in (0..sides.len() - 1).rev() {
                strides[i] = strides[i + 1] * sides[i + 1];
            }
            let count: usize = sides.iter().product();
            let shape: Vec<usize> = order.iter().map(|&i| sides[i]).collect();
            let strides: Vec<usize> = order.iter().map(|&i| strides[i]).collect();
            let found = view(&shape, &strides, offset, count + offset).unwrap();
            let mut index = vec![0; shape.len()];
            for value in found {
                let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
                prop_assert_eq!(value, (at + offset) as f32);
                advance(&mut index, &shape);
            }
        }
    }
}
