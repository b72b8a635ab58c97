//! The built-in sets as a user of the library meets them.
#![allow(clippy::unwrap_used, clippy::panic)]

use pinxit::data::builtin::sprites::{Sprite, Variant};
use pinxit::data::builtin::{BUILTINS, open};
use pinxit::data::{self, Dataset, ImageShape, Split, split};
use pinxit::metrics::knn::{Classifier, Rows};
use pinxit::recipe::{DataRecipe, Pair};
use pinxit::watch::Unwatched;
use sha2::{Digest, Sha256};

fn read(data: &dyn Dataset, index: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; data.shape().len()];
    data.read(index, &mut out);
    out
}

fn recipe(size: Option<[usize; 2]>, channels: Option<usize>) -> DataRecipe {
    DataRecipe { size, channels, count: 64, ..DataRecipe::default() }
}

/// Oracle: the class counts in scikit-learn's description of the set and the checksum that
/// oracle/digits.py printed.
#[test]
fn digits_are_those_of_scikit_learn() {
    let data = open("digits", &DataRecipe::default()).unwrap();
    assert_eq!(data.shape(), ImageShape { channels: 1, height: 8, width: 8 });
    assert_eq!(data.len(), 1797);
    let mut counts = [0; 10];
    for index in 0..data.len() {
        counts[data.label(index) as usize] += 1;
    }
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!(data.classes().join(""), "0123456789");
    assert_eq!(data.name(17), "digits #17");

    let mut hash = Sha256::new();
    for index in 0..data.len() {
        hash.update([data.label(index) as u8]);
        hash.update(read(&*data, index).iter().map(|v| ((v + 1.0) * 8.0).round() as u8).collect::<Vec<_>>());
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "d8121ca7764eccfaef1df6bc4589c6527c58fcbab0cb1b079e79f97f8cb8219a");
}

/// Oracle: oracle/knn.py (scikit-learn), which counts 1775 of 1797 for k = 1, 2 and 3, 1771 for 5.
#[test]
fn knn_recognises_held_out_digits_as_scikit_learn_does() {
    let data = open("digits", &DataRecipe::default()).unwrap();
    let fold = |wanted: &dyn Fn(usize) -> bool| {
        let members = (0..data.len()).filter(|&index| wanted(index));
        let rows: Vec<f32> = members.clone().flat_map(|index| read(&*data, index)).collect();
        (rows, members.map(|index| data.label(index)).collect::<Vec<_>>())
    };
    for (k, expected) in [(1, 1775.0), (2, 1775.0), (3, 1775.0), (5, 1771.0)] {
        let mut correct = 0.0;
        for test in 0..5 {
            let (known, labels) = fold(&|index| index % 5 != test);
            let (held_out, truth) = fold(&|index| index % 5 == test);
            let classifier = Classifier::new(Rows::new(&known, 64).unwrap(), &labels, k).unwrap();
            correct +=
                classifier.accuracy(Rows::new(&held_out, 64).unwrap(), &truth).unwrap() * truth.len() as f64;
        }
        // 8-bit pixels move what is almost a tie.
        assert!((correct - expected).abs() <= 1.0, "k = {k}: {correct} of 1797");
    }
}

/// Oracle: chance is 1/8 and 1/62; pictures that did not show their class could not beat it.
#[test]
fn drawn_pictures_show_their_class() {
    for (name, least) in [("sprites", 0.5), ("glyphs", 0.5)] {
        let data =
            open(name, &DataRecipe { count: 2_300, size: Some([16, 16]), ..DataRecipe::default() }).unwrap();
        let (rows, labels): (Vec<_>, Vec<_>) =
            (0..data.len()).map(|index| (read(&*data, index), data.label(index))).unzip();
        let (rows, width) = (rows.concat(), data.shape().len());
        let (known, new) = rows.split_at(2_000 * width);
        let classifier = Classifier::new(Rows::new(known, width).unwrap(), &labels[..2_000], 1).unwrap();
        let accuracy = classifier.accuracy(Rows::new(new, width).unwrap(), &labels[2_000..]).unwrap();
        assert!(accuracy > least, "{name}: {accuracy}");
    }
}

