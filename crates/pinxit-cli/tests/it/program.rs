//! Runs the program in a folder of its own.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to work in, removed at the end.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `pinxit` with these arguments, without a terminal.
    pub(crate) fn pinxit<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        Ended(self.command(arguments).output().unwrap())
    }

    /// The command that [`pinxit`](Self::pinxit) runs.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinxit"));
        command.args(arguments).current_dir(self.path()).env("PINXIT_CACHE", self.path().join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Names of what lies in a folder below this one.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// How the program ended.
pub(crate) struct Ended(pub(crate) Output);

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code(), Some(0), "{}", self.err());
        serde_json::from_str(&self.out()).unwrap()
    }

    /// Asserts that it failed with `code` and one error that holds every one of `words`.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        let err = self.err();
        assert_eq!(self.code(), Some(code), "{err}");
        assert_eq!(err.matches("error:").count(), 1, "{err}");
        assert!(!err.contains("panicked"), "{err}");
        for word in words {
            assert!(err.contains(word), "{word:?} is missing in: {err}");
        }
    }
}

/// A run of three steps on the digits in `runs/NAME`.
pub(crate) fn short_run(place: &Place, name: &str) -> Ended {
    let out = format!("runs/{name}");
    let ended = place.pinxit(&[
        "train",
        "--data",
        "builtin:digits",
        "--steps",
        "3",
        "--batch",
        "8",
        "--seed",
        "1",
        "--set",
        "sample.steps=2",
        "--set",
        "train.log_every=1",
        "--out",
        &out,
        "--json",
    ]);
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
    ended
}
