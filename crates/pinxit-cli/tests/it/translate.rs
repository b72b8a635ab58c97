//! `pinxit translate`.

use std::path::Path;

use pinxit::data::ImageShape;
use pinxit::image_io::{Overwrite, Picture, save_png};

use crate::program::Place;

/// A run of three steps on digits.
fn run(place: &Place, name: &str, settings: &[&str]) {
    let line = [
        "train",
        "--data",
        "builtin:digits",
        "--steps",
        "3",
        "--set",
        "model.width=8",
        "--quiet",
        "--out",
        name,
    ];
    let ended = place.pinxit(&[&line, settings].concat());
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
}

/// One that makes pictures from blurred ones.
fn blur_run(place: &Place) {
    run(place, "runs/sharp", &["--family", "pix2pix", "--pair", "blur"]);
}

fn picture(path: &Path, channels: usize, height: usize, width: usize) {
    let shape = ImageShape { channels, height, width };
    let pixels = (0..shape.len()).map(|i| (i * 37 % 256) as u8).collect();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    save_png(path, &Picture { shape, pixels }, &[], Overwrite::Refuse).unwrap();
}

#[test]
fn files_folders_and_patterns_of_any_size_become_files_like_them() {
    let place = Place::new();
    blur_run(&place);
    picture(&place.path().join("one.png"), 4, 30, 17);
    picture(&place.path().join("more/deep/two.png"), 1, 8, 8);
    picture(&place.path().join("scans/a1.png"), 3, 5, 40);
    picture(&place.path().join("scans/b1.png"), 3, 8, 8);
    let ended = place.pinxit(&[
        "translate",
        "runs/sharp",
        "one.png",
        "more",
        "scans/a*.png",
        "--out",
        "new",
        "--json",
    ]);
    let report = ended.json();
    assert_eq!(report["pictures"].as_array().unwrap().len(), 3);
    assert_eq!(place.list("new"), ["a1.png", "deep", "one.png"]);
    let bytes = std::fs::read(place.path().join("new/one.png")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("Pinxit") && text.contains("generative model") && text.contains("from one.png"));
    // Width, height, depth, colour type (grey + alpha): PNG specification, 11.2.2.
    assert_eq!(&bytes[16..26], &[0, 0, 0, 17, 0, 0, 0, 30, 8, 4]);

    let again = place.pinxit(&["translate", "runs/sharp", "one.png", "--out", "new"]);
    again.fails(2, &["new/one.png", "not overwritten"]);
}

#[test]
fn what_can_not_be_translated_says_why() {
    let place = Place::new();
    blur_run(&place);
    picture(&place.path().join("a/1.png"), 1, 8, 8);
    picture(&place.path().join("b/1.png"), 1, 8, 8);
    let translate = |arguments: &[&str]| {
        place.pinxit(&[&["translate", "runs/sharp", "--out", "new"], arguments].concat())
    };
    translate(&["nowhere"]).fails(1, &["nowhere", "not found"]);
    translate(&["x*.png"]).fails(1, &["x*.png", "pattern"]);
    translate(&["a", "b"]).fails(2, &["new/1.png", "folders of their own"]);
    translate(&["a", "--direction", "backward"]).fails(2, &["one way"]);
    translate(&["a", "--tile", "64"]).fails(2, &["--tile 64", "8x8"]);
    translate(&["a", "--overlap", "7"]).fails(2, &["--overlap 7"]);
    translate(&["a", "--class", "7"]).fails(2, &["no classes"]);

    // A broken file is told and the others are done.
    std::fs::write(place.path().join("a/0.png"), b"broken").unwrap();
    let ended = translate(&["a"]);
    assert_eq!(ended.code(), Some(2), "{}", ended.err());
    assert!(ended.err().contains("0.png"), "{}", ended.err());
    assert_eq!(place.list("new"), ["1.png"]);

    let seeds = place.pinxit(&["sample", "runs/sharp", "--out", "other"]);
    seeds.fails(1, &["pix2pix run makes pictures from pictures", "pinxit translate"]);
}

#[test]
fn a_diffusion_run_makes_pictures_from_pictures_or_changes_them() {
    let place = Place::new();
    picture(&place.path().join("one.png"), 1, 9, 13);
    for (name, settings, grows) in
        [("runs/blurred", ["--pair", "blur"], 1), ("runs/small", ["--set", "model.scale=2"], 2)]
    {
        run(&place, name, &settings);
        let translate = |arguments: &[&str]| {
            place.pinxit(&[&["translate", name, "--steps", "2", "--quiet"], arguments].concat())
        };
        let made = place.path().join(name).join("made");
        let made = made.to_str().unwrap();
        assert_eq!(translate(&["one.png", "--out", made]).code(), Some(0));
        let bytes = std::fs::read(format!("{made}/one.png")).unwrap();
        assert_eq!(bytes[16..24], [0, 0, 0, 13 * grows, 0, 0, 0, 9 * grows]);
        let report = translate(&["--held-out", "--count", "3", "--json"]).json();
        assert_eq!(report["scores"][0]["name"], "model");
        translate(&["one.png", "--out", "new", "--strength", "0.5"]).fails(2, &["sample.strength"]);
        translate(&["one.png", "--out", "new", "--extend", "3"]).fails(1, &["flow", "whole pictures"]);
        place.pinxit(&["sample", name, "--out", "new"]).fails(1, &["pinxit translate"]);
    }
    run(&place, "runs/digits", &[]);
    // Each picture is completed as one of its own class.
    let report =
        place.pinxit(&["translate", "runs/digits", "--held-out", "--count", "3", "--steps", "2", "--json"]);
    assert_eq!(report.json()["scores"].as_array().unwrap().len(), 2);
}

#[test]
fn families_of_pictures_to_pictures_ask_for_what_goes_in() {
    let place = Place::new();
    let train = |arguments: &[&str]| {
        place.pinxit(&[&["train", "--data", "builtin:digits", "--steps", "1", "--quiet"], arguments].concat())
    };
    train(&["--family", "pix2pix"]).fails(2, &["--inputs", "--pair"]);
    train(&["--family", "cyclegan"]).fails(2, &["--inputs"]);
    train(&["--family", "dcgan", "--pair", "blur"]).fails(2, &["data.pair", "--family"]);
    train(&["--family", "pix2pix", "--pair", "smear"]).fails(2, &["data.pair", "smear"]);
    train(&["--family", "pix2pix", "--inputs", "builtin:digits", "--pair", "unpaired"]).fails(2, &["pairs"]);
}