/// Oracle: the checksums of a first run on x86-64, looked at by eye; other machines must agree.
#[test]
fn drawn_pictures_are_the_same_on_every_machine() {
    let hashes = |name: &str, seed| {
        let data = open(name, &DataRecipe { seed, ..recipe(None, None) }).unwrap();
        [0, 1, 2, 63].map(|index| data.content_hash(index))
    };
    assert_eq!(
        hashes("sprites", 0),
        [0x5ca4_c481_f8d0_0dea, 0xcd7a_5211_11e3_8486, 0x979b_45a3_3835_dfe6, 0x1835_1679_4faf_bcad]
    );
    assert_eq!(
        hashes("sprites", 1 << 40),
        [0x58cf_d3ea_bf05_6c7c, 0xbc90_2115_158d_823e, 0x1024_f3bb_b953_b5a6, 0x7d43_f18a_f9b5_ed1f]
    );
    assert_eq!(
        hashes("glyphs", 0),
        [0xb225_223e_da2d_8169, 0x918c_3ac0_e604_8076, 0xecd0_3fd0_94ec_f534, 0xc833_4142_38ea_f83a]
    );
    assert_eq!(
        hashes("digits", 0),
        [0xe9b8_ed7f_45c0_52af, 0xd258_d659_6b9f_31aa, 0x4dfe_5166_19cb_bb99, 0x57d5_9721_ec43_d57c]
    );
}

#[test]
fn a_picture_of_an_endless_set_does_not_depend_on_how_many_there_are() {
    for name in ["sprites", "glyphs"] {
        let few = open(name, &recipe(None, None)).unwrap();
        let many = open(name, &DataRecipe { count: 1_000_000_000, ..recipe(None, None) }).unwrap();
        let other = open(name, &DataRecipe { seed: 1, ..recipe(None, None) }).unwrap();
        assert_eq!((few.len(), many.len()), (64, 1_000_000_000));
        assert_eq!(read(&*few, 5), read(&*many, 5));
        assert_eq!(few.name(5), many.name(5));
        assert_ne!(read(&*few, 5), read(&*other, 5));
        assert_ne!(read(&*few, 5), read(&*many, 999_999_999));
    }
}

#[test]
fn classes_of_an_endless_set_are_equally_frequent() {
    for name in ["sprites", "glyphs"] {
        let data = open(name, &DataRecipe { count: 20_000, ..recipe(None, None) }).unwrap();
        let mut counts = vec![0.0; data.classes().len()];
        (0..data.len()).for_each(|index| counts[data.label(index) as usize] += 1.0);
        let expected = data.len() as f64 / counts.len() as f64;
        let chi_squared: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        let freedom = counts.len() as f64 - 1.0;
        // Mean and standard deviation of chi-squared.
        assert!(chi_squared < freedom + 4.0 * (2.0 * freedom).sqrt(), "{name}: {counts:?}");
    }
}

#[test]
fn a_caption_names_what_the_sprite_is() {
    for index in 0..200 {
        let sprite = Sprite::new(0, index);
        let caption = sprite.caption();
        assert!(caption.starts_with(&format!("a {} ", sprite.palette.name())), "{caption}");
        assert!(caption.contains(sprite.class.name()), "{caption}");
        assert_eq!(caption.contains("one eye"), sprite.eyes == 1, "{caption}");
        let data = open("sprites", &DataRecipe { count: 200, ..recipe(None, None) }).unwrap();
        assert_eq!(data.name(index as usize), format!("sprites #{index} ({caption})"));
        assert_eq!(data.classes()[data.label(index as usize) as usize], sprite.class.name());
    }
}

#[test]
fn variants_show_the_same_sprite() {
    for index in 0..50 {
        let sprite = Sprite::new(3, index);
        let [day, night, outline] =
            [Variant::Day, Variant::Night, Variant::Outline].map(|variant| sprite.render(variant));
        let mean = |pixels: &[u8]| pixels.iter().map(|&v| f64::from(v)).sum::<f64>() / pixels.len() as f64;
        assert!(mean(&night) < 0.7 * mean(&day), "sprite {index}: night is not dark");
        assert!(mean(&outline) > 150.0, "sprite {index}: a line drawing is mostly white");
        let (grey, blue) = outline.split_at(1024);
        assert_eq!(grey, &blue[..1024], "sprite {index}: a line drawing has no colour");
        // Dark lines of the drawing are dark in the picture.
        for (pixel, _) in grey.iter().enumerate().filter(|(_, value)| **value < 100) {
            assert!(
                day[pixel].min(day[1024 + pixel]) < 100,
                "sprite {index}: pixel {pixel} is not dark by day"
            );
        }
    }
}

/// Photograph, first row and first column of a tile, out of its name.
fn place(name: &str) -> (String, [usize; 2]) {
    let parts: Vec<&str> = name.split(['(', ',', ')']).collect();
    let number = |part: &str| part.rsplit(' ').next().unwrap().parse().unwrap();
    (parts[1].into(), [number(parts[2]), number(parts[3])])
}

