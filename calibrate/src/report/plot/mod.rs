//! Plots as SVG. Colours are classes, which the page's style sheet gives for light, dark and paper; every mark has a
//! shape of its own, so that nothing rests on colour alone.

mod axis;
mod labels;

pub(super) use axis::Axis;
use labels::{Labels, Rect};

use super::markup::escape;
use std::fmt::Write;

/// Space around the frame: left, right, top, bottom.
const MARGIN: [f64; 4] = [58.0, 18.0, 14.0, 50.0];

/// Half the size of a mark.
const MARK: f64 = 5.0;

/// Shapes of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Dot,
    Ring,
    Square,
    Diamond,
}

/// A plot in the making.
pub(super) struct Plot {
    size: (f64, f64),
    x: Axis,
    y: Axis,
    body: String,
    labels: Labels,
}

impl Plot {
    /// An empty plot of `size`: width and height, in pixels where the page has room.
    pub(super) fn new(size: (f64, f64), x: Axis, y: Axis) -> Self {
        let frame = Rect {
            left: MARGIN[0],
            top: MARGIN[2],
            right: size.0 - MARGIN[1],
            bottom: size.1 - MARGIN[3],
        };
        let mut plot = Self {
            size,
            x,
            y,
            body: String::new(),
            labels: Labels::within(frame),
        };
        plot.draw_axes();
        plot
    }

    fn frame(&self) -> Rect {
        self.labels.frame
    }

    fn x(&self, value: f64) -> f64 {
        let frame = self.frame();
        frame.left + self.x.place(value) * (frame.right - frame.left)
    }

    fn y(&self, value: f64) -> f64 {
        let frame = self.frame();
        frame.bottom - self.y.place(value) * (frame.bottom - frame.top)
    }

    /// Appends markup.
    fn put(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(markup);
        self.body.push('\n');
    }

    fn draw_axes(&mut self) {
        let Rect {
            left,
            top,
            right,
            bottom,
        } = self.frame();
        for (value, text) in self.y.ticks.clone() {
            let y = self.y(value);
            if self.y.has_grid {
                self.put(format_args!(
                    r#"<path class="grid" d="M{left:.1} {y:.1}H{right:.1}"/>"#
                ));
            }
            let (x, base) = (left - 8.0, y + 4.0);
            self.put(format_args!(
                r#"<text class="tick end" x="{x:.1}" y="{base:.1}">{}</text>"#,
                escape(&text)
            ));
        }
        for (value, text) in self.x.ticks.clone() {
            let (x, base) = (self.x(value), bottom + 18.0);
            self.put(format_args!(
                r#"<path class="axis" d="M{x:.1} {bottom:.1}v4"/><text class="tick middle" x="{x:.1}" y="{base:.1}">{}</text>"#,
                escape(&text)
            ));
        }
        self.put(format_args!(
            r#"<path class="axis" d="M{left:.1} {bottom:.1}H{right:.1}"/>"#
        ));
        let (middle, low) = ((left + right) / 2.0, self.size.1 - 10.0);
        let label = escape(&self.x.label);
        self.put(format_args!(
            r#"<text class="label middle" x="{middle:.1}" y="{low:.1}">{label}</text>"#
        ));
        let (middle, label) = ((top + bottom) / 2.0, escape(&self.y.label));
        self.put(format_args!(
            r#"<text class="label middle" transform="translate(14 {middle:.1}) rotate(-90)">{label}</text>"#
        ));
    }

