//! `sprites`: procedural 32x32 creatures in colour, without end.
//!
//! A sprite is a pure function of (seed, index) and exists by day, by night and as a line drawing,
//! with its kind, palette and a caption: labels for classes, text for captions, pairs for
//! translation. All drawing is on integers, so every machine makes the same bytes.

mod anatomy;
mod canvas;
mod colour;
mod features;
mod mask;
mod scene;

pub use anatomy::Creature;
pub use colour::Palette;
pub use features::{Gaze, Headgear, Mouth, Pattern};
pub use scene::Place;

use super::{Builtin, Pictures};
use crate::data::ImageShape;
use crate::error::Result;
use crate::recipe::DataRecipe;
use crate::rng::{Purpose, Rng};
use anatomy::{Anatomy, Build};
use canvas::Canvas;
use colour::Rgb;
use mask::SIDE;
use scene::Scene;

/// Which picture of a sprite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// In daylight: what the data set shows.
    Day,
    /// The same sprite by night: dim, with glowing eyes.
    Night,
    /// The same sprite as a dark line drawing on white.
    Outline,
}

/// One creature.
#[derive(Debug, Clone)]
pub struct Sprite {
    /// Its kind.
    pub class: Creature,
    /// Its colours.
    pub palette: Palette,
    /// What is on its skin.
    pub pattern: Pattern,
    /// What is on its head.
    pub headgear: Headgear,
    /// Number of eyes, 1 to 3.
    pub eyes: u32,
    /// How the eyes look.
    pub gaze: Gaze,
    /// How the mouth looks; chicks have a beak instead.
    pub mouth: Mouth,
    /// Where it stands.
    pub place: Place,
    build: Build,
    phase: i32,
    rng: Rng,
}

impl Sprite {
    /// Sprite `index` of the endless set of `seed`.
    pub fn new(seed: u64, index: u32) -> Self {
        let mut rng = Rng::new(seed, Purpose::Picture, 0, index);
        Self {
            class: one_of(&mut rng, Creature::ALL),
            palette: one_of(&mut rng, Palette::ALL),
            pattern: one_of(&mut rng, Pattern::ALL),
            headgear: one_of(&mut rng, Headgear::ALL),
            // Two eyes are the rule.
            eyes: one_of(&mut rng, [1, 2, 2, 2, 2, 3]),
            gaze: one_of(&mut rng, Gaze::ALL),
            mouth: one_of(&mut rng, Mouth::ALL),
            place: one_of(&mut rng, Place::ALL),
            build: Build { wide: rng.below(7) as i32 - 3, high: 2 * (rng.below(3) as i32 - 1) },
            phase: rng.below(5) as i32 - 2,
            rng,
        }
    }

    /// What it is, in English: `a red horned slime with two eyes and a smile, on grass`.
    pub fn caption(&self) -> String {
        let adjectives = [self.pattern.adjective(), self.headgear.adjective()];
        let mut words = vec!["a", self.palette.name()];
        words.extend(adjectives.into_iter().flatten());
        words.extend([self.class.name(), "with"]);
        words.push(match self.eyes {
            1 => "one eye",
            2 => "two eyes",
            _ => "three eyes",
        });
        if self.anatomy().mouth.is_some() {
            words.extend(["and", self.mouth.phrase()]);
        }
        format!("{}, {}", words.join(" "), self.place.phrase())
    }

    /// The picture, 32x32 RGB, planar `[3, 32, 32]`.
    pub fn render(&self, variant: Variant) -> Vec<u8> {
        let anatomy = self.anatomy();
        let canvas = self.draw(&anatomy);
        let (left, _, right, _) = anatomy.skin.bounds();
        let scene = Scene::new(self.place, (right - left) / 2, &mut self.rng.clone());
        let colour = |x: usize, y: usize| -> Rgb {
            let (material, light) = canvas.cells[y][x];
            match variant {
                Variant::Day => {
                    colour::by_day(material, light, self.palette).unwrap_or_else(|| scene.by_day(x, y))
                }
                Variant::Night => {
                    colour::by_night(material, light, self.palette).unwrap_or_else(|| scene.by_night(x, y))
                }
                Variant::Outline => [canvas.line(x, y); 3],
            }
        };
        let mut planes = vec![0; 3 * SIDE * SIDE];
        for pixel in 0..SIDE * SIDE {
            for (channel, value) in colour(pixel % SIDE, pixel / SIDE).into_iter().enumerate() {
                planes[channel * SIDE * SIDE + pixel] = value;
            }
        }
        planes
    }