/// Oracle: the `image` crate on the file that ships.
#[test]
fn tiles_are_parts_of_the_photographs_that_do_not_overlap() {
    for size in [None, Some([48, 80])] {
        let data = open("patches", &recipe(size, None)).unwrap();
        let ImageShape { height, width, .. } = data.shape();
        let mut seen = std::collections::HashSet::new();
        for index in 0..data.len() {
            let (photograph, [top, left]) = place(&data.name(index));
            assert_eq!(data.classes()[data.label(index) as usize], photograph);
            assert!(seen.insert((photograph.clone(), top, left)));
            assert!(top % height == 0 && left % width == 0, "{}", data.name(index));
            if index % 20 == 0 {
                let path = format!("{}/../../assets/patches/{photograph}.png", env!("CARGO_MANIFEST_DIR"));
                let whole = image::open(path).unwrap().into_rgb8();
                for (i, value) in read(&*data, index).into_iter().enumerate() {
                    let (y, x) = (i / width % height, i % width);
                    let pixel = whole.get_pixel((left + x) as u32, (top + y) as u32);
                    assert_eq!(((value + 1.0) * 127.5).round() as u8, pixel[i / (height * width)]);
                }
            }
        }
    }
    let data = open("patches", &DataRecipe::default()).unwrap();
    assert_eq!((data.len(), data.classes().len()), (187, 7), "every photograph is whole tiles of 64x64");
    let message = open("patches", &recipe(Some([400, 400]), None)).err().unwrap().to_string();
    assert!(message.contains("data.size") && message.contains("384x576"), "{message}");
}

/// A region of 128x128 pixels is on one side of the split, whatever is done to its tiles.
#[test]
fn whole_regions_of_a_photograph_are_held_out() {
    let cache = tempfile::tempdir().unwrap();
    for (size, crop, pair) in [
        (None, None, None),
        (Some([32, 32]), None, Some(Pair::Downscale)),
        (Some([32, 64]), Some([24, 24]), Some(Pair::Gray)),
    ] {
        let source = "builtin:patches".into();
        let recipe = DataRecipe { source, size, crop, pair, ..DataRecipe::default() };
        let all: std::sync::Arc<dyn Dataset> =
            data::open(&recipe, cache.path(), &mut Unwatched).unwrap().dataset.into();
        let regions = |part| {
            let view = split::view(all.clone(), part, 0.25).unwrap();
            let region = |index: usize| {
                let (photograph, [top, left]) = place(&view.name(index));
                (photograph, top / 128, left / 128)
            };
            (0..view.len()).map(region).collect::<std::collections::BTreeSet<_>>()
        };
        let parts = [Split::Train, Split::Validation, Split::Test].map(regions);
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            assert!(parts[i].is_disjoint(&parts[j]), "{size:?}");
        }
        assert_eq!(parts.iter().map(std::collections::BTreeSet::len).sum::<usize>(), 53);
        assert!(parts.iter().all(|part| !part.is_empty()), "{parts:?}");
    }
}

#[test]
fn labels_can_be_left_out() {
    let data = open("digits", &DataRecipe { labels: false, ..DataRecipe::default() }).unwrap();
    assert!(data.classes().is_empty());
    assert_eq!(data.label(7), 0);
}

#[test]
fn every_set_comes_in_every_shape() {
    for builtin in BUILTINS {
        for (size, channels) in
            [(None, None), (Some([20, 12]), Some(1)), (Some([48, 48]), Some(3)), (Some([9, 33]), Some(4))]
        {
            let data = open(builtin.name, &recipe(size, channels)).unwrap();
            let shape = data.shape();
            assert_eq!(
                size.unwrap_or([builtin.shape.height, builtin.shape.width]),
                [shape.height, shape.width]
            );
            assert_eq!(channels.unwrap_or(builtin.shape.channels), shape.channels);
            for index in 0..8 {
                let values = read(&*data, index);
                assert!(values.iter().all(|v| (-1.0..=1.0).contains(v)), "{} {shape:?}", builtin.name);
                assert!(values.iter().any(|&v| v != values[0]), "{} {shape:?}: blank", builtin.name);
                assert!((data.label(index) as usize) < data.classes().len());
            }
        }
    }
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let message = |name: &str, recipe: &DataRecipe| match open(name, recipe) {
        Ok(_) => panic!("{name} opened"),
        Err(error) => error.to_string(),
    };
    assert!(message("digit", &DataRecipe::default()).contains("builtin:digits"));
    assert!(message("digits", &recipe(Some([0, 8]), None)).contains("[0, 8]"));
    assert!(message("sprites", &DataRecipe { count: 0, ..DataRecipe::default() }).contains("data.count"));
    assert!(message("digits", &recipe(None, Some(5))).contains("data.channels = 5"));
}
