//! What is behind the creature: sky, ground and its shadow.

use super::colour::{Rgb, moonlit, rgb};
use super::mask::{AXIS, Mask, SIDE};
use crate::rng::Rng;

/// Where a creature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On grass.
    Meadow,
    /// On sand.
    Desert,
    /// On snow.
    Snow,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Meadow, Self::Desert, Self::Snow];

    /// The words in a caption.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Meadow => "on grass",
            Self::Desert => "on sand",
            Self::Snow => "on snow",
        }
    }

    /// Far edge, ground, shadow and tufts of the ground.
    fn ground(self) -> [u32; 4] {
        match self {
            Self::Meadow => [0x8c_cf6a, 0x78_bd5c, 0x4f_9450, 0xa8_e07c],
            Self::Desert => [0xf0_d48c, 0xe4_c078, 0xb8_9058, 0xf8_e4a8],
            Self::Snow => [0xf4_f8fc, 0xe2_ecf6, 0xa8_bcd8, 0xff_ffff],
        }
    }

    /// The sky from top to horizon.
    fn sky(self) -> [u32; 3] {
        match self {
            Self::Meadow => [0x9c_d8f4, 0xb4_e4f6, 0xd0_f0f8],
            Self::Desert => [0xa4_d4ec, 0xcc_e4e4, 0xf4_ecd0],
            Self::Snow => [0xb4_c8ec, 0xc8_d8f2, 0xdc_e8f8],
        }
    }
}

/// First row of the ground.
const HORIZON: usize = 24;

/// A place with its clouds, tufts and stars.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    place: Place,
    /// Clouds by day; the night sky is clear.
    clouds: Mask,
    stars: Mask,
    tufts: Mask,
    moon: Mask,
    shadow: Mask,
}

impl Scene {
    /// The scene of one picture; `half_shadow` is the reach of the creature's shadow, in half-pixels.
    pub(super) fn new(place: Place, half_shadow: i32, rng: &mut Rng) -> Self {
        let mut point = |top: u32, bottom: u32| {
            (rng.below(SIDE as u32) as usize, (top + rng.below(bottom - top)) as usize)
        };
        let stars: Vec<_> = (0..9).map(|_| point(0, HORIZON as u32 - 2)).collect();
        let tufts: Vec<_> = (0..6).map(|_| point(HORIZON as u32 + 1, SIDE as u32)).collect();
        let (cloud_x, cloud_y) = point(1, 6);
        let (x, y) = (2 * cloud_x as i32, 2 * cloud_y as i32);
        let moon_x = if cloud_x < SIDE / 2 { 9 } else { 55 };
        Self {
            place,
            clouds: Mask::ellipse(x, y + 2, 9, 3) | Mask::ellipse(x + 2, y, 5, 4),
            stars: Mask::pixels(&stars),
            tufts: Mask::pixels(&tufts),
            moon: Mask::ellipse(moon_x, 9, 6, 6) - Mask::ellipse(moon_x + 4, 7, 5, 5),
            shadow: Mask::ellipse(AXIS, 57, half_shadow, 5),
        }
    }

    /// Colour of pixel (x, y) by day.
    pub(super) fn by_day(&self, x: usize, y: usize) -> Rgb {
        if y >= HORIZON {
            return rgb(self.ground(x, y));
        }
        rgb(if self.clouds.has(x, y) { 0xf8_fcff } else { self.place.sky()[y * 3 / HORIZON] })
    }

    /// Colour of pixel (x, y) by night.
    pub(super) fn by_night(&self, x: usize, y: usize) -> Rgb {
        if y >= HORIZON {
            return moonlit(rgb(self.ground(x, y)));
        }
        rgb(match () {
            () if self.moon.has(x, y) => 0xff_f4c4,
            () if self.stars.has(x, y) => 0xc8_d0f0,
            () => [0x14_1838, 0x1c_2248, 0x28_305c][y * 3 / HORIZON],
        })
    }

    fn ground(&self, x: usize, y: usize) -> u32 {
        let [edge, flat, shadow, tuft] = self.place.ground();
        match () {
            () if self.shadow.has(x, y) => shadow,
            () if self.tufts.has(x, y) => tuft,
            () if y == HORIZON => edge,
            () => flat,
        }
    }
}
