//! Latents as files, and pictures that are completed.

use pinxit::data::ImageShape;
use pinxit::image_io::read_picture;
use pinxit::recipe::Fit;

use crate::program::Place;

/// A run of `family` of five steps on digits.
fn trained(place: &Place, family: &str, set: &[&str]) {
    let mut line = vec!["train", "--data", "builtin:digits", "--steps", "5", "--batch", "4", "--out", "run"];
    line.extend(["--quiet", "--family", family]);
    for setting in set {
        line.extend(["--set", setting]);
    }
    let ended = place.pinxit(&line);
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
}

#[test]
fn pictures_become_a_file_of_latents_and_pictures_again() {
    for (family, shape) in [("vae", "8 numbers"), ("vqvae", "4 x 4 numbers")] {
        let place = Place::new();
        let set: &[&str] = if family == "vae" { &["model.latents=8"] } else { &["model.width=16"] };
        trained(&place, family, set);
        for file in ["a.npy", "a.safetensors"] {
            let ended = place.pinxit(&["encode", "run", "--count", "70", "--out", file, "--quiet"]);
            assert_eq!(ended.code(), Some(0), "{}", ended.err());
            assert!(ended.out().contains("70 pictures") && ended.out().contains(shape), "{}", ended.out());
            let again = place.pinxit(&["encode", "run", "--out", file, "--quiet"]);
            assert!(again.code() != Some(0) && again.err().contains("not overwritten"), "{}", again.err());
        }
        // A NumPy file holds no classes.
        let ended = place.pinxit(&["decode", "run", "a.npy", "--out", "npy", "--quiet"]);
        assert_eq!(ended.code(), Some(2), "{}", ended.err());
        assert!(ended.err().contains("--class"), "{}", ended.err());
        let line = ["decode", "run", "a.safetensors", "--out", "new", "--grid", "new.png", "--quiet"];
        let ended = place.pinxit(&line);
        assert_eq!(ended.code(), Some(0), "{}", ended.err());
        assert_eq!(place.list("new").len(), 70);
        assert!(place.path().join("new.png").exists());
        let ended = place.pinxit(&["decode", "run", "run/recipe.toml", "--out", "other"]);
        assert!(ended.err().contains(".npy or .safetensors"), "{}", ended.err());
    }
}

#[test]
fn a_picture_is_completed_by_a_family_that_paints_pixel_by_pixel() {
    let place = Place::new();
    trained(&place, "pixelcnn", &["model.width=8", "model.layers=1", "model.levels=17"]);
    let ended = place.pinxit(&["sample", "run", "--count", "1", "--class", "3", "--out", "half", "--quiet"]);
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
    let half = "half/3/000000.png";
    let whole = ["sample", "run", "--count", "3", "--class", "3", "--complete", half];
    let ended = place.pinxit(&[&whole[..], &["--from-row", "4", "--out", "whole", "--quiet"]].concat());
    assert_eq!(ended.code(), Some(0), "{}", ended.err());
    assert_eq!(place.list("whole/3").len(), 3);
    // Seed 0 goes on as it did.
    let shape = ImageShape { channels: 1, height: 8, width: 8 };
    let read = |path: &str| read_picture(&place.path().join(path), shape, Fit::Crop, 255).unwrap();
    let (half, whole_0, whole_1) = (read(half), read("whole/3/000000.png"), read("whole/3/000001.png"));
    assert_eq!(half, whole_0);
    assert_eq!(half[..32], whole_1[..32]);
    let ended = place.pinxit(&[&whole[..], &["--from-row", "9", "--out", "more", "--quiet"]].concat());
    assert!(ended.code() == Some(2) && ended.err().contains("--from-row 9"), "{}", ended.err());
    let ended = place.pinxit(&[&whole[..], &["--out", "more"]].concat());
    assert!(ended.code() == Some(2) && ended.err().contains("--from-row"), "{}", ended.err());
}
