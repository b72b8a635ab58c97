//! Palettes, and the colours of a drawing by day and by night.

use super::canvas::{Light, Material};

/// Red, green and blue, 0 to 255.
pub(super) type Rgb = [u8; 3];

/// The colour of a creature's skin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// Red with cream.
    Red,
    /// Gold with brown.
    Gold,
    /// Green with lime.
    Green,
    /// Blue with ice.
    Blue,
    /// Purple with lilac.
    Purple,
    /// Pink with rose.
    Pink,
}

impl Palette {
    /// Every palette.
    pub const ALL: [Self; 6] = [Self::Red, Self::Gold, Self::Green, Self::Blue, Self::Purple, Self::Pink];

    /// Its name in captions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Gold => "gold",
            Self::Green => "green",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Pink => "pink",
        }
    }

    /// Skin from shadow to glint.
    fn skin(self) -> [u32; 4] {
        match self {
            Self::Red => [0x8c_1f45, 0xd0_344c, 0xf2_5f55, 0xff_b199],
            Self::Gold => [0xa8_5a1e, 0xe0_9324, 0xf9_c440, 0xff_f1a8],
            Self::Green => [0x1d_6350, 0x35_9a50, 0x72_cb58, 0xcd_f48e],
            Self::Blue => [0x28_3f92, 0x31_75d0, 0x58_b0f2, 0xbf_ecff],
            Self::Purple => [0x4a_2879, 0x7b_45ba, 0xab_72e4, 0xe4_c0ff],
            Self::Pink => [0xa0_3a72, 0xe0_6a9f, 0xfa_9ec2, 0xff_dbe8],
        }
    }

    /// The second colour from shadow to glint.
    fn accent(self) -> [u32; 4] {
        match self {
            Self::Red => [0xc9_8a5e, 0xf0_c48a, 0xff_e6b8, 0xff_f8e4],
            Self::Gold => [0x7a_3a1c, 0xa8_5a28, 0xc9_7b3c, 0xe8_a86c],
            Self::Green => [0x8f_a83a, 0xc4_d95a, 0xe6_f28c, 0xf8_ffc8],
            Self::Blue => [0x7a_a8d8, 0xb0_d8f4, 0xd8_f0fc, 0xf4_fcff],
            Self::Purple => [0xb0_78c8, 0xd8_a8e8, 0xf0_d0f8, 0xfc_ecff],
            Self::Pink => [0xc0_3a68, 0xd8_5480, 0xe8_7498, 0xf8_a8bc],
        }
    }

    /// The dark line, in a deep shade of the skin.
    fn outline(self) -> u32 {
        match self {
            Self::Red => 0x3a_1028,
            Self::Gold => 0x48_2414,
            Self::Green => 0x10_3034,
            Self::Blue => 0x16_1e4c,
            Self::Purple => 0x26_1244,
            Self::Pink => 0x4c_1640,
        }
    }
}

/// The colour of a material by day; `None` where the scene shows.
pub(super) fn by_day(material: Material, light: Light, palette: Palette) -> Option<Rgb> {
    let ramp = match material {
        Material::Nothing => return None,
        Material::Outline => [palette.outline(); 4],
        Material::Skin => palette.skin(),
        Material::Accent => palette.accent(),
        Material::Ivory => [0xb0_9478, 0xe0_cca8, 0xf6_ead0, 0xff_fcf0],
        Material::Gold => [0xb8_6414, 0xec_9c1c, 0xff_cc3c, 0xff_f4b0],
        Material::Steel => [0x54_607c, 0x7c_8aa4, 0xa8_b4c8, 0xe0_e8f0],
        Material::Leaf => [0x2c_7038, 0x48_a048, 0x80_cc58, 0xc0_f08c],
        Material::EyeWhite => [0xd8_e0ec, 0xf0_f4fa, 0xff_ffff, 0xff_ffff],
        Material::Dark => [0x20_1830; 4],
        Material::Tongue => [0xe8_5c70; 4],
        Material::Blush => [0xff_8c94; 4],
    };
    Some(rgb(ramp[light as usize]))
}

/// The colour of a material by night: dim and blue, but eyes and gold glow.
pub(super) fn by_night(material: Material, light: Light, palette: Palette) -> Option<Rgb> {
    match (material, light) {
        (Material::EyeWhite, Light::Glint) => Some(rgb(0xff_fff0)),
        (Material::EyeWhite, _) => Some(rgb(0xff_e678)),
        (Material::Gold, Light::Bright | Light::Glint) => Some(rgb(0xff_c850)),
        _ => by_day(material, light, palette).map(moonlit),
    }
}

/// `colour` under moonlight.
pub(super) fn moonlit([r, g, b]: Rgb) -> Rgb {
    let dim = |value: u8, share: u16, add: u16| ((u16::from(value) * share) / 100 + add) as u8;
    [dim(r, 50, 0), dim(g, 48, 8), dim(b, 62, 30)]
}

/// `0xRRGGBB` as three bytes.
pub(super) fn rgb(hex: u32) -> Rgb {
    [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8]
}
