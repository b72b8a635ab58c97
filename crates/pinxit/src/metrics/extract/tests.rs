//! The Inception network against torch-fidelity and clean-fid: oracle/inception.py.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;

use safetensors::SafeTensors;

use super::inception::{CLASSES, FEATURES};
use super::*;
use crate::checkpoint::Array;
use crate::data::ImageShape;
use crate::metrics::numpy::RandomState;

/// Height, width, channels of the oracle's pictures.
const SIZES: [[usize; 3]; 6] =
    [[32, 32, 3], [28, 28, 1], [75, 50, 3], [299, 299, 3], [320, 411, 3], [64, 64, 3]];

/// `picture` of the oracle.
fn picture(index: usize) -> Picture {
    let [height, width, channels] = SIZES[index];
    let shape = ImageShape { channels, height, width };
    let level = |at: usize| {
        let (y, x, c) = (at / channels / width, at / channels % width, at % channels);
        let stripes =
            (x * x * (1 + index % 3) + (3 + index % 5) * x * y + (40 + 7 * index) * y + 700 * c) / 16 % 256;
        let noise = (((at + 1000 * index) as u32).wrapping_mul(2_654_435_761) >> 20) % 97;
        (stripes * 5 / 8 + noise as usize).min(255) as u8
    };
    Picture { shape, pixels: (0..shape.len()).map(level).collect() }
}

fn golden() -> BTreeMap<String, Array> {
    let bytes =
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden/inception.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let array = |view: safetensors::tensor::TensorView| Array {
        shape: view.shape().to_vec(),
        values: view.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
    };
    file.tensors().into_iter().map(|(name, view)| (name, array(view))).collect()
}

/// Shapes of the convolutions in the order of the state dict.
fn convolutions() -> Vec<(&'static str, [usize; 4])> {
    let list = include_str!("../../../../../oracle/golden/inception_shapes.txt");
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let shape: Vec<usize> = words.map(|word| word.parse().unwrap()).collect();
        (name, shape.try_into().unwrap())
    };
    list.lines().map(line).collect()
}

/// The weights that the oracle draws.
fn weights(golden: &BTreeMap<String, Array>) -> BTreeMap<String, Array> {
    let mut state = RandomState::new(1);
    let mut weights = BTreeMap::new();
    let mut draw = |shape: &[usize], scale: f64| Array {
        shape: shape.to_vec(),
        values: state.normals(shape.iter().product()).iter().map(|value| (value * scale) as f32).collect(),
    };
    for (name, shape) in convolutions() {
        let fan_in: usize = shape[1..].iter().product();
        weights.insert(format!("{name}.conv.weight"), draw(&shape, (2.0 / fan_in as f64).sqrt()));
        for (part, value) in [("weight", 1.0), ("bias", 0.0)] {
            let array = Array { shape: vec![shape[0]], values: vec![value; shape[0]] };
            weights.insert(format!("{name}.bn.{part}"), array);
        }
        for part in ["running_mean", "running_var"] {
            weights.insert(format!("{name}.bn.{part}"), golden[&format!("bn/{name}.bn.{part}")].clone());
        }
    }
    weights.insert("fc.weight".into(), draw(&[CLASSES, FEATURES], 0.02));
    weights
}

/// Largest difference relative to the largest value.
fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
}

/// Oracle: torch-fidelity 0.4.0 bit for bit, and clean-fid 0.1.35 with Pillow 13.0.0 bit for bit.
#[test]
fn resizes_are_those_of_the_published_code() {
    let golden = golden();
    for (index, &[height, width, _]) in SIZES.iter().enumerate() {
        for (name, resize) in [("tf1", Resize::BilinearTf1), ("bicubic", Resize::CleanBicubic)] {
            let resized = resize.apply(&planes(&picture(index), 3), 299, 299);
            let sampled: Vec<f32> = resized.into_iter().step_by(131).collect();
            assert_eq!(sampled, golden[&format!("{name}/{index}")].values, "{name} of {height}x{width}");
        }
    }
}

/// Oracle: torch-fidelity 0.4.0 with the same weights.
#[test]
fn features_are_those_of_the_published_code() {
    let golden = golden();
    let device = Device::flex();
    let network = || Inception::new(&weights(&golden), &device).unwrap();
    let identity = Identity {
        name: INCEPTION.into(),
        sha256: String::new(),
        layer: String::new(),
        resize: String::new(),
    };
    let mut extractor = InceptionExtractor {
        network: network(),
        identity,
        resize: Resize::BilinearTf1,
        device: device.clone(),
    };
    let pictures: Vec<Picture> = (0..SIZES.len()).map(picture).collect();
    let found = extractor.extract(&pictures).unwrap();
    let error = distance(&found.rows, &golden["features"].values);
    assert!(error < 2e-4, "pool3 is {error:e} away");
    let error = distance(&found.logits, &golden["logits"].values);
    assert!(error < 2e-4, "logits are {error:e} away");
    let alone = extractor.extract(&pictures[2..3]).unwrap();
    assert_eq!(
        alone.rows,
        found.rows[2 * FEATURES..3 * FEATURES],
        "a picture's features depend on its batch"
    );
    extractor.resize = Resize::CleanBicubic;
    let error = distance(&extractor.extract(&pictures).unwrap().rows, &golden["clean"].values);
    assert!(error < 2e-4, "pool3 after clean-fid's resize is {error:e} away");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let golden = golden();
    let device = Device::flex();
    let whole = weights(&golden);
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Array>)| {
        let mut weights = whole.clone();
        change(&mut weights);
        Inception::new(&weights, &device).unwrap_err()
    };
    let name = "Mixed_6c.branch7x7_2.conv.weight";
    assert!(refused(&|w| _ = w.remove(name)).contains(name));
    assert!(refused(&|w| w.get_mut(name).unwrap().shape.swap(0, 3)).contains(name));
    assert!(refused(&|w| w.get_mut(name).unwrap().values[5] = f32::NAN).contains("finite"));
}
