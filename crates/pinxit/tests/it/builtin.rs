//! The built-in sets as a user of the library meets them.
#![allow(clippy::unwrap_used, clippy::panic)]

use pinxit::data::builtin::{BUILTINS, open};
use pinxit::data::{Dataset, ImageShape};
use pinxit::recipe::DataRecipe;
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
    assert!(message("digits", &recipe(Some([0, 8]), None)).contains("0x8"));
    assert!(message("digits", &recipe(None, Some(5))).contains("5 is not one of"));
}
