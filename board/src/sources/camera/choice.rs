//! Which of a camera's modes to ask for first.

use super::encodings::{ENCODINGS, Mode};
use super::wish::Wish;
use crate::sources::encoding::Encoding;
use mergevit_kernels::frame::PixelFormat;

/// Of 1000: 30000/1001 frames per second count as 30.
const TOLERANCE: u64 = 10;

/// The modes that a wish allows, best first: large enough for the model, fast enough, pixels that need no decoding,
/// the smallest, the format that costs the least, and of several rates the lowest that is enough.
pub(super) fn rank(modes: &[Mode], wish: &Wish) -> Vec<Mode> {
    let mut allowed: Vec<Mode> = modes
        .iter()
        .filter(|mode| wish.allows(mode.encoding, mode.size))
        .copied()
        .collect();
    allowed.sort_by_key(|mode| key(mode, wish));
    allowed
}

/// Smaller is better.
fn key(mode: &Mode, wish: &Wish) -> impl Ord + use<> {
    let (width, height) = mode.size;
    let area = u64::from(width) * u64::from(height);
    let large = width >= wish.least && height >= wish.least;
    let wanted = (wish.rate * 1000.0) as u64;
    let rate = mode.interval.and_then(|interval| interval.millihertz());
    let (reached, rate) = match rate {
        Some(rate) if rate >= wanted - wanted * TOLERANCE / 1000 => (Speed::Enough, rate),
        Some(rate) => (Speed::Slow, u64::MAX - rate),
        None => (Speed::Unknown, 0),
    };
    let slowness = if reached == Speed::Slow { rate } else { 0 };
    let work = match mode.encoding {
        Encoding::Raw(PixelFormat::Grey) => 2,
        Encoding::Raw(_) => 0,
        Encoding::Jpeg => 1,
    };
    let order = ENCODINGS.iter().position(|(code, _)| **code == mode.code);
    (
        !large,
        // Of what is too small, the largest.
        if large { 0 } else { u64::MAX - area },
        (reached, slowness),
        work,
        area,
        (order, rate),
    )
}

/// Whether a mode's rate is the one that is wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Speed {
    Enough,
    Unknown,
    Slow,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::camera::driver::Interval;
    use crate::sources::camera::encodings::encoding;

    fn mode(code: &[u8; 4], size: (u32, u32), rate: u32) -> Mode {
        Mode {
            code: *code,
            encoding: encoding(*code).expect("a known format"),
            size,
            interval: (rate > 0).then_some(Interval {
                numerator: 1,
                denominator: rate,
            }),
        }
    }

    fn best(modes: &[Mode], wish: &Wish) -> Option<String> {
        let best = rank(modes, wish).into_iter().next()?;
        let rate = best.interval.map_or(0, |interval| interval.denominator);
        let code = best.code.escape_ascii();
        Some(format!("{code} {}x{} {rate}", best.size.0, best.size.1))
    }

    /// What a USB 2 webcam offers: pixels are slow where they are many.
    fn webcam() -> Vec<Mode> {
        vec![
            mode(b"YUYV", (1280, 720), 10),
            mode(b"YUYV", (640, 480), 30),
            mode(b"YUYV", (640, 480), 15),
            mode(b"YUYV", (320, 180), 30),
            mode(b"YUYV", (320, 240), 30),
            mode(b"MJPG", (1920, 1080), 30),
            mode(b"MJPG", (1280, 720), 60),
            mode(b"MJPG", (1280, 720), 30),
            mode(b"MJPG", (640, 480), 30),
        ]
    }

    #[test]
    fn the_smallest_that_is_large_and_fast_enough() {
        let best = |least, rate| {
            let wish = Wish {
                least,
                rate,
                ..Wish::default()
            };
            best(&webcam(), &wish)
        };
        assert_eq!(best(224, 30.0).as_deref(), Some("YUYV 320x240 30"));
        assert_eq!(best(384, 30.0).as_deref(), Some("YUYV 640x480 30"));
        assert_eq!(best(384, 10.0).as_deref(), Some("YUYV 640x480 15"));
        // Only JPEG is fast where the pixels are many.
        assert_eq!(best(518, 30.0).as_deref(), Some("MJPG 1280x720 30"));
        assert_eq!(best(518, 10.0).as_deref(), Some("YUYV 1280x720 10"));
        assert_eq!(best(518, 50.0).as_deref(), Some("MJPG 1280x720 60"));
        // Nothing is as fast or as large.
        assert_eq!(best(518, 90.0).as_deref(), Some("MJPG 1280x720 60"));
        assert_eq!(best(1500, 30.0).as_deref(), Some("MJPG 1920x1080 30"));
    }

    #[test]
    fn the_command_line_decides() {
        let wish = Wish {
            size: Some((1280, 720)),
            ..Wish::default()
        };
        assert_eq!(best(&webcam(), &wish).as_deref(), Some("MJPG 1280x720 30"));
        let raw = Encoding::Raw(PixelFormat::Yuyv);
        let wish = Wish {
            encoding: Some(raw),
            ..wish
        };
        assert_eq!(best(&webcam(), &wish).as_deref(), Some("YUYV 1280x720 10"));
        let wish = Wish {
            size: Some((641, 480)),
            ..Wish::default()
        };
        assert_eq!(best(&webcam(), &wish), None);
        let wish = Wish {
            most: Some((640, 480)),
            least: 518,
            ..Wish::default()
        };
        assert_eq!(best(&webcam(), &wish).as_deref(), Some("YUYV 640x480 30"));
    }

    #[test]
    fn formats_that_cost_less_come_first() {
        let size = (640, 480);
        let mut modes: Vec<_> = [b"GREY", b"MJPG", b"BGR3", b"UYVY", b"YUYV", b"NV12"]
            .map(|code| mode(code, size, 30))
            .into();
        modes.push(mode(b"NV12", size, 0));
        let ranked = rank(&modes, &Wish::default());
        let codes: Vec<_> = ranked.iter().map(|mode| &mode.code).collect();
        assert_eq!(
            codes,
            [
                b"NV12", b"YUYV", b"UYVY", b"BGR3", b"MJPG", b"GREY", b"NV12"
            ]
        );
        // 30000/1001 is called 30.
        let mut ntsc = mode(b"NV12", size, 30_000);
        ntsc.interval = ntsc.interval.map(|interval| Interval {
            numerator: 1001,
            ..interval
        });
        let ranked = rank(&[mode(b"YUYV", size, 30), ntsc], &Wish::default());
        assert_eq!(ranked[0], ntsc);
    }
}