    /// A line through `points`.
    pub(super) fn line(&mut self, points: &[(f64, f64)], class: &str) {
        let mut path = String::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            let start = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{start}{:.1} {:.1}", self.x(x), self.y(y));
        }
        self.put(format_args!(r#"<path class="line {class}" d="{path}"/>"#));
    }

    /// A bar from the axis up to `height`, between two places of the x axis. `title` shows where the mouse rests.
    pub(super) fn bar(&mut self, (from, to): (f64, f64), height: f64, class: &str, title: &str) {
        let (left, right) = (self.x(from) + 1.0, self.x(to) - 1.0);
        let (top, bottom) = (self.y(height), self.frame().bottom);
        self.put(format_args!(
            r#"<rect class="{class}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"><title>{}</title></rect>"#,
            (right - left).max(0.5),
            (bottom - top).max(0.0),
            escape(title)
        ));
    }

    /// An interval of y at x.
    pub(super) fn interval(&mut self, x: f64, (low, high): (f64, f64), class: &str) {
        let (x, top, bottom) = (
            self.x(x),
            self.y(high.min(self.y.to)),
            self.y(low.max(self.y.from)),
        );
        self.put(format_args!(
            r#"<path class="bar {class}" d="M{x:.1} {top:.1}V{bottom:.1}M{:.1} {top:.1}h8M{:.1} {bottom:.1}h8"/>"#,
            x - 4.0,
            x - 4.0,
        ));
        self.labels.block(Rect {
            left: x - 4.0,
            top,
            right: x + 4.0,
            bottom,
        });
    }

    /// A mark. `title` shows where the mouse rests.
    pub(super) fn mark(&mut self, (x, y): (f64, f64), shape: Shape, class: &str, title: &str) {
        let (x, y, r, title) = (self.x(x), self.y(y), MARK, escape(title));
        let (left, top, side) = (x - 0.8 * r, y - 0.8 * r, 1.6 * r);
        let (name, place) = match shape {
            Shape::Dot => (
                "circle",
                format!(
                    r#"class="mark {class}" cx="{x:.1}" cy="{y:.1}" r="{:.1}""#,
                    0.9 * r
                ),
            ),
            Shape::Ring => (
                "circle",
                format!(
                    r#"class="ring {class}" cx="{x:.1}" cy="{y:.1}" r="{:.1}""#,
                    0.7 * r
                ),
            ),
            Shape::Square => (
                "rect",
                format!(
                    r#"class="mark {class}" x="{left:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}""#
                ),
            ),
            Shape::Diamond => (
                "path",
                format!(
                    r#"class="mark {class}" d="M{x:.1} {:.1}l{r} {r}l-{r} {r}l-{r} -{r}z""#,
                    y - r
                ),
            ),
        };
        self.put(format_args!(
            "<{name} {place}><title>{title}</title></{name}>"
        ));
        self.labels.block(Rect {
            left: x - r,
            top: y - r,
            right: x + r,
            bottom: y + r,
        });
    }

    /// Writes `text` beside a point, once all marks are drawn, where it hides none; where there is no room, nowhere.
    pub(super) fn label(&mut self, (x, y): (f64, f64), text: &str) {
        let at = (self.x(x), self.y(y));
        if let Some((x, y, anchor)) = self.labels.place(at, text) {
            self.put(format_args!(
                r#"<text class="name {anchor}" x="{x:.1}" y="{y:.1}">{}</text>"#,
                escape(text)
            ));
        }
    }

    /// The picture. `title` says what it shows, `description` what is to be seen; ids are made of `id`, which no other
    /// plot of the page has.
    pub(super) fn svg(self, id: &str, title: &str, description: &str) -> String {
        let ((width, height), body) = (self.size, self.body);
        let (title, description) = (escape(title), escape(description));
        format!(
            r#"<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="{id}-title {id}-desc">
<title id="{id}-title">{title}</title>
<desc id="{id}-desc">{description}</desc>
{body}</svg>
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_where_their_values_are() {
        let axis = |label| Axis::linear(label, (0.0, 10.0), 5);
        let mut plot = Plot::new((176.0, 164.0), axis("x & y"), axis("y"));
        plot.mark((5.0, 10.0), Shape::Dot, "a", "five, ten");
        plot.line(&[(0.0, 0.0), (10.0, 5.0)], "b");
        let svg = plot.svg("p", "a < b", "rising");
        assert!(svg.contains(r#"cx="108.0" cy="14.0""#), "{svg}");
        assert!(svg.contains(r#"d="M58.0 114.0L158.0 64.0""#), "{svg}");
        assert!(
            svg.contains("x &amp; y") && svg.contains("a &lt; b"),
            "{svg}"
        );
        assert!(svg.contains(r#"aria-labelledby="p-title p-desc""#), "{svg}");
    }
}
