//! A drawing before it has colours: what each pixel is made of, and how much light falls on it.

use super::mask::{Mask, SIDE};

/// What a pixel shows; the colours follow from it, the palette and the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Material {
    /// The scene behind the creature.
    Nothing,
    /// The dark line around every part.
    Outline,
    /// Skin in the colour of the palette.
    Skin,
    /// The palette's second colour: bellies, spots, stripes, inner ears.
    Accent,
    /// Horns, claws, stems.
    Ivory,
    /// Beaks, crowns, antennae.
    Gold,
    /// Joints of robots.
    Steel,
    /// Leaves.
    Leaf,
    /// The white of an eye.
    EyeWhite,
    /// Pupils, brows and mouths.
    Dark,
    /// Tongues.
    Tongue,
    /// Cheeks.
    Blush,
}

/// How much light falls on a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Light {
    Shadow,
    Middle,
    Bright,
    Glint,
}

/// A 32x32 drawing.
pub(super) struct Canvas {
    pub(super) cells: [[(Material, Light); SIDE]; SIDE],
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { cells: [[(Material::Nothing, Light::Middle); SIDE]; SIDE] }
    }

    /// Puts a part in front of what is there: a dark line around it, and light from the upper left.
    pub(super) fn put(&mut self, part: Mask, material: Material) {
        self.mark(part.grown() - part, Material::Outline, Light::Middle);
        let bounds = part.bounds();
        for (x, y) in part.iter() {
            self.cells[y][x] = (material, light_on_ball(bounds, x, y));
        }
    }

    /// Draws on what is there, flat.
    pub(super) fn mark(&mut self, mask: Mask, material: Material, light: Light) {
        for (x, y) in mask.iter() {
            self.cells[y][x] = (material, light);
        }
    }

    /// The pixels of one material.
    pub(super) fn where_material(&self, material: Material) -> Mask {
        Mask::from_fn(|x, y| self.cells[y][x].0 == material)
    }

    /// Recolours what is there and keeps its light.
    pub(super) fn tint(&mut self, mask: Mask, material: Material) {
        for (x, y) in mask.iter() {
            self.cells[y][x].0 = material;
        }
    }

    /// Grey level of pixel (x, y) in a line drawing: dark lines, grey where a colour ends, white.
    pub(super) fn line(&self, x: usize, y: usize) -> u8 {
        use Material::{Dark, Nothing, Outline};
        let at =
            |x: usize, y: usize| self.cells.get(y).and_then(|row| row.get(x)).map_or(Nothing, |cell| cell.0);
        let ends = |other: Material| other != at(x, y) && !matches!(other, Outline | Dark | Nothing);
        match at(x, y) {
            Outline | Dark => 24,
            Nothing => 255,
            _ if ends(at(x + 1, y)) || ends(at(x, y + 1)) => 140,
            _ => 255,
        }
    }
}

/// The light on pixel (x, y) of an ellipsoid that fills the bounds: bands of equal distance from a
/// bright spot in the upper left.
fn light_on_ball((left, top, right, bottom): (i32, i32, i32, i32), x: usize, y: usize) -> Light {
    let (rx, ry) = ((right - left).max(1), (bottom - top).max(1));
    // Distance from the bright spot, where a radius counts 1000.
    let dx = (4 * x as i32 + 2 - left - right + rx * 3 / 8) * 1000 / rx;
    let dy = (4 * y as i32 + 2 - top - bottom + ry * 7 / 16) * 1000 / ry;
    match dx * dx + dy * dy {
        ..60_000 => Light::Glint,
        60_000..520_000 => Light::Bright,
        520_000..1_250_000 => Light::Middle,
        _ => Light::Shadow,
    }
}
