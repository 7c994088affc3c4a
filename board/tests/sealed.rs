//! The live loop does not allocate: more than a hundred frames from each source through each backend, with the
//! allocator sealed. An allocation would abort the program.

mod common;

use common::{Fixture, HEIGHT, WIDTH, finish, finish_with_input, raw_frames, text, y4m};
use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::backends;
use serde_json::Value;

const FRAMES: usize = 120;

fn available_backends() -> impl Iterator<Item = &'static str> {
    backends().filter(|b| b.available).map(|b| b.name)
}

/// The summary of a run of [`FRAMES`] frames.
fn check(lines: &[Value]) {
    let [_, lines @ ..] = lines else {
        panic!("there is a start");
    };
    let (summary, frames) = lines.split_last().expect("there is a summary");
    assert_eq!(frames.len(), FRAMES);
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(frame["event"], "frame");
        assert_eq!(frame["frame"], index);
        assert_eq!(frame["top"].as_array().map(Vec::len), Some(3));
    }
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["frames"], FRAMES);
    assert_eq!(summary["dropped"], 0);
    assert_eq!(summary["errors"], 0);
}

#[test]
fn folders_on_every_backend() {
    let fixture = Fixture::new();
    let folder = fixture.path("images");
    std::fs::create_dir(&folder).expect("a folder");
    for (index, name) in ["a.png", "b.jpg", "c.png", "d.JPEG"].iter().enumerate() {
        let (width, height) = (20 + 31 * index as u32, 90 - 17 * index as u32);
        fixture.image(&format!("images/{name}"), width, height, index as u64);
    }
    let source = format!("file:{}", text(&folder));
    for backend in available_backends() {
        for schedule in ["r0", "r3"] {
            let frames = FRAMES.to_string();
            let mut run = fixture.source(&source);
            run.args(["--json", "--loop", "--max-frames", &frames]);
            run.args(["--backend", backend, "--schedule", schedule]);
            let lines = finish(&mut run).code(0).json();
            check(&lines);
            let names: Vec<_> = lines
                .iter()
                .filter_map(|line| line["file"].as_str()?.strip_prefix(text(&folder)))
                .collect();
            assert_eq!(
                names[..5],
                ["/a.png", "/b.jpg", "/c.png", "/d.JPEG", "/a.png"]
            );
            // Whatever repeats gives the same result.
            assert_eq!(lines[1]["top"], lines[5]["top"]);
        }
    }
}

#[test]
fn y4m_on_every_backend() {
    let fixture = Fixture::new();
    let path = fixture.write("clip.y4m", &y4m("C420jpeg", PixelFormat::I420, FRAMES));
    for backend in available_backends() {
        let mut run = fixture.source(&format!("y4m:{}", text(&path)));
        run.args(["--json", "--backend", backend, "--schedule", "r3"]);
        check(&finish(&mut run).code(0).json());
    }
}

/// A JPEG image as many cameras send it: without the Huffman tables that all of them use.
fn without_tables(mut jpeg: Vec<u8>) -> Vec<u8> {
    while let Some(at) = jpeg.windows(2).position(|pair| pair == [0xff, 0xc4]) {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        jpeg.drain(at..at + 2 + length);
    }
    jpeg
}

#[test]
fn motion_jpeg_on_every_backend() {
    let fixture = Fixture::new();
    let images = [(90, 40), (90, 40), (31, 20), (7, 40)];
    let mut stream = Vec::new();
    for (index, (width, height)) in images.into_iter().enumerate() {
        let path = fixture.image("frame.jpg", width, height, index as u64);
        let jpeg = std::fs::read(path).expect("it was just written");
        stream.extend(match index % 2 {
            0 => jpeg,
            _ => without_tables(jpeg),
        });
    }
    let path = fixture.write("clip.mjpeg", &stream.repeat(FRAMES / images.len() / 2));
    for backend in available_backends() {
        let mut run = fixture.source(&format!("mjpeg:{}", text(&path)));
        run.args(["--json", "--loop", "--max-frames", &FRAMES.to_string()]);
        run.args(["--backend", backend]);
        let lines = finish(&mut run).code(0).json();
        check(&lines);
        assert_eq!(lines[2]["top"], lines[2 + images.len()]["top"]);
    }
}

