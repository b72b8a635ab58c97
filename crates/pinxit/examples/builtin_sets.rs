//! Writes a contact sheet of each built-in set, and measures how fast the pictures come.
//!
//! `cargo run --release --example builtin_sets -- OUT_DIR`

use std::path::PathBuf;
use std::time::Instant;

use image::{Rgb, RgbImage, imageops};
use pinxit::data::builtin::sprites::{Sprite, Variant};
use pinxit::data::builtin::{BUILTINS, open};
use pinxit::recipe::DataRecipe;

/// Columns and rows of a sheet, and pixels on the screen for one of the picture.
const COLUMNS: usize = 16;
const ROWS: usize = 9;
const ZOOM: u32 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::args().nth(1).ok_or("usage: builtin_sets OUT_DIR")?);
    std::fs::create_dir_all(&out)?;
    for builtin in BUILTINS {
        let data = open(builtin.name, &DataRecipe { channels: Some(3), ..DataRecipe::default() })?;
        let shape = data.shape();
        let mut values = vec![0.0; shape.len()];
        let start = Instant::now();
        for index in 0..data.len() {
            data.read(index, &mut values);
        }
        println!(
            "{}: {:.0} pictures a second",
            builtin.name,
            data.len() as f64 / start.elapsed().as_secs_f64()
        );

        let pictures = (0..COLUMNS * ROWS).map(|index| {
            data.read(index, &mut values);
            values.iter().map(|value| ((value + 1.0) * 127.5).round() as u8).collect()
        });
        sheet(pictures, COLUMNS, shape.height, shape.width)
            .save(out.join(format!("{}.png", builtin.name)))?;
    }

    let variants = [Variant::Day, Variant::Night, Variant::Outline];
    let pictures = (0..48).flat_map(|index| variants.map(|variant| Sprite::new(0, index).render(variant)));
    sheet(pictures, 12, 32, 32).save(out.join("sprites_variants.png"))?;
    for index in 0..8 {
        println!("sprites #{index}: {}", Sprite::new(0, index).caption());
    }
    Ok(())
}

/// Planar RGB pictures, row by row.
fn sheet(pictures: impl Iterator<Item = Vec<u8>>, columns: usize, height: usize, width: usize) -> RgbImage {
    let pictures: Vec<_> = pictures.collect();
    let rows = pictures.len().div_ceil(columns);
    let mut sheet = RgbImage::new((columns * width) as u32, (rows * height) as u32);
    for (index, planes) in pictures.iter().enumerate() {
        let (left, top) = (index % columns * width, index / columns * height);
        for pixel in 0..height * width {
            let colour = [0, 1, 2].map(|channel| planes[channel * height * width + pixel]);
            sheet.put_pixel((left + pixel % width) as u32, (top + pixel / width) as u32, Rgb(colour));
        }
    }
    imageops::resize(&sheet, sheet.width() * ZOOM, sheet.height() * ZOOM, imageops::FilterType::Nearest)
}
