//! Every line of JSON is as `records.schema.json` says, and files, failures and times have one form in all of them.

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Fixture, HEIGHT, WIDTH, finish, finish_with_input, mergevit, raw_frames, text};
use mergevit_kernels::frame::PixelFormat;
use schema::events;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

#[test]
fn every_line_of_every_command_is_as_documented() {
    let fixture = Fixture::new();
    let good = fixture.image("a.png", 30, 20, 1);
    let bad = fixture.write("bad.png", b"no image");
    let mut classify = fixture.command("classify");
    let finished = finish(classify.arg("--json").args([&good, &bad])).code(1);
    assert_eq!(
        events(&finished.json()),
        ["start", "frame", "error", "summary"]
    );

    let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:-"));
    let frames = raw_frames(PixelFormat::Grey, 2);
    // The second frame is cut: an error ends the run.
    let finished = finish_with_input(run.arg("--json"), &frames[..frames.len() - 1]).code(1);
    assert_eq!(
        events(&finished.json()),
        ["start", "frame", "error", "summary"]
    );

    let finished = finish(mergevit().args(["demo", "--frames", "1", "--json"])).code(0);
    let demo = events(&finished.json());
    assert_eq!(demo[..2], ["start", "frame"]);
    assert!(demo[2..].iter().all(|event| event == "schedule"));

    let mut bench = fixture.command("bench");
    bench.args(["--json", "--iterations", "2", "--profile"]);
    assert_eq!(
        events(&finish(&mut bench).code(0).json()),
        ["start", "bench"]
    );

    let model = fixture.model();
    let single: [(&[&str], &str); 3] = [
        (
            &[
                "bench",
                "--estimate",
                "agx-orin",
                "--json",
                "--model",
                text(&model),
            ],
            "estimate",
        ),
        (&["inspect", "--json", text(&model)], "pack"),
        (&["doctor", "--json"], "doctor"),
    ];
    for (arguments, event) in single {
        assert_eq!(
            events(&finish(mergevit().args(arguments)).code(0).json()),
            [event]
        );
    }
}

#[test]
fn an_undocumented_key_is_noticed() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 30, 20, 1);
    let mut classify = fixture.command("classify");
    let mut line = finish(classify.arg("--json").arg(image)).code(0).json()[1].clone();
    let schema = schema::records();
    assert_eq!(schema::check(&schema, &schema, &line), Ok(()));
    line["colour"] = "red".into();
    assert!(schema::check(&schema, &schema, &line).is_err());
}

#[test]
fn the_start_names_program_backend_and_model() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 30, 20, 1);
    let source = format!("file:{}", text(&image));
    let mut classify = fixture.command("classify");
    let mut run = fixture.source(&source);
    for (command, name) in [(classify.arg(&image), "classify"), (&mut run, "run")] {
        command.args(["--schedule", "r3"]);
        let stderr = finish(&mut *command).code(0).stderr();
        assert_eq!(
            stderr
                .lines()
                .filter(|line| line.contains(" mergevit "))
                .count(),
            1
        );
        assert!(
            stderr.contains(" on 1 thread") && stderr.contains(" · schedule r3"),
            "{stderr}"
        );
        let quiet = finish(command.arg("--quiet")).code(0);
        assert_eq!(quiet.stderr(), "");
        let start = &finish(command.arg("--json")).code(0).json()[0];
        assert_eq!(
            (&start["event"], &start["command"]),
            (&"start".into(), &name.into())
        );
        assert_eq!(start["model"], text(&fixture.model()));
        assert_eq!(
            (&start["schedule"], &start["image_size"]),
            (&"r3".into(), &32.into())
        );
        assert!(
            start["hash"]
                .as_str()
                .is_some_and(|hash| hash.starts_with("xxh3-64:"))
        );
        assert_eq!(start["gpu_refusal"].is_null(), !start["device"].is_null());
    }
    // A backend that was named was not refused anything.
    let mut named = fixture.command("classify");
    named.args(["--json", "--backend", "cpu"]).arg(&image);
    assert!(finish(&mut named).code(0).json()[0]["gpu_refusal"].is_null());
}

#[test]
fn names_reach_records_exactly_and_terminals_harmlessly() {
    let fixture = Fixture::new();
    let image = std::fs::read(fixture.image("a.png", 30, 20, 1)).expect("it reads");
    let folder = fixture.path("names");
    std::fs::create_dir(&folder).expect("a folder");
    let names: [&[u8]; 3] = [
        b"a\x1b[31m\nb.png",
        "c\u{202e}d.png".as_bytes(),
        b"e\xff.png",
    ];
    for name in names {
        let path = folder.join(OsStr::from_bytes(name));
        std::fs::write(path, &image).expect("a file");
    }
    std::fs::write(folder.join("f\x1b[2J.png"), b"no image").expect("a file");
    let source = format!("file:{}", text(&folder));
    for command in [
        &mut fixture.source(&source),
        fixture.command("classify").arg(&folder),
    ] {
        let shown = finish(&mut *command);
        let shown = shown.stdout() + &shown.stderr();
        assert!(shown.contains("a\\u{1b}[31m\\nb.png"), "{shown}");
        assert!(shown.contains("c\\u{202e}d.png") && shown.contains("f\\u{1b}[2J.png"));
        assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
        let finished = finish(command.arg("--json"));
        events(&finished.json());
        let lines = finished.json();
        let file = |line: &Value| line["file"].as_str().map(ToOwned::to_owned);
        let files: Vec<String> = lines.iter().filter_map(file).collect();
        assert!(files[0].ends_with("/a\x1b[31m\nb.png") && files[1].ends_with("/c\u{202e}d.png"));
        assert!(files[2].ends_with("/e\u{fffd}.png") && files[3].ends_with("/f\x1b[2J.png"));
        let hex = lines[3]["file_hex"].as_str().expect("the exact bytes");
        assert!(hex.ends_with("2f65ff2e706e67"), "{hex}");
        assert!(lines[1]["file_hex"].is_null());
    }
    let mut source = OsString::from("file:");
    source.push(folder.join(OsStr::from_bytes(names[2])));
    let mut run = fixture.command("run");
    let finished = finish(run.arg("--json").arg("--source").arg(source)).code(0);
    let hex = finished.json()[1]["file_hex"].clone();
    assert!(
        hex.as_str()
            .is_some_and(|hex| hex.ends_with("65ff2e706e67"))
    );
    for name in ["--\u{202e}x", "--\x1b[31mx", "--\x07x"] {
        let stderr = finish(mergevit().args(["classify", name])).code(2).stderr();
        assert!(!stderr.contains(['\x1b', '\x07', '\u{202e}']), "{stderr}");
    }
}

