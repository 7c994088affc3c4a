//! Cameras on scripted drivers: what they are asked, what they do, and what the loop gets of it.

use super::driver::Format;
use super::scripted::{Act, Desk, EAGAIN, EIO, ENODEV, Model};
use super::*;
use crate::sources::{Counts, Exchange, Next};
use std::collections::VecDeque;

const DEVICE: &str = "/dev/video0";
const BYTES: usize = 4 * 2 * 2;

/// A camera of 4 × 2 pixels in YUYV.
fn tiny() -> Model {
    Model::new(&[(b"YUYV", (4, 2), &[30])])
}

/// A frame whose bytes are all `value`.
fn fill(sequence: u32, value: u8) -> Act {
    Act::Fill(sequence, vec![value; BYTES])
}

fn options(change: impl FnOnce(&mut CameraOptions)) -> SourceOptions {
    let mut options = SourceOptions::default();
    options.camera.least = 2;
    change(&mut options.camera);
    options
}

/// An open camera and a slot, as the capture thread has them.
struct Running {
    source: Source,
    slot: Slot,
    demand: Arc<Demand>,
}

impl Running {
    fn new(desk: &Desk, options: &SourceOptions) -> Result<Self, OpenError> {
        let source = open_on(Box::new(desk.clone()), Path::new(DEVICE), options)?;
        Ok(Self {
            slot: Slot::new(source.slot_bytes).expect("some bytes"),
            demand: source.capture.demand().expect("cameras wait for it"),
            source,
        })
    }

