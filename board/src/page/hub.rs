//! Where the run's records meet those who look.

use super::events;
use super::live::{Live, Run};
use super::metrics;
use super::picture::Picture;
use crate::every::Every;
use crate::link::{Frame, Link, Listener, Record, SendError, View};
use crate::wire::{Command, Hello, Message};
use axum::body::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Most pages that may be open at once.
pub(super) const MAX_VIEWERS: usize = 16;

/// Events that a page may be behind before it is shown the present again.
const EVENTS: usize = 64;

/// Frames without a picture are for the bars alone.
const BARE_FRAMES: Duration = Duration::from_millis(200);

/// How often the status is told.
const STATUS: Duration = Duration::from_millis(500);

/// How long a picture is the present one.
const FRESH: Duration = Duration::from_secs(1);

/// An event for every page.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) text: Bytes,
    /// Whether it brings a picture, and of what.
    pub(super) picture_of: Option<View>,
}

/// The run on one side, pages on the other.
pub(super) struct Hub {
    link: Link,
    known: Mutex<Known>,
    events: Sender<Event>,
    viewers: Mutex<usize>,
}

struct Known {
    live: Live,
    pictures: BTreeMap<View, (Instant, Picture)>,
    /// When frames without a picture are told.
    bare: BTreeMap<View, Every>,
}

/// Somebody looks: as long as there is one, the run sends pictures.
pub(super) struct Viewer(Arc<Hub>);

/// Why a schedule cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScheduleError {
    #[error("no schedule or cascade is called {0}")]
    Unknown(String),
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Hub {
    /// For a run's socket at `path`. It is for [`Hub::follow`] to connect.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            link: Link::new(path),
            known: Mutex::new(Known {
                live: Live::new(Instant::now()),
                pictures: BTreeMap::new(),
                bare: BTreeMap::new(),
            }),
            events: broadcast::channel(EVENTS).0,
            viewers: Mutex::new(0),
        }
    }

    /// Hears the run, for ever.
    pub(super) fn follow(&self) -> ! {
        self.link.follow(&mut Ear(self))
    }

    /// Tells the status to all pages, for ever.
    pub(super) async fn tell_status(&self) {
        let mut ticks = tokio::time::interval(STATUS);
        loop {
            ticks.tick().await;
            if self.events.receiver_count() > 0 {
                let viewers = self.viewers();
                let text = events::status(&mut self.known().live, viewers, Instant::now());
                self.tell(text, None);
            }
        }
    }

    /// What a new page needs to know, and what comes after that.
    pub(super) fn subscribe(&self) -> (Vec<Bytes>, Receiver<Event>) {
        let viewers = self.viewers();
        let mut known = self.known();
        // Under the lock: no event is missed, none comes twice.
        let receiver = self.events.subscribe();
        let now = Instant::now();
        let mut present = vec![events::run(&known.live, now)];
        present.push(events::status(&mut known.live, viewers, now));
        let views = known.live.views.iter();
        present.extend(views.map(|(view, seen)| events::history(view, seen, now)));
        (present, receiver)
    }

    /// `/metrics`.
    pub(super) fn metrics(&self) -> String {
        let viewers = self.viewers();
        metrics::text(&self.known().live, viewers)
    }

    /// Whether the run is there.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.known().live.run, Run::Here(_))
    }

    /// The present picture of a source, or of any.
    pub(super) fn picture(&self, source: Option<&str>) -> Option<Picture> {
        let known = self.known();
        let mut fitting = known.pictures.iter().filter(|(view, (at, _))| {
            source.is_none_or(|source| source == view.source) && at.elapsed() < FRESH
        });
        fitting.next().map(|(_, (_, picture))| picture.clone())
    }

    /// Holds a schedule or a cascade, or gives it back to the governor.
    ///
    /// # Errors
    /// If there is none of that name, or the run cannot be told.
    pub(super) fn hold(&self, schedule: Option<String>) -> Result<(), ScheduleError> {
        if let (Some(name), Run::Here(hello)) = (&schedule, &self.known().live.run) {
            let mut names = hello
                .schedules
                .iter()
                .map(|schedule| &schedule.name)
                .chain(&hello.cascades);
            if !names.any(|known| known == name) {
                return Err(ScheduleError::Unknown(name.clone()));
            }
        }
        Ok(self.link.send(&Command::Schedule(schedule))?)
    }

    fn viewers(&self) -> usize {
        *self.viewers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, text: Bytes, picture_of: Option<View>) {
        // Without pages there is nobody to tell.
        let _ = self.events.send(Event { text, picture_of });
    }

    /// A frame goes to the pages with its picture, or now and then without.
    fn frame(&self, now: Instant, frame: &Frame, message: &Message<'_>) {
        let view = View::of(frame);
        // Encoding takes a while: without the lock.
        let picture = Picture::new(message.picture, message.tokens);
        let mut known = self.known();
        // No page can choose among more views than are kept apart.
        if !known.live.views.contains_key(&view) {
            return;
        }
        let bare = known
            .bare
            .entry(view.clone())
            .or_insert_with(|| Every::new(BARE_FRAMES));
        if bare.is_due(now) || picture.is_some() {
            let picture_of = picture.is_some().then(|| view.clone());
            self.tell(events::frame(frame, picture.as_ref()), picture_of);
        }
        if let Some(picture) = picture {
            known.pictures.insert(view, (now, picture));
        }
    }
}

