//! From pictures to a run to new pictures.

use std::fs;
use std::process::{Command, Stdio};

use crate::program::{Place, short_run};

#[test]
fn a_run_is_trained_listed_sampled_and_never_overwritten() {
    let place = Place::new();
    let report = short_run(&place, "first").json();
    assert_eq!(report["outcome"], "finished");
    assert_eq!(report["steps"], 3);
    for file in ["recipe.toml", "metrics.jsonl", "report.html", "gallery.png"] {
        assert!(place.path().join("runs/first").join(file).is_file(), "{file}");
    }
    let page = fs::read_to_string(place.path().join("runs/first/report.html")).unwrap();
    assert!(page.contains("nearest real picture"));

    let runs = place.pinxit(&["runs", "--json"]).json();
    assert_eq!((&runs[0]["state"], &runs[0]["step"]), (&"finished".into(), &3.into()));

    let before = fs::read(place.path().join("runs/first/recipe.toml")).unwrap();
    let again = ["train", "--data", "builtin:digits", "--steps", "2", "--out", "runs/first"];
    place.pinxit(&again).fails(2, &["runs/first", "--resume"]);
    assert_eq!(fs::read(place.path().join("runs/first/recipe.toml")).unwrap(), before);

    samples(&place);
}

/// Seeds name the files, classes the folders, and the picture of a seed is the same in any company.
fn samples(place: &Place) {
    let report =
        place.pinxit(&["sample", "first", "-n", "3", "--class", "7", "--out", "new", "--json"]).json();
    assert_eq!(report["pictures"].as_array().unwrap().len(), 3);
    assert_eq!(place.list("new/7"), ["000000.png", "000001.png", "000002.png"]);
    let alone = [
        "sample",
        "runs/first",
        "-n",
        "1",
        "--class",
        "7",
        "--seed",
        "1",
        "--threads",
        "1",
        "--out",
        "alone",
    ];
    assert_eq!(place.pinxit(&alone).code(), Some(0));
    let read = |file: &str| fs::read(place.path().join(file)).unwrap();
    assert!(read("new/7/000001.png") == read("alone/7/000001.png"));

    let twice = place.pinxit(&["sample", "first", "-n", "1", "--class", "7", "--seed", "2", "--out", "new"]);
    twice.fails(2, &["000002.png", "not overwritten"]);
    let sheet = place.pinxit(&["sample", "first", "-n", "4", "--grid", "sheet.png"]);
    assert_eq!(sheet.code(), Some(0), "{}", sheet.err());
    assert!(read("sheet.png").starts_with(b"\x89PNG"));

    place.pinxit(&["sample", "first", "--class", "cat", "--out", "x"]).fails(2, &["cat"]);
    place
        .pinxit(&["sample", "first", "--set", "sample.brush=3", "--out", "x"])
        .fails(2, &["brush", "does not apply"]);
    place
        .pinxit(&["sample", "first", "--set", "train.lr=3", "--out", "x"])
        .fails(2, &["train.lr", "sample."]);
    place.pinxit(&["sample", "first", "--checkpoint", "9", "--out", "x"]).fails(1, &["step 9"]);
    assert!(!place.path().join("x").exists());
}

#[test]
fn quiet_says_nothing_but_the_result() {
    let place = Place::new();
    short_run(&place, "a");
    let ended = place.pinxit(&["sample", "a", "-n", "2", "--quiet", "--out", "new"]);
    assert_eq!((ended.code(), ended.err().as_str()), (Some(0), ""));
    assert!(ended.out().contains("2 pictures"), "{}", ended.out());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pinxit"))
        .args(["families"])
        .current_dir(place.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Ctrl-C (here: the termination signal, which is served alike) saves, says how to go on and
/// leaves with 130; the resumed run ends in the same weights as one that was left alone.
#[cfg(unix)]
#[test]
fn a_stopped_run_is_saved_and_resumes_to_the_bit() {
    let place = Place::new();
    let train = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinxit"));
        command
            .args(["train", "--data", "builtin:digits", "--steps", "40", "--batch", "8"])
            .args([
                "--set",
                "sample.steps=2",
                "--set",
                "train.checkpoint_every=7",
                "--set",
                "train.log_every=1",
            ])
            .args(["--quiet", "--out", out])
            .current_dir(place.path())
            .env("PINXIT_CACHE", place.path().join("cache"));
        command
    };
    assert!(train("whole").status().unwrap().success());

    let child = train("stopped").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = place.path().join("stopped/metrics.jsonl");
    while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("pinxit train --resume stopped"), "{told}");

    let resumed = place.pinxit(&["train", "--resume", "stopped", "--json"]).json();
    assert_eq!(resumed["outcome"], "finished");
    let weights =
        |run: &str| fs::read(place.path().join(run).join("checkpoints/00000040.safetensors")).unwrap();
    assert!(weights("whole") == weights("stopped"));
}
