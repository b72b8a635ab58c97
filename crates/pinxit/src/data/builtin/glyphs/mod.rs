//! `glyphs`: letters and digits of open fonts, 28x28 grey, without end.
//!
//! Each picture is one of 62 characters in one of the [`FONTS`], turned, sheared, stretched, shifted
//! and drawn with a thicker or thinner stroke. It is a pure function of (seed, index); sine and
//! cosine come from `libm` and the rest is plain `f32`, so that every machine draws the same bytes.

mod shape;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, OutlinedGlyph, Point, PxScaleFactor, Rect};

use super::{Builtin, Pictures};
use crate::data::ImageShape;
use crate::error::{Error, Result};
use crate::rng::{Purpose, Rng};
use shape::{Linear, Shape};

/// Pixels on a side.
const SIDE: usize = 28;

/// Height of a capital letter before variation, in pixels.
const CAPITAL: f32 = 17.0;

/// Row and column of the middle of a capital letter before variation.
const MIDDLE: f32 = 14.0;

/// Free rows and columns at each edge.
const MARGIN: f32 = 1.0;

/// The classes, in the order of EMNIST "by class".
const CHARACTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

macro_rules! fonts {
    ($($name:literal = $file:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../../../../assets/glyphs/", $file)))),+]
    };
}

/// Fonts under the SIL Open Font License without a reserved name (assets/glyphs/README.md).
static FONTS: [(&str, &[u8]); 7] = fonts![
    "Inter" = "inter.ttf",
    "EB Garamond" = "eb-garamond.ttf",
    "JetBrains Mono" = "jetbrains-mono.ttf",
    "Courier Prime" = "courier-prime.ttf",
    "Caveat" = "caveat.ttf",
    "Fredoka" = "fredoka.ttf",
    "Pacifico" = "pacifico.ttf",
];

pub(super) static BUILTIN: Builtin = Builtin {
    name: "glyphs",
    about: "letters and digits of seven open fonts, 28x28 grey, 62 classes, without end",
    licence: "SIL OFL 1.1: the authors of Inter, EB Garamond, JetBrains Mono, Courier Prime, Caveat, Fredoka, Pacifico",
    shape: ImageShape { channels: 1, height: SIDE, width: SIDE },
    endless: true,
    make: |recipe| Ok(Box::new(Glyphs::new(recipe.seed, super::endless_count(recipe)?)?)),
};

struct Glyphs {
    seed: u64,
    count: u32,
    /// `[font][character]`, y down, a capital letter from 0 (top) to [`CAPITAL`] (baseline).
    shapes: Vec<Vec<Shape>>,
}

/// How one picture is drawn.
struct Draw {
    font: usize,
    character: usize,
    linear: Linear,
    /// Added to the stroke on each side, in pixels.
    thicker: f32,
    /// Where the middle goes.
    middle: Point,
}

impl Draw {
    fn new(seed: u64, index: usize) -> Self {
        let mut rng = Rng::new(seed, Purpose::Picture, 1, index as u32);
        let mut range = |low, high| rng.range(low, high) as f32;
        let linear =
            Linear::new(range(-0.2, 0.2), range(-0.25, 0.25), [range(0.85, 1.15), range(0.85, 1.15)]);
        let thicker = range(-0.15, 0.5);
        let middle = Point { x: MIDDLE + range(-2.0, 2.0), y: MIDDLE + range(-2.0, 2.0) };
        let font = rng.below(FONTS.len() as u32) as usize;
        let character = rng.below(CHARACTERS.len() as u32) as usize;
        Self { font, character, linear, thicker, middle }
    }
}

impl Glyphs {
    fn new(seed: u64, count: u32) -> Result<Self> {
        let shapes = FONTS.iter().map(|&(name, bytes)| {
            load(bytes).ok_or_else(|| Error::config(format!("the built-in font {name} can't be read")))
        });
        Ok(Self { seed, count, shapes: shapes.collect::<Result<_>>()? })
    }
}

/// The shapes of [`CHARACTERS`] at the size of a picture; `None` if the font lacks one.
fn load(bytes: &'static [u8]) -> Option<Vec<Shape>> {
    let font = FontRef::try_from_slice(bytes).ok()?;
    let capital = font.outline(font.glyph_id('H'))?.bounds;
    // In font units y goes up; `min` and `max` are not ordered.
    let height = (capital.max.y - capital.min.y).abs();
    let scale = CAPITAL / height;
    let to_pixels = |p: Point| Point { x: p.x * scale, y: CAPITAL - p.y * scale };
    CHARACTERS
        .chars()
        .map(|character| Some(Shape::new(&font.outline(font.glyph_id(character))?).mapped(to_pixels)))
        .collect()
}

impl Pictures for Glyphs {
    fn shape(&self) -> ImageShape {
        BUILTIN.shape
    }

    fn len(&self) -> usize {
        self.count as usize
    }

    fn classes(&self) -> Vec<String> {
        CHARACTERS.chars().map(String::from).collect()
    }

    fn label(&self, index: usize) -> u32 {
        Draw::new(self.seed, index).character as u32
    }

    fn pixels(&self, index: usize) -> Vec<u8> {
        let draw = Draw::new(self.seed, index);
        let shape = &self.shapes[draw.font][draw.character];
        // About the middle of the character across, and of a capital letter down, so that `c` and
        // `C`, `p` and `P` keep their places.
        let Rect { min, max } = shape.bounds();
        let pivot = Point { x: (min.x + max.x) / 2.0, y: CAPITAL / 2.0 };
        let varied = shape.mapped(|p| draw.linear.apply(p - pivot)).thickened(draw.thicker);
        paint(&inside(&varied, draw.middle))
    }

    fn name(&self, index: usize) -> String {
        let draw = Draw::new(self.seed, index);
        let character = CHARACTERS.chars().nth(draw.character).unwrap_or_default();
        format!("glyphs #{index} ({character} in {})", FONTS[draw.font].0)
    }
}

/// The shape moved by `shift`, or less far where it would leave the picture, and smaller where it
/// would not fit at all.
fn inside(shape: &Shape, shift: Point) -> Shape {
    let Rect { min, max } = shape.bounds();
    let (room, end) = (SIDE as f32 - 2.0 * MARGIN, SIDE as f32 - MARGIN);
    let scale = (room / (max.x - min.x).max(max.y - min.y)).min(1.0);
    let right = shift.x.max(MARGIN - min.x * scale).min(end - max.x * scale);
    let down = shift.y.max(MARGIN - min.y * scale).min(end - max.y * scale);
    shape.mapped(|p| Point { x: p.x * scale + right, y: p.y * scale + down })
}

/// The share of each pixel that the shape covers, 0 to 255.
fn paint(shape: &Shape) -> Vec<u8> {
    let glyph = Glyph { id: GlyphId(0), scale: 1.0.into(), position: Point::default() };
    // ab_glyph turns y over; here it goes down already.
    let as_it_is = PxScaleFactor { horizontal: 1.0, vertical: -1.0 };
    let outlined = OutlinedGlyph::new(glyph, shape.to_outline(), as_it_is);
    let Point { x: left, y: top } = outlined.px_bounds().min;
    let mut pixels = vec![0; SIDE * SIDE];
    outlined.draw(|x, y, coverage| {
        let (x, y) = (x as usize + left as usize, y as usize + top as usize);
        if x < SIDE && y < SIDE {
            pixels[y * SIDE + x] = (coverage.min(1.0) * 255.0 + 0.5) as u8;
        }
    });
    pixels
}
