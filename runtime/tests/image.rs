//! Image files: what is read, how it is turned, and what is refused.

use ::image::codecs::png::PngEncoder;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageEncoder, ImageFormat, RgbImage};
use mergevit_runtime::image::{self, ImageDefect};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The picture of `tests/data/images`.
fn picture() -> RgbImage {
    RgbImage::from_fn(40, 24, |x, y| {
        let (x, y) = (x as u8, y as u8);
        ::image::Rgb(if x < 10 && y < 6 {
            [255, 255, 0]
        } else {
            [6 * x, 10 * y, 200 - 4 * x]
        })
    })
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/images")
        .join(name)
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Mean difference of the channels: what compression and few colours leave is a few units.
fn distance(found: &[u8], expected: &[u8]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / found.len() as f64
}

/// Every file of `tests/data/images`, and what the `image` crate writes.
fn files() -> Vec<(String, Vec<u8>)> {
    let shipped = [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "lossy.webp",
        "lossless.webp",
        "animated.webp",
        "palette.bmp",
    ];
    let picture = DynamicImage::ImageRgb8(picture());
    let written = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP];
    shipped
        .iter()
        .map(|name| ((*name).into(), std::fs::read(data(name)).unwrap()))
        .chain(written.map(|format| (format!("{format:?}"), encode(&picture, format))))
        .collect()
}