#[test]
fn damaged_motion_jpeg_is_sealed_too() {
    let fixture = Fixture::new();
    let path = fixture.image("frame.jpg", 90, 40, 1);
    let jpeg = std::fs::read(path).expect("it was just written");
    let larger = std::fs::read(fixture.image("larger.jpg", 91, 40, 2)).expect("as above");
    let cut = &jpeg[..jpeg.len() / 2];
    let mut broken = jpeg.clone();
    // The first quantization table has no such number.
    let at = broken.windows(2).position(|pair| pair == [0xff, 0xdb]);
    broken[at.expect("it has one") + 4] = 9;
    let stream = [&jpeg[..], cut, &broken, &larger, &jpeg, cut].concat();
    let path = fixture.write("clip.mjpeg", &stream);
    let mut run = fixture.source(&format!("mjpeg:{}", text(&path)));
    let lines = finish(run.arg("--json")).code(0).json();
    let reasons: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["reason"].as_str())
        .collect();
    let [first, second, third, fourth] = reasons[..] else {
        panic!("{reasons:?}");
    };
    for cut in [first, fourth] {
        assert!(cut.starts_with("the JPEG image ends "), "{cut}");
    }
    assert!(second.starts_with("a damaged JPEG image: "), "{second}");
    assert_eq!(
        third,
        "a JPEG image of 91x40 pixels, more than are reserved"
    );
    let summary = lines.last().expect("there is a summary");
    assert_eq!(
        (&summary["frames"], &summary["errors"]),
        (&2.into(), &4.into())
    );
}

#[test]
fn raw_pipes_on_every_backend() {
    let fixture = Fixture::new();
    let frames = raw_frames(PixelFormat::Nv12, FRAMES);
    for backend in available_backends() {
        let mut run = fixture.source(&format!("raw:nv12:{WIDTH}x{HEIGHT}:-"));
        run.args(["--json", "--backend", backend, "--threads", "2"]);
        check(&finish_with_input(&mut run, &frames).code(0).json());
    }
}

#[test]
fn raw_files_in_every_format() {
    let fixture = Fixture::new();
    for format in PixelFormat::ALL {
        let name = format!("{format:?}").to_lowercase();
        // Half the frames, twice.
        let path = fixture.write(&name, &raw_frames(format, FRAMES / 2));
        let source = format!("raw:{name}:{WIDTH}x{HEIGHT}:{}", text(&path));
        let mut run = fixture.source(&source);
        run.args(["--json", "--loop", "--max-frames", &FRAMES.to_string()]);
        let lines = finish(&mut run).code(0).json();
        check(&lines);
        assert_eq!(lines[4]["top"], lines[4 + FRAMES / 2]["top"]);
    }
}

#[test]
fn y4m_in_both_formats_repeats() {
    let fixture = Fixture::new();
    for (colour, format) in [("", PixelFormat::I420), ("Cmono", PixelFormat::Grey)] {
        let path = fixture.write("clip.y4m", &y4m(colour, format, FRAMES / 3));
        let mut run = fixture.source(&format!("y4m:{}", text(&path)));
        run.args(["--json", "--loop", "--max-frames", &FRAMES.to_string()]);
        let lines = finish(&mut run).code(0).json();
        check(&lines);
        assert_eq!(lines[2]["top"], lines[2 + FRAMES / 3]["top"]);
    }
}

#[test]
fn text_output_and_limits_are_sealed_too() {
    let fixture = Fixture::new();
    let frames = raw_frames(PixelFormat::Grey, FRAMES);
    let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
    run.args(["--fps-limit", "100000", "--top", "100"]);
    let finished = finish_with_input(&mut run, &frames).code(0);
    assert_eq!(finished.stdout().lines().count(), FRAMES);
    assert!(finished.stderr().contains("120 frames in "));
}
