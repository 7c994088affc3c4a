//! Whatever goes wrong gets a message that names it and the right exit code; never a panic.

mod common;

use common::{
    Fixture, HEIGHT, WIDTH, finish, finish_with_input, mergevit, raw_frames, start, text, y4m,
};
use mergevit_kernels::frame::PixelFormat;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn wrong_usage_has_exit_code_2() {
    let fixture = Fixture::new();
    let model = fixture.model();
    let model = text(&model);
    let run = ["run", "--model", model, "--source"];
    let source = |rest: &[&'static str]| [&run[..], rest].concat();
    let cases: [(Vec<&str>, &str); 16] = [
        (vec![], "Usage: mergevit [OPTIONS] <COMMAND>"),
        (vec!["fly"], "unrecognized subcommand 'fly'"),
        (vec!["classify", "--model", model], "<IMAGE>..."),
        (vec!["classify", "image.png"], "--model <M.mvit>"),
        (
            vec!["classify", "--model", model, "image.png", "--top", "0"],
            "expected 1 to 100 classes",
        ),
        (
            vec!["bench", "--model", model, "--batch", "33"],
            "expected 1 to 32 images",
        ),
        (
            vec!["bench", "--model", model, "--seconds", "nan"],
            "expected 0.01 to 86400 seconds",
        ),
        (
            vec!["bench", "--model", model, "--threads", "0"],
            "expected 1 to ",
        ),
        (
            vec!["bench", "--model", model, "--serve", "--json"],
            "cannot be used with",
        ),
        (vec!["demo", "--frames", "0"], "0 is not in 1.."),
        (vec!["inspect"], "<M.mvit>"),
        (source(&["tape:x"]), "unknown kind 'tape'"),
        (source(&["raw:nv12:0x4:-"]), "size '0x4'"),
        (source(&["y4m:-", "--loop"]), "--loop needs frames"),
        (source(&["y4m:-", "--size", "4x4"]), "--size is for cameras"),
        (
            source(&["y4m:-", "--fps-limit", "-1"]),
            "unexpected argument '-1'",
        ),
    ];
    for (case, reason) in cases {
        let finished = finish(mergevit().args(&case)).code(2);
        let stderr = finished.stderr();
        assert!(stderr.contains(reason), "{case:?}: {stderr}");
        assert!(finished.stdout().is_empty(), "{case:?}");
    }
}

#[test]
fn bad_packs_are_refused_by_every_command() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 8, 8, 1);
    let whole = std::fs::read(fixture.model()).expect("the pack reads");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let bad = [
        (fixture.path("missing.mvit"), "cannot open"),
        (fixture.path(""), "not a regular file"),
        (fixture.write("empty.mvit", b""), "0 bytes"),
        (fixture.write("text.mvit", &[b'x'; 4096]), "magic"),
        (
            fixture.write("short.mvit", &whole[..whole.len() - 1]),
            "it was cut short",
        ),
        (fixture.write("flipped.mvit", &flipped), "expected"),
    ];
    for (pack, reason) in &bad {
        let pack = text(pack);
        let commands: [&[&str]; 4] = [
            &["inspect", pack],
            &["classify", "--model", pack, text(&image)],
            &["bench", "--model", pack],
            &[
                "run",
                "--model",
                pack,
                "--source",
                &format!("file:{}", text(&image)),
            ],
        ];
        for command in commands {
            let finished = finish(mergevit().args(command));
            let finished =
                finished.fails(&["error: ", pack.trim_end_matches('/'), reason, "hint: "]);
            assert!(finished.stdout().is_empty());
        }
    }
}

/// Root may read everything, so there it is another user who asks.
#[test]
#[cfg(target_os = "linux")]
fn a_pack_that_may_not_be_read_is_not_called_a_bad_one() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let fixture = Fixture::new();
    let model = fixture.model();
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    set(&model, 0);
    set(&fixture.path(""), 0o755);
    let mut inspect = match model.metadata().expect("it is there").uid() {
        0 => {
            // The program itself may lie where others may not go.
            let program = fixture.path("mergevit");
            std::fs::copy(env!("CARGO_BIN_EXE_mergevit"), &program).expect("a copy");
            let other_user = || {
                let mut setpriv = Command::new("setpriv");
                setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
                setpriv.arg(&program);
                setpriv
            };
            let runs = other_user().arg("--version").output();
            if !runs.is_ok_and(|output| output.status.success()) {
                return; // There is no other user here.
            }
            other_user()
        }
        _ => mergevit(),
    };
    let refused = finish(inspect.arg("inspect").arg(&model));
    let refused = refused.fails(&["m.mvit: cannot open: Permission denied", "hint: `ls -l`"]);
    assert!(!refused.stderr().contains("make a pack"));
}