/// A name in a folder of its own, with `bytes` in it.
fn temporary(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn every_format_is_read_whatever_its_name() {
    let expected = picture().into_raw();
    for (name, bytes) in files() {
        let (_folder, path) = temporary("picture.dat", &bytes);
        let found = image::decode(&path).unwrap();
        assert_eq!((found.width(), found.height()), (40, 24), "{name}");
        assert_eq!(image::dimensions(&path).unwrap(), (40, 24), "{name}");
        let lossless = ["Png", "Bmp", "WebP", "lossless.webp", "animated.webp"];
        let tolerance = if lossless.contains(&&name[..]) {
            0.0
        } else {
            8.0
        };
        let distance = distance(found.pixels(), &expected);
        assert!(distance <= tolerance, "{name}: {distance}");
        assert_eq!(found.frame().width(), 40);
    }
}

#[test]
fn deeper_channels_grey_and_alpha_become_rgb() {
    let picture = DynamicImage::ImageRgb8(picture());
    let mut transparent = picture.to_rgba8();
    transparent.pixels_mut().for_each(|pixel| pixel.0[3] = 0);
    let grey = picture.to_luma8();
    let tripled: Vec<u8> = grey.iter().flat_map(|&value| [value; 3]).collect();
    let colours = picture.to_rgb8().into_raw();
    for (source, expected) in [
        (picture.to_rgb16().into(), &colours),
        (DynamicImage::from(transparent), &colours),
        (grey.into(), &tripled),
        (picture.to_luma16().into(), &tripled),
    ] {
        let found = image::decode_bytes(&encode(&source, ImageFormat::Png)).unwrap();
        assert!(found.pixels() == expected, "{:?}", source.color());
    }
}

/// A cut file must not pass for the whole one with other pixels.
#[test]
fn a_file_cut_anywhere_is_refused_or_complete() {
    for (name, bytes) in files() {
        let whole = image::decode_bytes(&bytes).unwrap();
        for cut in 0..bytes.len() {
            if let Ok(found) = image::decode_bytes(&bytes[..cut]) {
                assert!(found == whole, "{name} cut to {cut} of {}", bytes.len());
            }
        }
        let half = image::decode_bytes(&bytes[..bytes.len() / 2]).unwrap_err();
        assert!(matches!(half, ImageDefect::Truncated), "{name}: {half}");
        // A file system that reserved the length before the copy broke off.
        let mut zeros = bytes.clone();
        zeros[bytes.len() / 2..].fill(0);
        if name.ends_with("jpg") {
            let error = image::decode_bytes(&zeros).unwrap_err();
            assert!(matches!(error, ImageDefect::Truncated), "{name}: {error}");
        }
    }
}

#[test]
fn bytes_after_the_image_are_not_looked_at() {
    for (name, bytes) in files() {
        let whole = image::decode_bytes(&bytes).unwrap();
        let video = [&bytes[..], b"\0\0\0\x18ftypmp42 a phone's motion photo"].concat();
        assert!(image::decode_bytes(&video).unwrap() == whole, "{name}");
    }
}

/// EXIF with nothing but an orientation, 1 to 8 (CIPA DC-008, tag 0x0112).
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    bytes.extend([orientation, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn all_orientations_are_turned_upright() {
    let upright = picture();
    for orientation in 1..=8 {
        // What a camera stores is upright after `orientation` is applied.
        let inverse = match Orientation::from_exif(orientation).unwrap() {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            own_inverse => own_inverse,
        };
        let mut stored = DynamicImage::ImageRgb8(upright.clone());
        stored.apply_orientation(inverse);
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        stored.write_with_encoder(encoder).unwrap();
        let (_folder, path) = temporary("turned.png", &png);
        let found = image::decode(&path).unwrap();
        assert_eq!((found.width(), found.height()), (40, 24), "{orientation}");
        assert_eq!(image::dimensions(&path).unwrap(), (40, 24), "{orientation}");
        assert!(found.pixels() == upright.as_raw(), "{orientation}");
    }
}

/// `jpeg` with a segment APP1 after its start.
fn with_app1(jpeg: &[u8], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, content, &jpeg[2..]].concat()
}

#[test]
fn a_jpeg_is_turned_too_and_its_thumbnail_does_not_make_it_whole() {
    let jpeg = std::fs::read(data("baseline.jpg")).unwrap();
    let plain = image::decode_bytes(&jpeg).unwrap();
    let turned = with_app1(&jpeg, &[b"Exif\0\0", &exif(6)[..]].concat());
    let (_folder, path) = temporary("turned.jpg", &turned);
    assert_eq!(image::dimensions(&path).unwrap(), (24, 40));
    let found = image::decode(&path).unwrap();
    assert_eq!((found.width(), found.height()), (24, 40));
    // A quarter turn clockwise: the stored corner at the top left is then at the top right.
    let corner = &found.pixels()[3 * 23..3 * 24];
    assert_eq!(corner, &plain.pixels()[..3]);

    let with_thumbnail = with_app1(&jpeg, &[b"Exif\0\0", &exif(1)[..], &jpeg].concat());
    assert!(image::decode_bytes(&with_thumbnail).unwrap() == plain);
    let cut = &with_thumbnail[..with_thumbnail.len() - 200];
    let error = image::decode_bytes(cut).unwrap_err();
    assert!(matches!(error, ImageDefect::Truncated), "{error}");
}

#[test]
fn headers_beyond_the_first_bytes_of_a_jpeg_still_give_its_size() {
    let mut jpeg = std::fs::read(data("baseline.jpg")).unwrap();
    // A colour profile and a maker's notes of half a megabyte.
    for _ in 0..8 {
        jpeg = with_app1(&jpeg, &[7; 65_000]);
    }
    let (_folder, path) = temporary("long.jpg", &jpeg);
    assert_eq!(image::dimensions(&path).unwrap(), (40, 24));
}

#[test]
fn other_kinds_of_file_are_refused_by_name_with_advice() {
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    for (bytes, what) in [
        (&b"GIF89a..."[..], "a GIF"),
        (b"II*\0....", "a TIFF"),
        (heic, "a HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "ffmpeg -i VIDEO"),
        (b"\xff\x0a\xfa", "a JPEG XL"),
        (b"<!DOCTYPE html><title>404", "HTML"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "git lfs pull",
        ),
        (b"PK\x03\x04", "zip"),
        (b"", "an empty file"),
        (b"hello", "not an image"),
        (b"\xff\xd8", "not an image"),
        (b"\xff\xd8\xff", "truncated"),
    ] {
        let error = image::decode_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
        if what != "truncated" {
            assert!(error.contains("expected PNG, JPEG, WebP or BMP"), "{error}");
        }
    }
}

#[test]
fn an_image_beyond_the_limit_is_refused_with_its_size_and_the_limit() {
    let wide = DynamicImage::new_luma8(8193, 1);
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Bmp,
        ImageFormat::WebP,
    ] {
        let (_folder, path) = temporary("wide", &encode(&wide.to_rgb8().into(), format));
        for error in [
            image::decode(&path).unwrap_err(),
            image::dimensions(&path).unwrap_err(),
        ] {
            assert!(
                matches!(
                    error.defect,
                    ImageDefect::Size {
                        width: 8193,
                        height: 1
                    }
                ),
                "{format:?}: {error}"
            );
            let text = error.to_string();
            assert!(text.contains("8193x1") && text.contains("8192"), "{text}");
        }
    }
}

#[test]
fn what_is_not_a_regular_file_is_refused_without_opening_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder.jpg")).unwrap();
    let mut cases = vec![(at("folder.jpg"), "a folder")];
    #[cfg(unix)]
    {
        // Opening a pipe that nobody writes to would wait for ever.
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe.jpg"))
            .status();
        assert!(made.unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(at("socket.jpg")).unwrap();
        std::os::unix::fs::symlink(at("pipe.jpg"), at("link.jpg")).unwrap();
        cases.push((at("pipe.jpg"), "a named pipe"));
        cases.push((at("link.jpg"), "a named pipe"));
        cases.push((at("socket.jpg"), "a socket"));
        cases.push(("/dev/zero".into(), "a device"));
    }
    for (path, what) in cases {
        for error in [
            image::decode(&path).unwrap_err(),
            image::dimensions(&path).unwrap_err(),
        ] {
            assert!(matches!(error.defect, ImageDefect::Kind(found) if found == what));
            assert!(
                error.to_string().contains("expected an image file"),
                "{error}"
            );
        }
    }
    let missing = image::decode(at("nowhere.png")).unwrap_err();
    assert!(
        missing.to_string().contains("nowhere.png: cannot open"),
        "{missing}"
    );
}

#[test]
fn a_reader_is_read_to_its_end() {
    let png = encode(&picture().into(), ImageFormat::Png);
    assert_eq!(
        image::decode_reader(&png[..]).unwrap().pixels(),
        picture().as_raw()
    );
    let error = image::decode_reader(&png[..png.len() / 2]).unwrap_err();
    assert!(matches!(error, ImageDefect::Truncated), "{error}");
}

#[test]
fn names_of_images_end_in_either_case() {
    for name in ["a.png", "b.JPG", "c.Jpeg", "d.webp", "e.BMP"] {
        assert!(image::has_known_extension(Path::new(name)), "{name}");
    }
    for name in ["a.gif", "png", ".png", "a.png.txt", "a."] {
        assert!(!image::has_known_extension(Path::new(name)), "{name}");
    }
}
