//! A tiny pack, small frames, and the program under test.
#![allow(dead_code, reason = "each test program uses a part of it")]

use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::{ModelConfig, PackWriter, testing};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Frames of the sources under test.
pub(crate) const WIDTH: usize = 37;
pub(crate) const HEIGHT: usize = 22;

/// A folder with a tiny pack, `m.mvit`: two layers, 17 tokens, schedules `r0` and `r3`.
pub(crate) struct Fixture {
    folder: TempDir,
    /// How many the engine of a command has.
    pub(crate) threads: usize,
}

/// The tiny model.
pub(crate) fn config() -> ModelConfig {
    testing::model(32, 8, 1, 2, 5)
}

/// A random pack of this configuration.
pub(crate) fn writer(config: &ModelConfig) -> PackWriter<'static> {
    testing::writer(config, &[0, 3], 7)
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::of(&config())
    }

    /// A folder with a random pack of this configuration.
    pub(crate) fn of(config: &ModelConfig) -> Self {
        Self::with(&writer(config))
    }

    /// A folder with the pack that this writes.
    pub(crate) fn with(writer: &PackWriter<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fixture = Self { folder, threads: 1 };
        let written = writer.finish(&fixture.path("m.mvit"));
        written.expect("the pack is written");
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.path("m.mvit")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file is written");
        path
    }

    /// Writes an image of pixels that depend on `seed`.
    pub(crate) fn image(&self, name: &str, width: u32, height: u32, seed: u64) -> PathBuf {
        let pixels = testing::Random(seed).bytes((3 * width * height) as usize);
        let image = image::RgbImage::from_raw(width, height, pixels).expect("the bytes fit");
        let path = self.path(name);
        image.save(&path).expect("an image is written");
        path
    }

    /// `mergevit COMMAND --model m.mvit`.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut program = mergevit();
        program.arg(command).arg("--model").arg(self.model());
        program.arg("--threads").arg(self.threads.to_string());
        program
    }

    /// `mergevit run` on a source.
    pub(crate) fn source(&self, source: &str) -> Command {
        let mut program = self.command("run");
        program.args(["--source", source]);
        program
    }
}

pub(crate) fn mergevit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mergevit"));
    command.stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    Finished(command.output().expect("the program starts"))
}

/// Starts with pipes for standard output and standard error.
pub(crate) fn start(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Runs with `input` on standard input.
pub(crate) fn finish_with_input(command: &mut Command, input: &[u8]) -> Finished {
    let mut child = start(command.stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may end before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    Finished(output)
}

/// A program that has ended.
pub(crate) struct Finished(Output);

impl Finished {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("the output is text")
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("the errors are text")
    }

    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        let (found, stderr) = (self.0.status, self.stderr());
        assert_eq!(found.code(), Some(code), "{found}: {stderr}");
        self
    }

    /// Fails with exit code 1, naming each of `parts` on standard error.
    #[track_caller]
    pub(crate) fn fails(self, parts: &[&str]) -> Self {
        self.code_naming(1, parts)
    }

    /// Refuses its arguments with exit code 2, naming each of `parts` on standard error.
    #[track_caller]
    pub(crate) fn misused(self, parts: &[&str]) -> Self {
        self.code_naming(2, parts)
    }

    #[track_caller]
    fn code_naming(self, code: i32, parts: &[&str]) -> Self {
        let this = self.code(code);
        let stderr = this.stderr();
        for part in parts {
            assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
        }
        this
    }

    /// Every line of standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("each line is JSON");
        self.stdout().lines().map(parse).collect()
    }
}

/// `count` packed frames of random samples.
pub(crate) fn raw_frames(format: PixelFormat, count: usize) -> Vec<u8> {
    testing::Random(count as u64).bytes(count * format.frame_bytes(WIDTH, HEIGHT))
}

/// A Y4M stream of `count` frames.
pub(crate) fn y4m(colour: &str, format: PixelFormat, count: usize) -> Vec<u8> {
    let header = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 {colour}\n");
    let mut stream = header.into_bytes();
    let bytes = format.frame_bytes(WIDTH, HEIGHT);
    for (index, frame) in raw_frames(format, count).chunks_exact(bytes).enumerate() {
        let parameters: &[u8] = if index % 2 == 0 {
            b"FRAME\n"
        } else {
            b"FRAME Ip\n"
        };
        stream.extend_from_slice(parameters);
        stream.extend_from_slice(frame);
    }
    stream
}

/// A path as the command line takes it.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