    /// What comes next, other than nothing.
    fn next(&mut self) -> Captured {
        for _ in 0..1000 {
            self.demand.raise();
            self.slot.clear();
            match self.source.capture.capture(&mut self.slot) {
                Ok(Captured::Nothing) => {}
                Ok(captured) => return captured,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nothing came of a thousand attempts");
    }

    /// The first byte of the next frame.
    fn frame(&mut self) -> u8 {
        assert_eq!(self.next(), Captured::Frame);
        let frame = self.slot.frame().expect("a frame");
        let mut packed = vec![0; frame.packed_bytes()];
        frame.copy_packed(&mut packed);
        packed[0]
    }

    fn news(&mut self) -> String {
        match self.next() {
            Captured::Status(status) => status.to_string(),
            other => panic!("{other:?} in the place of news"),
        }
    }

    fn defect(&mut self) -> String {
        assert_eq!(self.next(), Captured::Unusable);
        self.slot.frame().expect_err("a defect").into()
    }
}

/// A running camera that has given its first frame.
fn running(mut model: Model) -> (Desk, Running) {
    model.acts.push_front(fill(0, 1));
    let desk = Desk::new(&[(DEVICE, model)]);
    let running = Running::new(&desk, &options(|_| ())).expect("a camera");
    (desk, running)
}

#[test]
fn a_missing_device_is_an_error() {
    let result = open(
        Path::new("/dev/no-such-video-device"),
        &SourceOptions::default(),
    );
    let error = result.err().expect("there is no such device");
    let name = "/dev/no-such-video-device: cannot open: ";
    assert!(error.to_string().starts_with(name), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn frames_come_with_the_drivers_numbers_and_times() {
    let mut model = tiny();
    model.acts.extend([fill(u32::MAX - 1, 2), fill(1, 3)]);
    let (desk, mut running) = running(model);
    assert_eq!(running.frame(), 2);
    assert_eq!(running.slot.sequence, u64::from(u32::MAX) - 1);
    assert!(running.slot.stamp.is_some());
    // Two frames are missing, over the wrap.
    assert_eq!(running.frame(), 3);
    assert_eq!(running.slot.sequence, u64::from(u32::MAX) + 2);
    assert_eq!(running.slot.dropped_by_driver, 2);
    let asked = ["format YUYV 4x2", "rate 30"];
    assert_eq!(desk.take_asked(), asked);
    let description = "/dev/video0: Webcam, yuyv 4x2, 30 frames/s";
    assert_eq!(running.source.description, description);
}

#[test]
fn only_frames_that_are_wanted_are_copied_and_the_newest_wins() {
    let mut model = tiny();
    model.acts.extend((1..=20).map(|i| fill(i, i as u8)));
    let (_, mut running) = running(model);
    running.slot.clear();
    for _ in 0..10 {
        let captured = running.source.capture.capture(&mut running.slot);
        assert!(matches!(captured, Ok(Captured::Nothing)));
        assert_eq!(running.slot.frame().err(), Some("no frame"));
    }
    // Before it is copied, it is looked for a newer one.
    assert_eq!(running.frame(), 11);
    assert_eq!(
        (running.slot.replaced, running.slot.dropped_by_driver),
        (10, 0)
    );
    assert_eq!(running.frame(), 12);
    assert_eq!(running.slot.replaced, 0);
}

#[test]
fn another_size_than_asked_for_is_taken_if_nothing_else_is_given() {
    let modes: &[(&[u8; 4], _, &[u32])] = &[(b"NV12", (8, 4), &[30]), (b"YUYV", (8, 4), &[30])];
    // The first answer differs, the second format is given.
    let mut model = Model::new(modes);
    model.answers = VecDeque::from([Ok(Format::new(*b"NV12", 4, 2))]);
    model.then = Act::Fill(0, vec![0; 64]);
    let desk = Desk::new(&[(DEVICE, model)]);
    let open = |desk: &Desk, options: &SourceOptions| Running::new(desk, options);
    let camera = open(&desk, &options(|_| ())).expect("the second format");
    assert!(camera.source.description.contains("yuyv 8x4"));
    assert_eq!(
        desk.take_asked(),
        ["format NV12 8x4", "format YUYV 8x4", "rate 30"]
    );
    // Both differ: the first is taken.
    let mut model = Model::new(modes);
    let other = Ok(Format::new(*b"NV12", 6, 2));
    model.answers = VecDeque::from([other, Err(22), other]);
    model.then = Act::Fill(0, vec![0; 64]);
    let desk = Desk::new(&[(DEVICE, model)]);
    let camera = open(&desk, &options(|_| ())).expect("what the driver gave");
    assert!(camera.source.description.contains("nv12 6x2"));
    assert_eq!((camera.source.max_width, camera.source.max_height), (6, 2));
    // Unless the command line has decided.
    desk.change(DEVICE, |model| {
        model.answers = VecDeque::from([other, other]);
    });
    let decided = options(|options| options.size = Some((8, 4)));
    let error = open(&desk, &decided).err().expect("the size was decided");
    let text = "/dev/video0: the driver set NV12 6x2 instead of NV12 8x4";
    assert_eq!(error.to_string(), text);
    let unknown = options(|options| options.size = Some((9, 9)));
    let error = open(&desk, &unknown).err().expect("no such size");
    let text = "/dev/video0: it offers no frames of 9x9, but nv12 8x4, yuyv 8x4";
    assert_eq!(error.to_string(), text);
}

#[test]
fn unknown_colour_spaces_are_no_panic() {
    let mut model = tiny();
    model.colorspace = 4711;
    model.acts.push_back(fill(1, 9));
    let (_, mut running) = running(model);
    assert_eq!(running.frame(), 9);
}

#[test]
fn short_empty_and_damaged_frames_say_what_they_are() {
    let mut model = tiny();
    model.acts.extend([
        Act::Fill(1, vec![7; BYTES - 1]),
        Act::Fill(2, Vec::new()),
        Act::Damage(3),
        fill(4, 8),
    ]);
    let (_, mut running) = running(model);
    assert_eq!(running.defect(), "the driver gave 15 of a frame's 16 bytes");
    assert_eq!(running.defect(), "the driver gave an empty frame");
    let damaged = "the driver says that the frame is damaged";
    assert_eq!(running.defect(), damaged);
    assert_eq!(running.frame(), 8);
    assert_eq!(running.slot.sequence, 4);
}

#[test]
fn a_camera_that_fails_is_opened_again() {
    for error in [EIO, ENODEV, 32] {
        let mut model = tiny();
        model.acts.extend([
            Act::Fail(EAGAIN),
            fill(1, 2),
            Act::Fail(error),
            // The first of the next stream is looked at only to see that it streams.
            fill(0, 3),
            fill(1, 4),
        ]);
        model.refusals = VecDeque::new();
        let (desk, mut running) = running(model);
        assert_eq!(running.frame(), 2);
        desk.change(DEVICE, |model| model.refusals = [EIO, EIO].into());
        let lost = running.news();
        assert!(
            lost.starts_with("lost: cannot get a frame from: "),
            "{lost}"
        );
        // The same reason is told once.
        assert!(running.news().starts_with("waiting: cannot start: "));
        let back = "streaming: Webcam, yuyv 4x2, 30 frames/s";
        assert_eq!(running.news(), back);
        assert_eq!(running.frame(), 4);
        // Numbers go on.
        assert_eq!(running.slot.sequence, 3);
        assert_eq!(desk.open_devices(), 1);
    }
}

#[test]
fn frames_that_a_lost_camera_takes_along_are_counted() {
    let mut model = tiny();
    model.acts.extend([
        fill(1, 2),
        fill(2, 3),
        fill(5, 4),
        Act::Fail(ENODEV),
        fill(0, 5),
        fill(1, 6),
    ]);
    let (_, mut running) = running(model);
    assert_eq!(running.frame(), 2);
    // Two come that nobody wants, and two that the driver drops.
    running.slot.clear();
    for _ in 0..2 {
        let captured = running.source.capture.capture(&mut running.slot);
        assert!(matches!(captured, Ok(Captured::Nothing)));
    }
    assert!(running.news().starts_with("lost: "));
    assert!(running.news().starts_with("streaming: "));
    assert_eq!(running.frame(), 6);
    let slot = &running.slot;
    assert_eq!(
        (slot.sequence, slot.replaced, slot.dropped_by_driver),
        (7, 3, 2)
    );
}

#[test]
fn a_driver_that_takes_no_buffer_back_is_opened_again() {
    let mut model = tiny();
    model
        .acts
        .extend([fill(1, 2), fill(2, 3), fill(0, 4), fill(1, 5)]);
    let (desk, mut running) = running(model);
    assert_eq!(running.frame(), 2);
    desk.change(DEVICE, |model| model.fails_to_queue = true);
    assert!(running.news().starts_with("lost: "));
    desk.change(DEVICE, |model| model.fails_to_queue = false);
    assert!(running.news().starts_with("streaming: "));
    assert_eq!(running.frame(), 5);
}

#[test]
fn a_camera_without_a_usable_frame_is_opened_again() {
    for act in [Act::Sleep, Act::Damage(5)] {
        let mut model = tiny();
        model.then = act.clone();
        let (desk, mut running) = running(model);
        let mut damaged = 0;
        let news = loop {
            match running.next() {
                Captured::Unusable => damaged += 1,
                Captured::Status(status) => break status.to_string(),
                other => panic!("{other:?}"),
            }
        };
        // At 10 ms a frame; the limit is two seconds.
        let expected = if matches!(act, Act::Damage(_)) {
            200
        } else {
            0
        };
        assert_eq!(damaged, expected);
        assert_eq!(news, "lost: no usable frame in 2.0 s");
        desk.change(DEVICE, |model| model.then = fill(1, 6));
        assert!(running.news().starts_with("streaming: "));
        assert_eq!(running.frame(), 6);
    }
}

#[test]
fn the_same_camera_is_found_and_no_other() {
    let mut model = tiny();
    model.then = fill(0, 1);
    let (desk, mut running) = running(model);
    running.frame();
    let camera = desk.unplug(DEVICE);
    let mut other = tiny();
    other.card = "Another".into();
    other.then = fill(0, 99);
    desk.plug(DEVICE, other);
    // The path names another camera now.
    assert!(running.news().starts_with("lost: "));
    let waiting = "waiting: another camera is there: Another at usb-1 instead of Webcam at usb-1";
    assert_eq!(running.news(), waiting);
    // One of the same model at another port is another one too.
    let mut twin = camera.clone();
    twin.bus = "usb-2".into();
    twin.then = fill(0, 98);
    desk.plug("/dev/video1", twin);
    desk.plug("/dev/video2", camera);
    assert!(running.news().starts_with("streaming: "));
    assert_eq!(running.frame(), 1);
    assert_eq!(desk.open_devices(), 1);
}

#[test]
fn a_serial_number_is_known_at_any_port() {
    let mut model = tiny();
    model.serial = Some("A1".into());
    model.then = fill(0, 1);
    let (desk, mut running) = running(model);
    running.frame();
    let mut moved = desk.unplug(DEVICE);
    moved.bus = "usb-7".into();
    let mut twin = moved.clone();
    twin.serial = Some("B2".into());
    twin.then = fill(0, 98);
    desk.plug(DEVICE, twin);
    desk.plug("/dev/video5", moved);
    assert!(running.news().starts_with("lost: "));
    assert!(running.news().starts_with("streaming: "));
    assert_eq!(running.frame(), 1);
}

#[test]
fn a_camera_comes_and_goes_a_hundred_times() {
    let mut model = tiny();
    model.then = fill(0, 1);
    let (desk, mut running) = running(model);
    for _ in 0..100 {
        running.frame();
        let camera = desk.unplug(DEVICE);
        assert!(running.news().starts_with("lost: "));
        assert!(running.news().starts_with("waiting: "));
        assert_eq!(desk.open_devices(), 0);
        desk.plug(DEVICE, camera);
        assert!(running.news().starts_with("streaming: "));
    }
    assert_eq!(desk.open_devices(), 1);
}

#[test]
fn with_wait_a_camera_may_come_later() {
    let desk = Desk::new(&[]);
    assert!(Running::new(&desk, &options(|_| ())).is_err());
    let wait = options(|options| options.wait = true);
    let mut running = Running::new(&desk, &wait).expect("it waits");
    assert_eq!(
        (running.source.max_width, running.source.max_height),
        (1920, 1080)
    );
    assert!(running.news().starts_with("waiting: cannot open: "));
    // One whose frames are too large does not fit, another size of it does.
    let mut model = Model::new(&[(b"YUYV", (1924, 1080), &[30])]);
    model.then = fill(0, 1);
    desk.plug(DEVICE, model);
    let news = running.news();
    let expected = "waiting: it offers no frames of at most 1920x1080, but yuyv 1924x1080";
    assert_eq!(news, expected);
    desk.change(DEVICE, |model| {
        model.modes.push((*b"YUYV", (4, 2), vec![15]));
    });
    let slow = "streaming: Webcam, yuyv 4x2, 15 frames/s instead of 30";
    assert_eq!(running.news(), slow);
    assert_eq!(running.frame(), 1);
}

#[test]
fn a_camera_that_comes_back_with_other_sizes_fits_the_room() {
    let mut model = Model::new(&[(b"YUYV", (8, 4), &[30])]);
    model.then = Act::Fill(0, vec![1; 64]);
    let desk = Desk::new(&[(DEVICE, model)]);
    let mut running = Running::new(&desk, &options(|_| ())).expect("a camera");
    running.frame();
    let mut camera = desk.unplug(DEVICE);
    camera.modes = vec![(*b"YUYV", (16, 8), vec![30]), (*b"YUYV", (6, 4), vec![30])];
    assert!(running.news().starts_with("lost: "));
    desk.plug(DEVICE, camera);
    let news = running.news();
    assert_eq!(news, "streaming: Webcam, yuyv 6x4, 30 frames/s");
    running.frame();
    let frame = running.slot.frame().expect("a frame");
    assert_eq!((frame.width(), frame.height()), (6, 4));
}

#[test]
fn motion_jpeg_is_decoded_and_its_damage_told() {
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
    // A grey column, and beside it what takes many bytes.
    let picture = image::RgbImage::from_fn(32, 16, |x, y| match x {
        0..16 => image::Rgb([200, 200, 200]),
        _ => image::Rgb([(x * y * 37) as u8, (x * 91) as u8, (y * 53) as u8]),
    });
    picture.write_with_encoder(encoder).expect("memory");
    let half = jpeg[..jpeg.len() - 50].to_vec();
    let mut model = Model::new(&[(b"MJPG", (32, 16), &[30])]);
    model.acts.extend([
        Act::Fill(0, jpeg.clone()),
        Act::Fill(1, jpeg),
        Act::Fill(2, half),
    ]);
    let desk = Desk::new(&[(DEVICE, model)]);
    let mut running = Running::new(&desk, &options(|_| ())).expect("a camera");
    assert_eq!(running.frame(), 200);
    let defect = running.defect();
    assert_eq!(defect, "the JPEG image ends before its last pixel");
}

#[test]
fn a_driver_that_panics_ends_the_source() {
    let mut model = tiny();
    model.acts.extend([fill(0, 1), fill(1, 1), Act::Panic]);
    let desk = Desk::new(&[(DEVICE, model)]);
    let path = Path::new(DEVICE);
    let source = open_on(Box::new(desk), path, &options(|_| ())).expect("a camera");
    let exchange = Arc::new(Exchange::new(source.policy, source.slot_bytes).expect("bytes"));
    exchange.start(source.capture).expect("a thread starts");
    let end = loop {
        match exchange.next(Duration::from_secs(60)) {
            Next::Frame(slot) => exchange.give_back(slot),
            Next::Ended(end) => break end,
            other => panic!("{other:?}"),
        }
    };
    let error = end.expect_err("it panicked").to_string();
    assert_eq!(error, "a bug in what reads it: as the script says");
    assert_eq!(exchange.counts(), Counts::default());
}
