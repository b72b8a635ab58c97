//! Planted copies, and real pictures that are none.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::*;
use crate::data::{self, Dataset, ImageShape, Split, split};
use crate::metrics::pictures::Pictures;
use crate::recipe::DataRecipe;
use crate::rng::{Purpose, Rng};
use crate::watch::Unwatched;

fn set(name: &str, count: usize, seed: u64) -> Vec<Picture> {
    let recipe = DataRecipe { count, seed, ..DataRecipe::default() };
    let set = data::builtin::open(name, &recipe).unwrap();
    (0..set.len()).map(|index| set.picture(index).unwrap()).collect()
}

fn change(picture: &Picture, mut level: impl FnMut(usize, usize, usize) -> f64) -> Picture {
    let ImageShape { channels, width, .. } = picture.shape;
    let at = |i: usize| (i / channels / width, i / channels % width, i % channels);
    let pixels = (0..picture.pixels.len()).map(|i| {
        let (y, x, c) = at(i);
        level(y, x, c).round().clamp(0.0, 255.0) as u8
    });
    Picture { shape: picture.shape, pixels: pixels.collect() }
}

/// The picture out of a JPEG file of this quality.
fn recompress(picture: &Picture, quality: u8) -> Picture {
    let ImageShape { channels, height, width } = picture.shape;
    let colours = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(&picture.pixels, width as u32, height as u32, colours)
        .unwrap();
    let read = image::load_from_memory(&file).unwrap();
    let pixels = if channels == 1 { read.into_luma8().into_raw() } else { read.into_rgb8().into_raw() };
    Picture { shape: picture.shape, pixels }
}

/// The ways in which copies hide.
fn disguise(picture: &Picture, way: usize) -> Picture {
    let ImageShape { channels, width, .. } = picture.shape;
    let at = |y: usize, x: usize, c: usize| f64::from(picture.pixels[(y * width + x) * channels + c]);
    match way % 5 {
        0 => picture.clone(),
        1 => change(picture, |y, x, c| at(y.saturating_sub(1), (x + 1).min(width - 1), c)),
        2 => change(picture, |y, x, c| at(y, width - 1 - x, c)),
        3 => recompress(picture, 75),
        _ => change(picture, |y, x, c| 0.8 * at(y, x, c) + 30.0),
    }
}

/// 50 copies in five disguises among 1000 pictures: at least 48 are found and at most two honest ones
/// are called copies; real pictures that were held out are cleared.
fn planted(name: &str) {
    let (train, honest, held_out) = (set(name, 1000, 1), set(name, 950, 2), set(name, 500, 3));
    let mut samples = honest.clone();
    samples.extend((0..50).map(|i| disguise(&train[19 * i], i)));
    let found =
        audit(&Suspects { samples: &samples, train: &train, held_out: &held_out }, &mut Unwatched).unwrap();
    let caught = found
        .copies
        .iter()
        .filter(|pair| pair.sample >= 950 && pair.train == 19 * (pair.sample - 950))
        .count();
    let wrong = found.copies.iter().filter(|pair| pair.sample < 950).count();
    assert!(caught >= 48 && wrong <= 2, "{name}: {caught} of 50 found, {wrong} false alarms");
    assert!(
        found.held_out_copies <= 1,
        "{name}: {} held-out pictures are called copies",
        found.held_out_copies
    );
    let new = Suspects { samples: &honest[..300], train: &train, held_out: &held_out[..300] };
    let cleared = audit(&new, &mut Unwatched).unwrap();
    assert!(cleared.nearer.unwrap().p_smaller > 1e-3, "{name}: {:?}", cleared.nearer);
    assert!(!cleared.tends_to_training(), "{name}: {:?}", cleared.toward_training);
}

#[test]
fn planted_copies_of_sprites_are_found() {
    planted("sprites");
}

#[test]
fn planted_copies_of_glyphs_are_found() {
    planted("glyphs");
}

/// Pictures of 8x8 pixels, of which a shift takes an eighth away.
#[test]
fn planted_copies_of_digits_are_found() {
    let digits = set("digits", 0, 0);
    let (train, honest) = digits.split_at(1200);
    let mut samples = honest.to_vec();
    samples.extend((0..50).map(|i| disguise(&train[19 * i], i)));
    let found = copies(&samples, train).unwrap();
    let (wrong, caught): (Vec<usize>, Vec<usize>) = found.iter().partition(|&&sample| sample < honest.len());
    assert!(caught.len() >= 48 && wrong.len() <= 2, "{} found, {} false alarms", caught.len(), wrong.len());
}

