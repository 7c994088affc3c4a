//! What a camera offers: every format that is understood, with sizes and rates.

use super::driver::{Code, Driver, Interval, Intervals, Sizes};
use super::encodings::{ENCODINGS, Mode};
use super::error::{CameraError, io_error};
use super::wish::Wish;
use mergevit_kernels::frame::MAX_SIDE;

/// Where a driver lists no sizes and has none set.
const COMMON: (u32, u32) = (640, 480);

/// All modes of a device, with all its formats for a message. Of a range of sizes, the one that the wish would take.
pub(super) fn list(
    driver: &dyn Driver,
    wish: &Wish,
) -> Result<(Vec<Mode>, Vec<Code>), CameraError> {
    let offered = driver.formats().map_err(io_error("list the formats of"))?;
    let current = driver.format().ok();
    let current = current.map_or(COMMON, |format| (format.width, format.height));
    let current = if valid(current) { current } else { COMMON };
    let mut modes = Vec::new();
    for (code, encoding) in ENCODINGS {
        if !offered.contains(code) {
            continue;
        }
        for size in sizes(driver, *code, wish, current)? {
            let intervals = driver
                .intervals(*code, size)
                .map_err(io_error("list the rates of"))?;
            let mode = |interval| Mode {
                code: *code,
                encoding,
                size,
                interval,
            };
            if intervals.is_empty() {
                modes.push(mode(None));
            }
            let chosen = intervals.into_iter().map(|one| pick(one, wish));
            modes.extend(chosen.map(|interval| mode(Some(interval))));
        }
    }
    Ok((modes, offered))
}

fn sizes(
    driver: &dyn Driver,
    code: Code,
    wish: &Wish,
    current: (u32, u32),
) -> Result<Vec<(u32, u32)>, CameraError> {
    let listed = driver.sizes(code).map_err(io_error("list the sizes of"))?;
    if listed.is_empty() {
        return Ok(vec![wish.size.unwrap_or(current)]);
    }
    let sizes = listed.into_iter().map(|sizes| match sizes {
        Sizes::One(width, height) => (width, height),
        Sizes::Range { least, most, step } => match wish.size {
            Some(size) => size,
            None => scaled(wish.least, current, least, most, step),
        },
    });
    Ok(sizes.filter(|&size| valid(size)).collect())
}

fn valid((width, height): (u32, u32)) -> bool {
    let sides = 1..=MAX_SIDE as u32;
    sides.contains(&width) && sides.contains(&height)
}

/// The smallest size in a range whose sides are at least `side` and have the proportions of `current`: a driver that
/// scales to any size would distort others.
fn scaled(
    side: u32,
    current: (u32, u32),
    least: (u32, u32),
    most: (u32, u32),
    step: (u32, u32),
) -> (u32, u32) {
    let shorter = u64::from(current.0.min(current.1));
    let fit = |length: u32, least: u32, most: u32, step: u32| {
        let wanted = (u64::from(length) * u64::from(side)).div_ceil(shorter);
        let above = wanted.saturating_sub(u64::from(least));
        let steps = above.div_ceil(u64::from(step.max(1)));
        let length = u64::from(least) + steps * u64::from(step.max(1));
        u32::try_from(length).unwrap_or(most).min(most)
    };
    (
        fit(current.0, least.0, most.0, step.0),
        fit(current.1, least.1, most.1, step.1),
    )
}

/// The interval in a range that the wish would take.
fn pick(intervals: Intervals, wish: &Wish) -> Interval {
    match intervals {
        Intervals::One(interval) => interval,
        Intervals::Range(shortest, longest) => {
            let rates = (longest.rate(), shortest.rate());
            match rates {
                (Some(lowest), _) if wish.rate < lowest => longest,
                (_, Some(highest)) if wish.rate > highest => shortest,
                _ => Interval::of_rate(wish.rate),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_sizes_keeps_its_proportions() {
        let (least, most) = ((16, 16), (1920, 1080));
        let size = |side, current, step| scaled(side, current, least, most, step);
        assert_eq!(size(224, (1920, 1080), (2, 2)), (400, 224));
        assert_eq!(size(224, (1080, 1920), (1, 1)), (224, 399));
        assert_eq!(size(224, (640, 480), (16, 16)), (304, 224));
        assert_eq!(size(2000, (1920, 1080), (2, 2)), most);
        assert_eq!(size(8, (640, 480), (0, 0)), least);
    }

    #[test]
    fn a_range_of_rates_gives_the_one_that_is_wanted() {
        let interval = |numerator, denominator| Interval {
            numerator,
            denominator,
        };
        let range = Intervals::Range(interval(1, 60), interval(1, 5));
        let rate = |rate| {
            let wish = Wish {
                rate,
                ..Wish::default()
            };
            pick(range, &wish)
        };
        assert_eq!(rate(30.0), interval(1000, 30_000));
        assert_eq!(rate(90.0), interval(1, 60));
        assert_eq!(rate(1.0), interval(1, 5));
    }
}
