//! `pinxit score`, `pinxit audit` and `pinxit augment` from the outside.

use std::fs;
use std::net::TcpListener;

use crate::program::{Ended, Place, short_run};

#[test]
fn scores_say_what_they_took_and_compare_only_with_their_like() {
    let place = Place::new();
    short_run(&place, "first");
    let score = |more: &[&str]| {
        let common = ["score", "first", "-n", "40", "--own", "--learn", "3", "--json"];
        place.pinxit(&[&common[..], more].concat())
    };
    let card = score(&["--out", "a.json"]).json();
    let names: Vec<&str> =
        card["scores"].as_array().unwrap().iter().map(|score| score["name"].as_str().unwrap()).collect();
    assert!(names[0].starts_with("FD[own:classes:sha256="), "own features never make an FID: {names:?}");
    assert!(!names.iter().any(|name| name.contains("FID") || name.contains("KID")), "{names:?}");
    for name in ["precision", "recall", "density", "coverage", "detectable", "spread", "diversity"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let record = &card["record"];
    assert_eq!((&record["n_generated"], &record["real"]), (&40.into(), &"builtin:digits, test split".into()));
    assert!(record["n_real"].as_u64().unwrap() > 50 && record["sha256"].as_str().unwrap().len() == 64);

    assert_eq!(score(&[]).json(), card, "the same pictures have the same scores");
    let again = score(&["--out", "a.json"]);
    again.fails(2, &["a.json", "not overwritten"]);
    score(&["--seed", "500", "--out", "b.json"]).json();
    let both = place.pinxit(&["score", "--compare", "a.json", "b.json"]);
    assert_eq!(both.code(), Some(0), "{}", both.err());
    score(&["--split", "validation", "--out", "c.json"]).json();
    place.pinxit(&["score", "--compare", "a.json", "c.json"]).fails(2, &["real_sha256", "validation split"]);
    fs::write(place.path().join("none.json"), "{}").unwrap();
    place.pinxit(&["score", "--compare", "a.json", "none.json"]).fails(1, &["none.json", "no card"]);
}

#[test]
fn what_cannot_be_scored_is_said() {
    let place = Place::new();
    place.pinxit(&["score"]).fails(2, &["--against"]);
    place.pinxit(&["score", "nothing"]).fails(1, &["nothing"]);
    fs::create_dir(place.path().join("empty")).unwrap();
    place
        .pinxit(&["score", "empty", "--against", "builtin:digits", "--own"])
        .fails(1, &["empty", "no pictures"]);
    fs::write(place.path().join("weights.pth"), b"no weights").unwrap();
    let weights = ["score", "empty", "--against", "builtin:digits", "--inception", "weights.pth"];
    fs::write(place.path().join("empty/a.png"), b"no picture").unwrap();
    place.pinxit(&weights).fails(1, &["weights.pth", "neither"]);
    place
        .pinxit(&["score", "empty", "--against", "builtin:digits", "--own", "--learn", "1"])
        .fails(1, &["a.png"]);
}

/// Weights are looked for on this machine first; what the hub answers is tested beside `hub.rs`.
#[test]
fn weights_are_fetched_only_when_asked_for() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let score = |more: &[&str]| {
        let arguments = ["score", "builtin:digits", "--against", "builtin:digits"];
        let mut command = place.command(&[&arguments[..], more].concat());
        command.env("HF_ENDPOINT", format!("http://{free}/")).env("HF_HOME", place.path().join("hf"));
        Ended(command.env("TORCH_HOME", place.path().join("torch")).output().unwrap())
    };
    score(&["--download"]).fails(1, &["toshas/torch-fidelity", "HF_ENDPOINT", "--inception"]);
    score(&["--download=someone/else/weights.pth"]).fails(1, &["/someone/else/resolve/main/weights.pth"]);
    score(&["--download=weights.pth"]).fails(2, &["OWNER/REPOSITORY/FILE"]);
    score(&["--download", "--own"]).fails(2, &["cannot be used with"]);
    let kept = place.path().join("hf/hub/models--toshas--torch-fidelity");
    fs::create_dir_all(kept.join("refs")).unwrap();
    fs::create_dir_all(kept.join("snapshots/abc")).unwrap();
    fs::write(kept.join("refs/main"), "abc").unwrap();
    let file = kept.join("snapshots/abc/weights-inception-2015-12-05-6726825d.pth");
    fs::write(&file, "damaged").unwrap();
    score(&["--download"]).fails(1, &[&file.display().to_string(), "remove it"]);
    score(&[]).fails(1, &[&file.display().to_string(), "neither"]);
}

#[test]
fn an_audit_of_an_untrained_model_finds_no_copies() {
    let place = Place::new();
    short_run(&place, "first");
    let audit = ["audit", "first", "-n", "30", "--max-copies", "0", "--own", "--learn", "2"];
    let report = place.pinxit(&[&audit[..], &["--json"]].concat()).json();
    assert_eq!(report["copies"].as_array().unwrap().len(), 0);
    assert_eq!((&report["samples"], report["train"].as_u64() > Some(1000)), (&30.into(), true));
    assert!(place.path().join("runs/first/audit.png").is_file());
    let told = place.pinxit(&audit);
    assert!(told.out().contains("0 of 30 samples copy"), "{}", told.out());
}

#[test]
fn augmentation_is_labelled_and_answered() {
    let place = Place::new();
    short_run(&place, "first");
    let augment = ["augment", "first", "--per-class", "2", "--out", "more", "--steps", "1"];
    let report = place.pinxit(&[&augment[..], &["--json"]].concat()).json();
    assert_eq!(report["pictures"], 20);
    assert_eq!(place.list("more").len(), 10);
    assert_eq!(place.list("more/7").len(), 2);
    assert!(report["verdict"].as_str().unwrap().contains("use it"));
    assert_eq!(report["proof"]["accuracies"].as_array().unwrap().len(), 4);
    place.pinxit(&augment).fails(2, &["more", "not", "overwritten"]);
}