/// Real digits, of which many are alike: none that was held out is called a copy.
#[test]
fn held_out_digits_are_cleared() {
    let recipe = DataRecipe { holdout: 0.3, ..DataRecipe::default() };
    let digits: Arc<dyn Dataset> = data::builtin::open("digits", &recipe).unwrap().into();
    let of = |part| -> Vec<Picture> {
        let view = split::view(digits.clone(), part, recipe.holdout).unwrap();
        (0..Pictures::len(&view)).map(|index| view.picture(index).unwrap()).collect()
    };
    let (train, test, validation) = (of(Split::Train), of(Split::Test), of(Split::Validation));
    assert!(test.len() > 200 && validation.len() > 200);
    let found =
        audit(&Suspects { samples: &test, train: &train, held_out: &validation }, &mut Unwatched).unwrap();
    assert!(found.copies.len() <= 1, "{} copies", found.copies.len());
}

/// Pictures that are blurred are nearer to everything: that is no copying. Copies with noise, too far off to be
/// called copies, are nearer to what they copy.
#[test]
fn typical_pictures_are_told_from_copies() {
    let (train, honest, held_out) = (set("glyphs", 600, 1), set("glyphs", 300, 2), set("glyphs", 300, 3));
    let blur = |picture: &Picture| {
        let ImageShape { channels, height, width } = picture.shape;
        let at = |y: usize, x: usize, c: usize| f64::from(picture.pixels[(y * width + x) * channels + c]);
        change(picture, |y, x, c| {
            let rows = y.saturating_sub(1)..(y + 2).min(height);
            let (mut sum, mut count) = (0.0, 0.0);
            for y in rows {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    (sum, count) = (sum + at(y, x, c), count + 1.0);
                }
            }
            sum / count
        })
    };
    let mut rng = Rng::new(1, Purpose::Picture, 5, 5);
    let mut noisy = |picture: &Picture| {
        let ImageShape { channels, width, .. } = picture.shape;
        change(picture, |y, x, c| {
            f64::from(picture.pixels[(y * width + x) * channels + c]) + 60.0 * f64::from(rng.normal())
        })
    };
    let tends = |samples: &[Picture]| {
        let found =
            audit(&Suspects { samples, train: &train[..300], held_out: &held_out }, &mut Unwatched).unwrap();
        (found.tends_to_training(), found.toward_training)
    };
    let typical: Vec<Picture> = honest.iter().map(blur).collect();
    let copied: Vec<Picture> = train[..300].iter().map(&mut noisy).collect();
    assert!(!tends(&typical).0, "{:?}", tends(&typical));
    assert!(tends(&copied).0, "{:?}", tends(&copied));
}

/// A model that paints one picture, and training data with a double, are told apart.
#[test]
fn cliques_and_duplicates_are_groups() {
    let mut train = set("sprites", 60, 1);
    train[7] = train[3].clone();
    let mut samples = set("sprites", 40, 2);
    for i in [5, 11, 30] {
        samples[i] = samples[2].clone();
    }
    let found = audit(&Suspects { samples: &samples, train: &train, held_out: &[] }, &mut Unwatched).unwrap();
    assert_eq!(found.cliques, [vec![2, 5, 11, 30]]);
    assert_eq!(found.train_duplicates, [vec![3, 7]]);
    assert_eq!(found.nearer, None);
}

/// Analytic (Alaa et al. 2022): copies are never authentic, data of the same distribution half of the time.
#[test]
fn authenticity_is_half_for_new_data_and_none_for_copies() {
    let normal = |stream| {
        let mut values = vec![0.0; 2000 * 6];
        Rng::new(3, Purpose::Picture, stream, 0).fill_normal(&mut values);
        values
    };
    let (train, new) = (normal(1), normal(2));
    let (train, new) = (Rows::new(&train, 6).unwrap(), Rows::new(&new, 6).unwrap());
    assert_eq!(authenticity(train, train).unwrap(), 0.0);
    let share = authenticity(new, train).unwrap();
    assert!((share - 50.0).abs() < 12.0, "{share}");
}