#[test]
fn unknown_backends_and_schedules_are_named() {
    let fixture = Fixture::new();
    let bench_with = |arguments: &[&str]| finish(fixture.command("bench").args(arguments));
    // No machine that runs the tests has sixteen.
    bench_with(&["--backend", "cuda:15"]).fails(&["backend cuda: no ", "--backend cpu"]);
    // A name that no machine knows is wrong usage, although the pack or the machine must be asked first.
    let choices = "expected auto, cpu or one of cuda, ";
    bench_with(&["--backend", "abacus"]).misused(&["\"abacus\"", choices, "--help"]);
    bench_with(&["--schedule", "r99"]).misused(&["r99", "r0, r3", "--help"]);
    let estimate = ["--estimate", "agx-orin", "--schedule", "r99"];
    bench_without_threads(&fixture, &estimate).misused(&["r99", "r0, r3"]);
    let image = fixture.image("a.png", 8, 8, 1);
    let source = format!("file:{}", text(&image));
    let wrong = ["--schedule", "r99"];
    finish(fixture.source(&source).args(wrong)).misused(&["r99", "r0, r3"]);
    finish(fixture.command("classify").arg(&image).args(wrong)).misused(&["r99", "r0, r3"]);
}

/// `bench` as `--estimate` takes it.
fn bench_without_threads(fixture: &Fixture, arguments: &[&str]) -> common::Finished {
    let mut bench = mergevit();
    bench.arg("bench").arg("--model").arg(fixture.model());
    finish(bench.args(arguments))
}

