//! What reports, reports as JSON too.

use pinxit::families::FAMILIES;
use pinxit::recipe::{BUILTIN_RECIPES, Recipe, TrainRecipe};

use crate::program::Place;

#[test]
fn families_and_their_settings() {
    let place = Place::new();
    let rows = place.pinxit(&["families", "--json"]).json();
    assert_eq!(rows.as_array().unwrap().len(), FAMILIES.len());
    for family in FAMILIES {
        let one = place.pinxit(&["families", family.name, "--json"]).json();
        assert_eq!(one["paper"], family.paper);
        let tables = one["settings"].as_array().unwrap();
        let names: Vec<&str> = tables.iter().map(|table| table["table"].as_str().unwrap()).collect();
        assert_eq!(names, ["data", "train", "model", "sample"]);
        let train = tables[1]["settings"].as_array().unwrap();
        assert_eq!(train.len(), TrainRecipe::KNOBS.len());
        let text = place.pinxit(&["families", family.name]).out();
        for knob in family.model_knobs.iter().chain(family.sample_knobs) {
            assert!(text.contains(&format!(".{}", knob.name)), "{}: {}", family.name, knob.name);
        }
    }
}

#[test]
fn recipes_are_listed_and_can_be_copied() {
    let place = Place::new();
    let rows = place.pinxit(&["recipes", "--json"]).json();
    assert_eq!(rows.as_array().unwrap().len(), BUILTIN_RECIPES.len());
    for recipe in BUILTIN_RECIPES {
        let shown = place.pinxit(&["recipes", recipe.name]);
        assert_eq!(shown.code(), Some(0));
        assert_eq!(
            Recipe::from_toml(&shown.out(), "shown").unwrap(),
            pinxit::recipe::load(recipe.name).unwrap()
        );
    }
}

#[test]
fn data_is_counted_and_drawn_on_a_sheet_that_is_not_overwritten() {
    let place = Place::new();
    let report = place.pinxit(&["data", "builtin:digits", "--sheet", "sheet.png", "--json"]).json();
    assert_eq!(report["usable"], 1797);
    assert_eq!(report["classes"].as_array().unwrap().len(), 10);
    let sheet = std::fs::read(place.path().join("sheet.png")).unwrap();
    assert!(sheet.starts_with(b"\x89PNG"));
    place
        .pinxit(&["data", "builtin:digits", "--sheet", "sheet.png"])
        .fails(2, &["sheet.png", "not overwritten"]);
    assert_eq!(std::fs::read(place.path().join("sheet.png")).unwrap(), sheet);
    let text = place.pinxit(&["data", "builtin:digits", "--size", "12x16"]).out();
    assert!(text.contains("1,797") && text.contains("12x16 grey"), "{text}");
}

#[test]
fn the_doctor_tells_of_machine_devices_and_folders() {
    let place = Place::new();
    let report = place.pinxit(&["doctor", "--json"]).json();
    assert!(report["machine"]["cores"].as_u64().unwrap() >= 1);
    assert!(report["machine"]["memory"].as_u64().unwrap() > 1 << 20);
    assert_eq!(report["devices"][0]["name"], "cpu");
    assert_eq!(report["folders"][0]["writable"], true);
    let text = place.pinxit(&["doctor"]).out();
    assert!(text.contains("cpu") && text.contains("memory"), "{text}");
}

#[test]
fn the_bench_measures_training_and_painting() {
    let place = Place::new();
    let small = ["bench", "--family", "flow", "--set", "model.width=16", "--set", "train.batch=4", "--quiet"];
    let report = place.pinxit(&[&small[..], &["--json", "--threads", "1"]].concat()).json();
    assert_eq!(report["machine"]["threads"], 1);
    assert!(report["peak_multiply_adds"].as_f64().unwrap() > 1e8);
    let row = &report["measured"][0];
    assert_eq!((row["family"].as_str(), row["batch"].as_u64()), (Some("flow"), Some(4)));
    assert!(row["step"].as_f64().unwrap() > 0.0 && row["painting"]["per_second"].as_f64().unwrap() > 0.0);
    let text = place.pinxit(&small).out();
    assert!(text.contains("flow") && text.contains("steps a second"), "{text}");
    place.pinxit(&["bench", "runs/none"]).fails(1, &["runs/none"]);
    place.pinxit(&["bench", "--family", "flow", "--data", "nowhere", "--quiet"]).fails(1, &["nowhere"]);
}

#[test]
fn a_folder_without_runs_is_no_error() {
    let place = Place::new();
    assert_eq!(place.pinxit(&["runs", "--json"]).json(), serde_json::json!([]));
    assert!(place.pinxit(&["runs"]).out().contains("pinxit demo"));
}
