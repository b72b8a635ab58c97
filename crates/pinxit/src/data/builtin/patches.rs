//! `patches`: tiles of photographs in the public domain, 64x64 RGB.
//!
//! Tiles don't overlap, and those of one block of a photograph stay together in the split, so that what is held out
//! is a region of which training sees nothing (assets/patches/README.md).

use super::{Builtin, Pictures};
use crate::data::planes::Planes;
use crate::data::source::content_hash;
use crate::data::{ImageShape, decode};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;

/// Pixels on a side of a tile, where the recipe says nothing.
const SIDE: usize = 64;

/// Pixels on a side of a block, as far as whole tiles fill it; no smaller than a tile.
const BLOCK: usize = 128;

/// Channels of a tile; grey photographs have three equal ones.
const CHANNELS: usize = 3;

macro_rules! photographs {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../../../assets/patches/", $name, ".png")))),+]
    };
}

static PHOTOGRAPHS: [(&str, &[u8]); 7] =
    photographs!["chelsea", "coffee", "rocket", "hubble_deep_field", "brick", "grass", "gravel"];

pub(super) static BUILTIN: Builtin = Builtin {
    name: "patches",
    about: "tiles of seven photographs, 64x64 in colour or of any data.size, which never overlap; a class each",
    licence: "CC0 1.0 or public domain: S. van der Walt, R. Michetti, SpaceX, NASA, CC0Textures, linolafett",
    shape: ImageShape { channels: CHANNELS, height: SIDE, width: SIDE },
    endless: false,
    make: |recipe| Ok(Box::new(Patches::cut(recipe)?)),
};

/// A photograph that holds a tile.
struct Photograph {
    name: &'static str,
    pixels: Planes<u8>,
}

/// Where a tile is.
struct Tile {
    photograph: usize,
    top: usize,
    left: usize,
}

struct Patches {
    photographs: Vec<Photograph>,
    tiles: Vec<Tile>,
    sides: [usize; 2],
}

impl Patches {
    /// Every tile of the size that the recipe asks for.
    fn cut(recipe: &DataRecipe) -> Result<Self> {
        let sides @ [height, width] = recipe.size.unwrap_or([SIDE; 2]);
        let all: Vec<Photograph> = PHOTOGRAPHS.iter().map(read).collect::<Result<_>>()?;
        let largest = |side: fn(&Planes<u8>) -> usize| all.iter().map(|photo| side(&photo.pixels)).max();
        let (highest, widest) = (largest(|pixels| pixels.height), largest(|pixels| pixels.width));
        let holds = |photo: &Photograph| photo.pixels.height >= height && photo.pixels.width >= width;
        let photographs: Vec<Photograph> = all.into_iter().filter(holds).collect();
        if photographs.is_empty() {
            return Err(Error::config(format!(
                "data.size = [{height}, {width}]: the photographs of builtin:patches have at most {}x{} pixels",
                highest.unwrap_or(0),
                widest.unwrap_or(0)
            )));
        }
        let tiles_of = |(photograph, Photograph { pixels, .. }): (usize, &Photograph)| {
            let starts = |size: usize, side: usize| (0..=size - side).step_by(side);
            let columns = starts(pixels.width, width);
            starts(pixels.height, height)
                .flat_map(move |top| columns.clone().map(move |left| Tile { photograph, top, left }))
        };
        let tiles = photographs.iter().enumerate().flat_map(tiles_of).collect();
        Ok(Self { photographs, tiles, sides })
    }
}

fn read(&(name, bytes): &(&'static str, &[u8])) -> Result<Photograph> {
    let pixels = decode::decode(bytes).ok().and_then(|decoded| Planes::<u8>::from_image(&decoded.image));
    let pixels =
        pixels.ok_or_else(|| Error::config(format!("the built-in photograph {name} can't be read")))?;
    Ok(Photograph { name, pixels: pixels.into_channels(CHANNELS, 0) })
}

impl Pictures for Patches {
    fn shape(&self) -> ImageShape {
        let [height, width] = self.sides;
        ImageShape { channels: CHANNELS, height, width }
    }

    fn len(&self) -> usize {
        self.tiles.len()
    }

    fn classes(&self) -> Vec<String> {
        self.photographs.iter().map(|photograph| photograph.name.into()).collect()
    }

    fn label(&self, index: usize) -> u32 {
        self.tiles[index].photograph as u32
    }

    fn pixels(&self, index: usize) -> Vec<u8> {
        let Tile { photograph, top, left } = self.tiles[index];
        let pixels = &self.photographs[photograph].pixels;
        let [height, width] = self.sides;
        let rows = |plane: &'_ Vec<u8>| -> Vec<u8> {
            let row = |y: usize| &plane[(top + y) * pixels.width + left..][..width];
            (0..height).flat_map(row).copied().collect()
        };
        pixels.planes.iter().flat_map(rows).collect()
    }

    fn name(&self, index: usize) -> String {
        let Tile { photograph, top, left } = self.tiles[index];
        format!("patches #{index} ({}, from row {top}, column {left})", self.photographs[photograph].name)
    }

    fn group(&self, index: usize) -> Option<u64> {
        let Tile { photograph, top, left } = self.tiles[index];
        let block = |start: usize, side: usize| start / (side * (BLOCK / side).max(1));
        let (row, column) = (block(top, self.sides[0]), block(left, self.sides[1]));
        let place = format!("{} {row} {column}", self.photographs[photograph].name);
        Some(content_hash(place.as_bytes()))
    }
}
