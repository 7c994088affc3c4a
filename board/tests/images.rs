//! Image files as people and cameras leave them: cut off, turned, beyond limits, or no files at all.

mod common;

use common::{Fixture, finish, text};
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder};
use std::path::Path;

#[test]
fn a_jpeg_cut_in_half_has_no_class() {
    let fixture = Fixture::new();
    let whole = fixture.image("whole.jpg", 60, 80, 1);
    let bytes = std::fs::read(whole).expect("an image");
    let half = fixture.write("half.jpg", &bytes[..bytes.len() / 2]);
    finish(fixture.command("classify").arg(half)).fails(&["half.jpg: truncated"]);
}

#[test]
fn a_turned_photo_is_classified_as_people_see_it() {
    let fixture = Fixture::new();
    let upright = fixture.image("upright.png", 40, 24, 3);
    // A camera held sideways: the stored image needs a quarter turn clockwise, EXIF's orientation 6.
    let stored = image::open(&upright).expect("an image").rotate270();
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    encoder.set_exif_metadata(exif.to_vec()).expect("EXIF");
    stored.write_with_encoder(encoder).expect("an image");
    let turned = fixture.write("turned.png", &bytes);

    let classes = |path: &Path| {
        let mut command = fixture.command("classify");
        let lines = finish(command.arg("--json").arg(path)).code(0).json();
        lines[0]["top"].clone()
    };
    assert_eq!(classes(&turned), classes(&upright));
    let source = format!("file:{}", text(&turned));
    let lines = finish(fixture.source(&source).arg("--json")).code(0).json();
    assert_eq!(lines[0]["top"], classes(&upright));
}

#[test]
fn an_image_beyond_the_limit_names_size_and_limit() {
    let fixture = Fixture::new();
    let path = fixture.path("wide.png");
    let wide = DynamicImage::new_luma8(8193, 2);
    wide.save(&path).expect("an image");
    let what = "wide.png: 8193x2 pixels, expected sides of 1 to 8192";
    finish(fixture.command("classify").arg(&path)).fails(&[what]);
    finish(&mut fixture.source(&format!("file:{}", text(&path)))).fails(&[what]);
}

#[cfg(unix)]
#[test]
fn a_pipe_named_like_an_image_is_refused_instead_of_waited_for() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("images")).expect("a folder");
    let pipe = fixture.path("images/b.jpg");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let what = "b.jpg: a named pipe, expected an image file";
    finish(fixture.command("classify").arg(&pipe)).fails(&[what]);
    finish(&mut fixture.source(&format!("file:{}", text(&pipe)))).fails(&[what]);
    fixture.image("images/a.png", 30, 20, 1);
    let folder = format!("file:{}", text(&fixture.path("images")));
    let finished = finish(fixture.source(&folder).arg("--json")).code(0);
    assert!(finished.stderr().contains(what), "{}", finished.stderr());
    assert_eq!(finished.json()[0]["name"], "a.png");
}

#[test]
fn files_of_other_kinds_are_refused_by_name() {
    let fixture = Fixture::new();
    for (name, bytes, what) in [
        (
            "a.jpg",
            &b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..],
            "a HEIC",
        ),
        ("b.png", b"<!DOCTYPE html>", "HTML"),
        ("c.png", b"", "an empty file"),
    ] {
        let path = fixture.write(name, bytes);
        let expected = "expected PNG, JPEG, WebP or BMP";
        finish(fixture.command("classify").arg(path)).fails(&[name, what, expected]);
    }
}
