//! Names beside marks.

/// Width of a character of a name, and its height, in pixels: a little more than most are.
const CHARACTER: (f64, f64) = (7.2, 14.0);

/// From a point to its name.
const GAP: f64 = 8.0;

/// A rectangle, y downwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Rect {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

/// What of a plot is taken.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) frame: Rect,
    taken: Vec<Rect>,
}

impl Labels {
    /// Nothing.
    pub(super) fn within(frame: Rect) -> Self {
        Self {
            frame,
            taken: Vec::new(),
        }
    }

    /// Takes a rectangle.
    pub(super) fn block(&mut self, rect: Rect) {
        self.taken.push(rect);
    }

    /// A place for `text` beside a point: where it starts, its base line, and the class that says what of it is there.
    pub(super) fn place(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
    ) -> Option<(f64, f64, &'static str)> {
        let (width, height) = (CHARACTER.0 * text.chars().count() as f64, CHARACTER.1);
        let (half, base) = (width / 2.0, height / 3.0);
        // Fronts rise to the right: below a point on its right is most room.
        let places = [
            (x + GAP, y + 1.5 * GAP, "start", 0.0),
            (x - GAP, y - 1.5 * GAP, "end", -width),
            (x - GAP, y + 1.5 * GAP, "end", -width),
            (x + GAP, y - 1.5 * GAP, "start", 0.0),
            (x + GAP, y, "start", 0.0),
            (x - GAP, y, "end", -width),
            (x, y - 2.0 * GAP, "middle", -half),
            (x, y + 2.0 * GAP, "middle", -half),
        ];
        let rect = |&(x, y, _, shift): &(f64, f64, &str, f64)| Rect {
            left: x + shift,
            top: y - height / 2.0,
            right: x + shift + width,
            bottom: y + height / 2.0,
        };
        let is_free = |place: &&(f64, f64, &'static str, f64)| {
            let rect = rect(place);
            self.frame.holds(&rect) && !self.taken.iter().any(|taken| taken.overlaps(&rect))
        };
        let place = places.iter().find(is_free)?;
        self.taken.push(rect(place));
        Some((place.0, place.1 + base, place.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hide_no_marks_and_no_names() {
        let frame = Rect {
            left: 0.0,
            top: 0.0,
            right: 200.0,
            bottom: 100.0,
        };
        let mut labels = Labels::within(frame);
        assert_eq!(
            labels.place((50.0, 50.0), "auto"),
            Some((58.0, 62.0 + 14.0 / 3.0, "start"))
        );
        // The first place is now taken; near the right end there is none.
        assert_eq!(labels.place((50.0, 50.0), "auto").unwrap().2, "end");
        assert_eq!(labels.place((195.0, 20.0), "auto").unwrap().2, "end");
        labels.block(frame);
        assert_eq!(labels.place((100.0, 50.0), "auto"), None);
    }
}
