//! What a camera offers, for `mergevit doctor`.

use super::choice::rank;
use super::driver::{Driver, Interval};
use super::encodings::Mode;
use super::error::CameraError;
use super::machine::Machine;
use super::wish::Wish;
use super::{modes, search};
use crate::sources::offers::{Offer, Offers};
use std::path::Path;

/// Asks a camera for what it offers; changes nothing in it.
///
/// # Errors
/// [`CameraError`], also where it offers nothing that is understood.
pub(in crate::sources) fn offers(device: &Path) -> Result<Offers, CameraError> {
    let opened = search::open(&Machine::new(Path::new("/")), device)?;
    list(&*opened.driver)
}

pub(super) fn list(driver: &dyn Driver) -> Result<Offers, CameraError> {
    let wish = Wish::default();
    let (modes, codes) = modes::list(driver, &wish)?;
    let ranked = rank(&modes, &wish);
    if ranked.is_empty() {
        return Err(CameraError::nothing_fits(&modes, &codes, &wish));
    }
    let mut offers: Vec<Offer> = Vec::new();
    for mode in &modes {
        let offer = offer(mode);
        let same = |other: &&mut Offer| {
            (&other.format, other.width, other.height) == (&offer.format, offer.width, offer.height)
        };
        match offers.iter_mut().find(same) {
            Some(known) => known.rates.extend(offer.rates),
            None => offers.push(offer),
        }
    }
    Ok(Offers {
        offers,
        chosen: ranked.first().map(offer),
    })
}

fn offer(mode: &Mode) -> Offer {
    Offer {
        format: mode.encoding.to_string(),
        width: mode.size.0,
        height: mode.size.1,
        rates: mode.interval.and_then(Interval::rate).into_iter().collect(),
    }
}