    fn anatomy(&self) -> Anatomy {
        Anatomy::new(self.class, self.build)
    }

    fn draw(&self, anatomy: &Anatomy) -> Canvas {
        let mut canvas = Canvas::new();
        for &(part, material) in &anatomy.behind {
            canvas.put(part, material);
        }
        if self.headgear.is_rooted() {
            self.headgear.draw(&mut canvas, anatomy);
        }
        for &(part, material) in &anatomy.front {
            canvas.put(part, material);
        }
        self.pattern.draw(&mut canvas, anatomy, self.phase);
        for &(part, material) in &anatomy.tints {
            canvas.tint(part, material);
        }
        if !self.headgear.is_rooted() {
            self.headgear.draw(&mut canvas, anatomy);
        }
        if let Some(y) = anatomy.mouth {
            self.mouth.draw(&mut canvas, y);
        }
        self.gaze.draw(&mut canvas, anatomy.eyes, self.eyes);
        canvas
    }
}

fn one_of<T: Copy, const N: usize>(rng: &mut Rng, choices: [T; N]) -> T {
    choices[rng.below(N as u32) as usize]
}

pub(super) static BUILTIN: Builtin = SPRITES;

const SPRITES: Builtin = Builtin {
    name: "sprites",
    about: "procedural 32x32 creatures in colour, 8 classes, without end",
    licence: "MIT OR Apache-2.0, as Pinxit itself",
    shape: ImageShape { channels: 3, height: SIDE, width: SIDE },
    endless: true,
    make: |recipe| Sprites::make(recipe, Variant::Day),
};

/// The same creatures by night: picture i of a seed is that of `sprites`.
pub(super) static NIGHT: Builtin = Builtin {
    name: "sprites-night",
    about: "the creatures of sprites by night, picture by picture",
    make: |recipe| Sprites::make(recipe, Variant::Night),
    ..SPRITES
};

/// The same creatures as line drawings: picture i of a seed is that of `sprites`.
pub(super) static OUTLINES: Builtin = Builtin {
    name: "sprites-outline",
    about: "the creatures of sprites as line drawings, picture by picture",
    shape: ImageShape { channels: 1, height: SIDE, width: SIDE },
    make: |recipe| Sprites::make(recipe, Variant::Outline),
    ..SPRITES
};

struct Sprites {
    seed: u64,
    count: u32,
    variant: Variant,
}

impl Sprites {
    fn make(recipe: &DataRecipe, variant: Variant) -> Result<Box<dyn Pictures>> {
        Ok(Box::new(Self { seed: recipe.seed, count: super::endless_count(recipe)?, variant }))
    }

    fn sprite(&self, index: usize) -> Sprite {
        Sprite::new(self.seed, index as u32)
    }
}

impl Pictures for Sprites {
    fn shape(&self) -> ImageShape {
        match self.variant {
            Variant::Day | Variant::Night => BUILTIN.shape,
            Variant::Outline => OUTLINES.shape,
        }
    }

    fn len(&self) -> usize {
        self.count as usize
    }

    fn classes(&self) -> Vec<String> {
        Creature::ALL.map(|creature| creature.name().into()).to_vec()
    }

    fn label(&self, index: usize) -> u32 {
        self.sprite(index).class as u32
    }

    fn pixels(&self, index: usize) -> Vec<u8> {
        let mut pixels = self.sprite(index).render(self.variant);
        if self.variant == Variant::Outline {
            pixels.truncate(SIDE * SIDE); // its channels are equal
        }
        pixels
    }

    fn name(&self, index: usize) -> String {
        format!("sprites #{index} ({})", self.sprite(index).caption())
    }
}