#[test]
fn classify_takes_folders_and_standard_input() {
    let fixture = Fixture::new();
    let image = fixture.image("one.png", 30, 20, 1);
    let bytes = std::fs::read(&image).expect("it reads");
    std::fs::create_dir_all(fixture.path("folder/deep")).expect("a folder");
    std::fs::create_dir(fixture.path("empty")).expect("a folder");
    for name in ["b.png", "a.jpg", "deep/c.png", "notes.txt"] {
        fixture.write(&format!("folder/{name}"), &bytes);
    }
    let mut classify = fixture.command("classify");
    classify.arg("--json").arg(fixture.path("folder"));
    classify.args(["-", text(&fixture.path("empty"))]);
    let finished = finish_with_input(&mut classify, &bytes).fails(&["empty: no images in it"]);
    let events = events(&finished.json());
    assert_eq!(
        events,
        ["start", "frame", "frame", "frame", "error", "summary"]
    );
    let lines = finished.json();
    let files = [1, 2, 3].map(|line: usize| lines[line]["file"].clone());
    let inside = |name: &str| Value::from(text(&fixture.path(name)));
    assert_eq!(
        files,
        [inside("folder/a.jpg"), inside("folder/b.png"), "-".into()]
    );
    assert!(
        lines[1..4]
            .iter()
            .all(|line| line["top"] == lines[1]["top"])
    );
    let none = finish_with_input(fixture.command("classify").arg("-"), b"");
    none.fails(&["standard input: an empty file"]);
}

#[test]
fn labels_can_be_given_at_run_time() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 30, 20, 1);
    let labels = fixture.write("labels.txt", b"ant\nbee\ncow\ndog\nemu\n");
    let few = fixture.write("few.txt", b"ant\nbee\n");
    let source = format!("file:{}", text(&image));
    for command in [
        &mut fixture.source(&source),
        fixture.command("classify").arg(&image),
    ] {
        command.args(["--json", "--labels", text(&labels)]);
        let top = finish(&mut *command).code(0).json()[1]["top"][0].clone();
        let class = top["class"].as_u64().expect("a class") as usize;
        assert_eq!(top["label"], ["ant", "bee", "cow", "dog", "emu"][class]);
        command.args(["--labels", text(&few)]);
        finish(&mut *command).misused(&["few.txt: 2 labels, expected 5"]);
    }
}

#[test]
fn verbosity_has_flags() {
    let fixture = Fixture::new();
    let image = fixture.image("a.png", 30, 20, 1);
    let logged = |flags: &[&str], variable: Option<&str>| {
        let mut command = fixture.command("classify");
        command
            .arg(&image)
            .args(flags)
            .args(["--tune", "--backend", "cpu"]);
        match variable {
            Some(level) => command.env("RUST_LOG", level),
            None => command.env_remove("RUST_LOG"),
        };
        finish(&mut command)
            .code(0)
            .stderr()
            .contains("has nothing to tune")
    };
    assert!(logged(&[], None) && logged(&["-v"], None) && logged(&["-vvv"], None));
    assert!(!logged(&["-q"], None) && logged(&["-q"], Some("warn")));
    finish(mergevit().args(["doctor", "-q", "-v"])).misused(&["cannot be used with"]);
}

#[test]
fn the_newest_frame_of_a_pipe_wins_where_that_is_wanted() {
    const FRAMES: usize = 60;
    let fixture = Fixture::new();
    let path = fixture.write("frames", &raw_frames(PixelFormat::Grey, FRAMES));
    let mut run = fixture.source(&format!("raw:grey:{WIDTH}x{HEIGHT}:{}", text(&path)));
    // Far slower than the file is read.
    run.args(["--json", "--latest", "--fps-limit", "4"]);
    let lines = finish(&mut run).code(0).json();
    events(&lines);
    let frames: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "frame")
        .collect();
    let last = frames.last().expect("a frame");
    assert_eq!(last["sequence"], FRAMES - 1);
    let replaced = frames
        .iter()
        .map(|frame| frame["dropped"]["replaced"].as_u64());
    let replaced: u64 = replaced.map(|count| count.expect("a count")).sum();
    assert!(replaced > 0);
    assert_eq!(replaced as usize + frames.len(), FRAMES);
}
