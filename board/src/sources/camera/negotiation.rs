//! Agrees with a driver on format, size and rate.

use super::choice::rank;
use super::driver::{Driver, Format, Interval};
use super::encodings::{Mode, encoding};
use super::error::{CameraError, io_error};
use super::format;
use super::modes;
use super::wish::Wish;
use crate::sources::encoding::Encoding;
use mergevit_kernels::frame::FrameLayout;
use std::io;

/// Modes that a driver is asked for, one after the other.
const ATTEMPTS: usize = 12;

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Agreement {
    pub(super) format: Format,
    /// Of pixels, how they lie in a buffer; of JPEG images, how they lie once they are decoded.
    pub(super) layout: FrameLayout,
    pub(super) encoding: Encoding,
    /// Unknown where the driver does not say.
    pub(super) interval: Option<Interval>,
}

/// Sets the best mode that a driver accepts. Where it answers each with something else, that is taken, if it will do.
pub(super) fn negotiate(driver: &mut dyn Driver, wish: &Wish) -> Result<Agreement, CameraError> {
    let (offered, codes) = modes::list(driver, wish)?;
    let ranked = rank(&offered, wish);
    if ranked.is_empty() {
        return Err(CameraError::nothing_fits(&offered, &codes, wish));
    }
    let mut asked: Vec<(u32, u32, [u8; 4])> = Vec::new();
    let mut other = None;
    let mut refused = None;
    for mode in ranked {
        let question = (mode.size.0, mode.size.1, mode.code);
        if asked.contains(&question) {
            continue;
        }
        if asked.len() == ATTEMPTS {
            break;
        }
        asked.push(question);
        let wanted = Format::new(mode.code, mode.size.0, mode.size.1);
        match driver.set_format(wanted) {
            Ok(found) if is(&found, &mode) => return agree(driver, found, &mode, wish),
            Ok(found) => {
                refused.get_or_insert(CameraError::Refused { found, wanted });
                if other.is_none() && will_do(&found, wish) {
                    other = Some((mode, wanted));
                }
            }
            // Another program streams: no other mode would change that.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return Err(io_error("set the format of")(error));
            }
            Err(error) => {
                refused.get_or_insert(io_error("set the format of")(error));
            }
        }
    }
    // The question again, since the driver has been asked others since.
    if let Some((mode, wanted)) = other {
        let found = driver
            .set_format(wanted)
            .map_err(io_error("set the format of"))?;
        if will_do(&found, wish) {
            return agree(driver, found, &mode, wish);
        }
    }
    Err(refused.unwrap_or_else(|| CameraError::nothing_fits(&offered, &codes, wish)))
}

fn is(found: &Format, mode: &Mode) -> bool {
    found.code == mode.code && (found.width, found.height) == mode.size
}

fn will_do(found: &Format, wish: &Wish) -> bool {
    let known = encoding(found.code);
    known.is_some_and(|known| wish.allows(known, (found.width, found.height)))
}

fn agree(
    driver: &mut dyn Driver,
    found: Format,
    mode: &Mode,
    wish: &Wish,
) -> Result<Agreement, CameraError> {
    let encoding = encoding(found.code).unwrap_or(mode.encoding);
    let layout = format::layout(&found, encoding)?;
    // After the format, which sets the rate back to what the camera had at first.
    let wanted = mode.interval.unwrap_or(Interval::of_rate(wish.rate));
    let interval = driver
        .set_interval(wanted)
        .map_err(io_error("set the rate of"))?;
    Ok(Agreement {
        format: found,
        layout,
        encoding,
        interval: interval.or(mode.interval),
    })
}
