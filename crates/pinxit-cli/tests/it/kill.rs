//! Runs that are killed, cut short of disk or damaged: nothing is lost, everything is said.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{Ended, Place};

const STEPS: u32 = 40;
const SETTINGS: &[&str] = &[
    "train",
    "--data",
    "builtin:digits",
    "--steps",
    "40",
    "--batch",
    "8",
    "--seed",
    "3",
    "--quiet",
    "--set",
    "train.checkpoint_every=5",
    "--set",
    "train.sample_every=20",
    "--set",
    "sample.steps=2",
    "--set",
    "model.width=16",
];

fn start(place: &Place, out: &str) -> Child {
    let mut arguments = SETTINGS.to_vec();
    arguments.extend(["--out", out]);
    place.command(&arguments).spawn().unwrap()
}

fn finish(child: Child) -> Ended {
    Ended(child.wait_with_output().unwrap())
}

fn resume(place: &Place, out: &str) -> Ended {
    place.pinxit(&["train", "--quiet", "--resume", out])
}

fn last_checkpoint(place: &Place, out: &str) -> PathBuf {
    place.path().join(out).join(format!("checkpoints/{STEPS:08}.safetensors"))
}

/// Kills a run (SIGKILL on Unix) at `kills` moments spread over its whole life and resumes it each time.
fn kill_and_resume(kills: u32) {
    let place = &Place::new();
    let folder = place.path();
    let begin = Instant::now();
    let output = finish(start(place, "whole"));
    assert_eq!(output.code(), Some(0), "{}", output.err());
    let life = begin.elapsed();
    let expected = fs::read(last_checkpoint(place, "whole")).unwrap();
    let mut died_before = [0; 3]; // the folder was made, the first checkpoint, the end
    for kill in 0..kills {
        let out = format!("killed{kill}");
        let mut child = start(place, &out);
        // A golden-ratio sequence covers the run's life evenly and in no rhythm with its steps.
        sleep(life.mul_f64((f64::from(kill) * 0.618_033_988_749).fract()));
        child.kill().unwrap();
        child.wait().unwrap();
        let was_made = folder.join(&out).join("recipe.toml").exists();
        let has_checkpoint =
            fs::read_dir(folder.join(&out).join("checkpoints")).is_ok_and(|mut c| c.next().is_some());
        died_before[usize::from(was_made) + usize::from(has_checkpoint)] += 1;
        let output = if was_made { resume(place, &out) } else { finish(start(place, &out)) };
        assert_eq!(output.code(), Some(0), "kill {kill}: {}", output.err());
        let weights = fs::read(last_checkpoint(place, &out)).unwrap();
        assert!(weights == expected, "kill {kill}: other weights than those of the run never killed");
        fs::remove_dir_all(folder.join(&out)).unwrap();
    }
    println!("{kills} kills over {life:.1?}: {died_before:?} before the folder, before a checkpoint, later");
}

#[test]
fn a_run_killed_now_and_then_ends_in_the_same_weights() {
    kill_and_resume(4);
}

#[test]
#[ignore = "several minutes; run by `just slow`"]
fn a_run_killed_at_fifty_moments_ends_in_the_same_weights() {
    kill_and_resume(50);
}

#[test]
fn a_second_process_on_the_same_run_is_refused() {
    let place = &Place::new();
    let folder = place.path();
    let mut child = start(place, "busy");
    while !folder.join("busy/recipe.toml").exists() {
        sleep(Duration::from_millis(5));
    }
    let mut refused = resume(place, "busy");
    // The first process takes the lock right after the folder appears; it may lose that race once.
    if refused.code() == Some(0) {
        assert!(!child.wait().unwrap().success());
        return;
    }
    assert!(refused.err().contains("another process"), "{}", refused.err());
    child.kill().unwrap();
    child.wait().unwrap();
    refused = resume(place, "busy");
    assert_eq!(refused.code(), Some(0), "{}", refused.err());
}

#[test]
fn a_damaged_checkpoint_is_one_error_that_says_which_is_whole() {
    let place = &Place::new();
    assert!(start(place, "run").wait().unwrap().success());
    let path = last_checkpoint(place, "run");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    for command in
        [&["train", "--resume", "run"][..], &["sample", "run", "--count", "1", "--out", "pictures"]]
    {
        let output = place.pinxit(command);
        assert_eq!(output.code(), Some(1));
        let message = output.err();
        assert!(
            message.contains("00000040.safetensors") && message.contains("step 35 is whole"),
            "{message}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(resume(place, "run").code(), Some(0));
    assert!(fs::read(&path).unwrap() == whole);
}

/// A limit on the size of files fails writes in their middle, as a full disk does.
#[cfg(unix)]
#[test]
fn a_disk_that_refuses_is_one_error_and_loses_nothing() {
    let place = &Place::new();
    let folder = place.path();
    let command = format!(
        "trap '' XFSZ; ulimit -f 40; exec '{}' {} --out run",
        env!("CARGO_BIN_EXE_pinxit"),
        SETTINGS.join(" ")
    );
    let output = Command::new("sh").args(["-c", &command]).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("checkpoints") && message.contains("File too large"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(fs::read_dir(folder.join("run/checkpoints")).unwrap().count(), 0, "no half file stays");
    let output = resume(place, "run");
    assert_eq!(output.code(), Some(0), "with room again it goes on: {}", output.err());
}