/// Hears the run for a hub.
struct Ear<'a>(&'a Hub);

impl Listener for Ear<'_> {
    fn connected(&mut self, hello: Hello) {
        let now = Instant::now();
        let mut known = self.0.known();
        known.pictures.clear();
        known.bare.clear();
        known.live.connected(now, hello);
        self.0.tell(events::run(&known.live, now), None);
    }

    fn heard(&mut self, record: Result<Record, serde_json::Error>, message: &Message<'_>) {
        let now = Instant::now();
        match record {
            Ok(record) => {
                self.0.known().live.heard(now, &record);
                if let Record::Frame(frame) = &record
                    && self.0.events.receiver_count() > 0
                {
                    self.0.frame(now, frame, message);
                }
            }
            Err(error) => {
                self.0.known().live.totals.unreadable += 1;
                log::warn!("a record that cannot be read: {error}");
            }
        }
    }

    fn away(&mut self, reason: &str) {
        let now = Instant::now();
        let mut known = self.0.known();
        known.pictures.clear();
        if known.live.away(now, reason) {
            log::info!("the run is away: {reason}");
            self.0.tell(events::run(&known.live, now), None);
        }
    }
}

impl Viewer {
    /// Counts somebody who looks; `None` if there are too many.
    pub(super) fn new(hub: &Arc<Hub>) -> Option<Self> {
        let mut viewers = hub.viewers.lock().unwrap_or_else(PoisonError::into_inner);
        if *viewers == MAX_VIEWERS {
            return None;
        }
        *viewers += 1;
        // Under the lock: who comes and who goes are told in this order.
        hub.link.watch(true);
        Some(Self(Arc::clone(hub)))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut viewers = self
            .0
            .viewers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *viewers -= 1;
        if *viewers == 0 {
            self.0.link.watch(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::{FRAME, hello};
    use super::*;

    fn hub() -> Arc<Hub> {
        Arc::new(Hub::new(Path::new("/nowhere")))
    }

    fn hear(hub: &Hub, json: &str, picture: &[u8]) {
        let record = serde_json::from_str(json);
        let message = Message {
            json: json.as_bytes(),
            picture,
            tokens: &[],
        };
        Ear(hub).heard(record, &message);
    }

    #[test]
    fn viewers_are_counted_and_limited() {
        let hub = hub();
        let viewers: Vec<Viewer> = std::iter::from_fn(|| Viewer::new(&hub)).collect();
        assert_eq!((viewers.len(), hub.viewers()), (MAX_VIEWERS, MAX_VIEWERS));
        drop(viewers);
        assert_eq!(hub.viewers(), 0);
        assert!(Viewer::new(&hub).is_some());
    }

    #[test]
    fn pictures_are_kept_while_the_run_is_there() {
        let hub = hub();
        Ear(&hub).connected(hello());
        hear(&hub, FRAME, &[9; 3 * 16]);
        assert!(hub.picture(None).is_none(), "nobody looks");
        let (_, mut events) = hub.subscribe();
        hear(&hub, FRAME, &[9; 3 * 16]);
        assert!(hub.picture(None).is_some() && hub.picture(Some("camera0")).is_some());
        assert!(hub.picture(Some("camera1")).is_none());
        let event = events.try_recv().expect("an event");
        assert_eq!(event.picture_of.expect("a picture").source, "camera0");
        Ear(&hub).away("it ended");
        assert!(hub.picture(None).is_none() && !hub.is_here());
    }

    #[test]
    fn frames_without_pictures_come_now_and_then() {
        let hub = hub();
        Ear(&hub).connected(hello());
        let (_, mut events) = hub.subscribe();
        for _ in 0..20 {
            hear(&hub, FRAME, &[]);
        }
        let told = std::iter::from_fn(|| events.try_recv().ok()).count();
        assert!((1..20).contains(&told), "{told}");
    }

    #[test]
    fn only_schedules_that_there_are_can_be_held() {
        let hub = hub();
        Ear(&hub).connected(hello());
        let unknown = hub.hold(Some("r99".into())).expect_err("there is none");
        assert!(matches!(unknown, ScheduleError::Unknown(_)));
        for name in [Some("r1"), Some("easy"), None] {
            let error = hub
                .hold(name.map(str::to_owned))
                .expect_err("nothing is connected");
            assert!(
                matches!(error, ScheduleError::Send(SendError::Away)),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_record_is_counted() {
        let hub = hub();
        Ear(&hub).connected(hello());
        hear(&hub, "nonsense", &[]);
        assert!(
            hub.metrics()
                .contains("mergevit_records_unreadable_total 1\n")
        );
    }
}