#[test]
fn sources_that_cannot_be_opened_are_named() {
    let fixture = Fixture::new();
    let empty = fixture.path("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let broken = fixture.path("broken");
    std::fs::create_dir(&broken).expect("a folder");
    fixture.write("broken/a.png", b"no image");
    let missing = fixture.path("missing");
    let not_y4m = fixture.write("clip.y4m", b"RIFF....AVI \n");
    let deep = fixture.write("deep.y4m", b"YUV4MPEG2 W4 H4 C420p10\n");
    let nothing = fixture.write("nothing.y4m", b"");
    let cases = [
        (format!("file:{}", text(&missing)), "cannot read"),
        (
            format!("file:{}", text(&empty)),
            "no images in it (*.png, *.jpg, *.jpeg, *.webp, *.bmp)",
        ),
        (
            format!("file:{}", text(&broken)),
            "no image can be read (1 tried)",
        ),
        (format!("y4m:{}", text(&missing)), "cannot open"),
        (format!("y4m:{}", text(&empty)), "cannot read"),
        (format!("y4m:{}", text(&not_y4m)), "no YUV4MPEG2 header"),
        (format!("y4m:{}", text(&deep)), "'420p10' is not supported"),
        (format!("y4m:{}", text(&nothing)), "the stream is empty"),
        (format!("raw:grey:4x4:{}", text(&missing)), "cannot open"),
        (
            "v4l2:/dev/no-such-video-device".into(),
            "/dev/no-such-video-device",
        ),
    ];
    for (source, reason) in &cases {
        finish(&mut fixture.source(source)).fails(&["error: ", reason]);
    }
    let mut repeat = fixture.source("raw:grey:4x4:/dev/null");
    finish(repeat.arg("--loop")).fails(&["/dev/null: not a file"]);
}

#[test]
fn streams_that_end_badly_are_reported_after_their_good_frames() {
    let fixture = Fixture::new();
    let raw = raw_frames(PixelFormat::Grey, 3);
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:-");
    let cut = finish_with_input(&mut fixture.source(&source), &raw[..raw.len() - 1]);
    let cut = cut.fails(&[
        "standard input",
        "frame 2",
        "the stream ends after 813 of 814 bytes",
    ]);
    assert_eq!(cut.stdout().lines().count(), 2);
    finish_with_input(&mut fixture.source(&source), b"").fails(&["no frame could be used"]);

    let whole = y4m("C420", PixelFormat::I420, 3);
    let mut wrong = whole.clone();
    let second = whole.len() - 2 * (whole.len() / 3);
    let frame = wrong[second..]
        .windows(5)
        .position(|w| w == b"FRAME")
        .expect("a frame");
    wrong[second + frame] = b'G';
    let finished = finish_with_input(&mut fixture.source("y4m:-"), &wrong);
    finished.fails(&["does not start with \"FRAME\""]);
    let short = finish_with_input(&mut fixture.source("y4m:-"), &whole[..whole.len() - 9]);
    let short = short.fails(&["frame 2", "the stream ends after"]);
    assert_eq!(short.stdout().lines().count(), 2);
    let header = whole
        .iter()
        .position(|&byte| byte == b'\n')
        .expect("a header")
        + 1;
    let none = finish_with_input(&mut fixture.source("y4m:-"), &whole[..header]);
    none.fails(&["no frame could be used"]);
}

#[test]
fn an_unreadable_image_in_a_folder_is_counted_and_skipped() {
    let fixture = Fixture::new();
    let folder = fixture.path("images");
    std::fs::create_dir(&folder).expect("a folder");
    fixture.image("images/a.png", 30, 20, 1);
    fixture.write("images/b.png", b"no image");
    fixture.write("images/notes.txt", b"no image either, and not asked for");
    fixture.image("images/c.jpg", 20, 30, 2);
    let mut run = fixture.source(&format!("file:{}", text(&folder)));
    let finished = finish(run.arg("--json")).code(0);
    assert!(finished.stderr().contains("skipped: "));
    let lines = finished.json();
    let names: Vec<_> = lines
        .iter()
        .filter_map(|line| line["file"].as_str()?.strip_prefix(text(&folder)))
        .collect();
    assert_eq!(names, ["/a.png", "/b.png", "/c.jpg"]);
    let events: Vec<_> = lines
        .iter()
        .filter_map(|line| line["event"].as_str())
        .collect();
    assert_eq!(events, ["start", "frame", "error", "frame", "summary"]);
    assert_eq!(lines[4]["errors"], 1);
}

#[test]
fn a_closed_output_ends_quietly() {
    let fixture = Fixture::new();
    let endless = format!("raw:grey:{WIDTH}x{HEIGHT}:/dev/zero");
    let mut child = start(fixture.source(&endless).arg("--json"));
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut some = [0; 64];
    stdout.read_exact(&mut some).expect("the first frame comes");
    drop(stdout);
    // A live loop was to go on: its supervisor is to notice, as of a process that SIGPIPE ends.
    assert_eq!(child.wait().expect("it ends").code(), Some(141));

    for argument in ["doctor", "--help", "--version"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = mergevit().arg(argument).stdout(writer).status();
        assert_eq!(status.expect("it runs").code(), Some(0), "{argument}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_output_is_an_error() {
    let fixture = Fixture::new();
    let model = fixture.model();
    let frames = fixture.write("frames", &raw_frames(PixelFormat::Grey, 3));
    let source = format!("raw:grey:{WIDTH}x{HEIGHT}:{}", text(&frames));
    let image = fixture.image("a.png", 8, 8, 1);
    let bench = ["bench", "-m", text(&model), "--threads", "1", "--no-check"];
    let commands: [&[&str]; 12] = [
        &["--help"],
        &["--version"],
        &["run", "--help"],
        &["inspect", text(&model)],
        &["doctor"],
        &["completions", "bash"],
        &["demo", "--frames", "1", "--threads", "1"],
        &["classify", "-m", text(&model), text(&image)],
        &["classify", "-m", text(&model), text(&image), "--json"],
        &[&bench[..], &["--iterations", "1"]].concat(),
        &["bench", "-m", text(&model), "--estimate", "agx-orin"],
        &["run", "--model", text(&model), "--source", &source],
    ];
    for command in commands {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("it is there");
        finish(mergevit().args(command).stdout(full)).fails(&["standard output: cannot write"]);
    }
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_with_a_summary() {
    let fixture = Fixture::new();
    let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
    let mut child = start(run.arg("--json").stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(&raw_frames(PixelFormat::Grey, 2))
        .expect("the program reads");
    // The start and two frames came: the loop runs, and waits for a third.
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut text = Vec::new();
    let mut byte = [0];
    while text.iter().filter(|&&byte| byte == b'\n').count() < 3 {
        stdout.read_exact(&mut byte).expect("a line comes");
        text.push(byte[0]);
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill runs").success());
    stdout.read_to_end(&mut text).expect("the output ends");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let text = String::from_utf8(text).expect("the output is text");
    let last = text.lines().last().expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(last).expect("it is JSON");
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["frames"], 2);
    drop(stdin);
}
