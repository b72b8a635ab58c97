//! What can't be done is one clear error with the right exit code, and leaves nothing behind.

use std::fs;

use crate::program::{Place, short_run};

#[test]
fn a_misspelt_flag_or_command_names_the_right_one() {
    let place = Place::new();
    place.pinxit(&["train", "--dta", "photos"]).fails(2, &["--dta", "--data"]);
    place.pinxit(&["trian"]).fails(2, &["trian", "train"]);
    place.pinxit(&["train", "--size", "64by64", "--data", "x"]).fails(2, &["64by64", "64x48"]);
    place
        .pinxit(&["train", "--steps", "5", "--minutes", "5", "--data", "x"])
        .fails(2, &["--steps", "--minutes"]);
    for flag in
        ["--data=x", "--family=flow", "--size=5", "--channels=3", "--steps=5", "--minutes=5", "--batch=5"]
            .into_iter()
            .chain(["--seed=5", "--recipe=demo", "--set=train.lr=1", "--out=x"])
    {
        let (name, _) = flag.split_once('=').unwrap();
        place.pinxit(&["train", "--resume", "runs/a", flag]).fails(2, &["--resume", name, "cannot be used"]);
    }
    place.pinxit(&["sample", "runs/a"]).fails(2, &["--out"]);
    place.pinxit::<&str>(&[]).fails_without_error();
}

#[test]
fn an_unknown_family_recipe_or_setting_names_the_nearest() {
    let place = Place::new();
    let family = pinxit::families::FAMILIES[0].name;
    let misspelt = format!("{family}x");
    let train = |arguments: &[&str]| {
        let ended = place.pinxit(&[&["train", "--data", "builtin:digits"], arguments].concat());
        assert!(!place.path().join("runs").exists(), "no run is made");
        ended
    };
    train(&["--family", &misspelt]).fails(2, &[&misspelt, family]);
    place.pinxit(&["families", &misspelt]).fails(2, &[&misspelt, family]);
    train(&["--recipe", "dem"]).fails(2, &["dem", "did you mean demo?"]);
    train(&["--set", "train.stepps=5"]).fails(2, &["train.stepps", "train.steps"]);
    train(&["--set", "train.lr"]).fails(2, &["KEY=VALUE"]);
    train(&["--set", "train.lr=fast"]).fails(2, &["train.lr"]);
    fs::write(place.path().join("mine.toml"), format!("family = \"{misspelt}\"")).unwrap();
    train(&["--recipe", "mine.toml"]).fails(2, &["mine.toml", &misspelt, family]);
    fs::write(place.path().join("mine.toml"), "[train]\nlearning_rate = 1\n").unwrap();
    train(&["--recipe", "mine.toml"]).fails(2, &["mine.toml", "learning_rate"]);
}

#[test]
fn missing_pictures_are_named_and_leave_no_run() {
    let place = Place::new();
    place.pinxit(&["train"]).fails(2, &["--data"]);
    place.pinxit(&["train", "--data", "nowhere"]).fails(1, &["nowhere", "not found"]);
    place.pinxit(&["train", "--data", "builtin:digit"]).fails(2, &["builtin:digits"]);
    fs::create_dir(place.path().join("empty")).unwrap();
    place.pinxit(&["train", "--data", "empty"]).fails(1, &["empty"]);
    place.pinxit(&["data", "nowhere"]).fails(1, &["nowhere", "not found"]);
    assert!(!place.path().join("runs").exists() || place.list("runs").is_empty(), "no run is left");
}

#[test]
fn a_run_that_is_not_there_and_a_device_that_is_not_built_in() {
    let place = Place::new();
    place.pinxit(&["sample", "runs/none", "--out", "new"]).fails(1, &["runs/none", "does not exist"]);
    place.pinxit(&["train", "--resume", "runs/none"]).fails(1, &["runs/none"]);
    place.pinxit(&["train", "--data", "builtin:digits", "--device", "abacus"]).fails(1, &["abacus", "cpu"]);
    assert!(!place.path().join("runs").exists() || place.list("runs").is_empty());
}

#[test]
fn figures_out_of_range_are_named_and_leave_no_run() {
    let place = Place::new();
    place.pinxit(&["train", "--data", "builtin:digits", "--minutes", "-1"]).fails(2, &["minutes", "above 0"]);
    assert!(!place.path().join("runs").exists() || place.list("runs").is_empty(), "no run is left");
    place.pinxit(&["data", "builtin:digits", "--sheet", "sheet.jpg"]).fails(2, &["--sheet", ".png"]);
    fs::create_dir(place.path().join("mine")).unwrap();
    place
        .pinxit(&["train", "--data", "builtin:digits", "--minutes", "-1", "--out", "mine"])
        .fails(2, &["minutes"]);
    assert!(place.path().join("mine").exists(), "a folder that the user made is not removed");
}

#[test]
fn a_folder_of_the_same_name_does_not_hide_a_run_and_sampling_is_checked_first() {
    let place = Place::new();
    short_run(&place, "demo");
    fs::create_dir(place.path().join("demo")).unwrap();
    let sample = |arguments: &[&str]| place.pinxit(&[&["sample", "demo"], arguments].concat());
    let painted = sample(&["-n", "2", "--grid", "new/sheet.png"]);
    assert_eq!(painted.code(), Some(0), "{}", painted.err());
    assert!(place.path().join("new/sheet.png").is_file(), "its folder is made");
    sample(&["--grid", "sheet.jpg"]).fails(2, &["--grid", ".png"]);
    sample(&["-n", "2", "--seed", "18446744073709551615", "--out", "x"]).fails(2, &["--seed"]);
    sample(&["-n", "4000000000", "--out", "x"]).fails(2, &["--count"]);
    sample(&["-n", "1", "--guidance", "-3", "--out", "x"]).fails(2, &["guidance"]);
    assert!(!place.path().join("x").exists());
}

impl crate::program::Ended {
    /// The overview instead of an error, and code 2.
    fn fails_without_error(&self) {
        assert_eq!(self.code(), Some(2));
        assert!(self.err().contains("Usage: pinxit"), "{}", self.err());
    }
}
