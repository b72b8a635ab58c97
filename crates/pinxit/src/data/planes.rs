//! Pictures as one plane a channel, and the conversions between grey, colour and alpha.

use image::DynamicImage;

use super::has_alpha;

/// An 8-bit or 16-bit value of a picture.
pub(crate) trait Sample: Copy + Default + PartialEq + Send + Sync + 'static {
    /// The value of white and of opaque.
    const MAX: u64;

    fn from_8(value: u8) -> Self;
    fn from_16(value: u16) -> Self;
    /// `value` must be at most `MAX`.
    fn from_wide(value: u64) -> Self;
    fn wide(self) -> u64;
    fn to_f32(self) -> f32;
    /// Rounds and clips.
    fn from_f32(value: f32) -> Self;
    fn push_bytes(self, out: &mut Vec<u8>);
}

impl Sample for u8 {
    const MAX: u64 = 255;

    fn from_8(value: u8) -> Self {
        value
    }
    fn from_16(value: u16) -> Self {
        ((u32::from(value) + 128) / 257) as u8
    }
    fn from_wide(value: u64) -> Self {
        value as u8
    }
    fn wide(self) -> u64 {
        self.into()
    }
    fn to_f32(self) -> f32 {
        self.into()
    }
    fn from_f32(value: f32) -> Self {
        (value + 0.5) as u8 // `as` clips
    }
    fn push_bytes(self, out: &mut Vec<u8>) {
        out.push(self);
    }
}

impl Sample for u16 {
    const MAX: u64 = 65_535;

    fn from_8(value: u8) -> Self {
        u16::from(value) * 257
    }
    fn from_16(value: u16) -> Self {
        value
    }
    fn from_wide(value: u64) -> Self {
        value as u16
    }
    fn wide(self) -> u64 {
        self.into()
    }
    fn to_f32(self) -> f32 {
        self.into()
    }
    fn from_f32(value: f32) -> Self {
        (value + 0.5) as u16 // `as` clips
    }
    fn push_bytes(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
}

/// A picture with its channels apart: grey, grey + alpha, RGB or RGBA.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planes<T> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 to 4 planes of `height * width` values in row-major order.
    pub(crate) planes: Vec<Vec<T>>,
}

impl<T: Sample> Planes<T> {
    /// Takes a decoded picture apart; `None` for floating-point pictures, whose range is not fixed.
    pub(crate) fn from_image(image: &DynamicImage) -> Option<Self> {
        let channels = usize::from(image.color().channel_count());
        let planes = match image {
            DynamicImage::ImageLuma8(b) => apart(b.as_raw(), channels, T::from_8),
            DynamicImage::ImageLumaA8(b) => apart(b.as_raw(), channels, T::from_8),
            DynamicImage::ImageRgb8(b) => apart(b.as_raw(), channels, T::from_8),
            DynamicImage::ImageRgba8(b) => apart(b.as_raw(), channels, T::from_8),
            DynamicImage::ImageLuma16(b) => apart(b.as_raw(), channels, T::from_16),
            DynamicImage::ImageLumaA16(b) => apart(b.as_raw(), channels, T::from_16),
            DynamicImage::ImageRgb16(b) => apart(b.as_raw(), channels, T::from_16),
            DynamicImage::ImageRgba16(b) => apart(b.as_raw(), channels, T::from_16),
            _ => return None,
        };
        Some(Self { width: image.width() as usize, height: image.height() as usize, planes })
    }

    /// The alpha plane, if there is one.
    pub(crate) fn alpha(&self) -> Option<&[T]> {
        self.planes.last().filter(|_| has_alpha(self.planes.len())).map(Vec::as_slice)
    }

    /// Whether some pixel is not opaque.
    pub(crate) fn uses_alpha(&self) -> bool {
        self.alpha().is_some_and(|alpha| alpha.iter().any(|a| a.wide() < T::MAX))
    }

    /// The picture with 1 grey, 2 grey + alpha, 3 RGB or 4 RGBA channels.
    ///
    /// Dropped alpha is laid over the grey level `background` (0 to 255), colour turns to grey as
    /// Pillow's mode `L` does, new alpha is opaque.
    pub(crate) fn into_channels(mut self, channels: usize, background: u8) -> Self {
        let (wants_colour, wants_alpha) = (channels >= 3, has_alpha(channels));
        let alpha = if self.alpha().is_some() { self.planes.pop() } else { None };
        if let (Some(alpha), false) = (&alpha, wants_alpha) {
            let background = T::from_8(background).wide();
            for plane in &mut self.planes {
                lay_over(plane, alpha, background);
            }
        }
        match (self.planes.as_slice(), wants_colour) {
            ([r, g, b], false) => self.planes = vec![luma(r, g, b)],
            ([grey], true) => self.planes = vec![grey.clone(), grey.clone(), grey.clone()],
            _ => {}
        }
        if wants_alpha {
            let opaque = || vec![T::from_wide(T::MAX); self.width * self.height];
            self.planes.push(alpha.unwrap_or_else(opaque));
        }
        self
    }

    /// Planar `[C, H, W]` values as little-endian bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.planes.len() * self.width * self.height * size_of::<T>());
        self.planes.iter().flatten().for_each(|value| value.push_bytes(&mut out));
        out
    }
}

/// Interleaved values as one plane a channel.
fn apart<S: Copy, T>(interleaved: &[S], channels: usize, convert: impl Fn(S) -> T) -> Vec<Vec<T>> {
    let plane = |c: usize| interleaved.chunks_exact(channels).map(|pixel| convert(pixel[c])).collect();
    (0..channels).map(plane).collect()
}

/// `plane * alpha + background * (1 - alpha)`, rounded.
fn lay_over<T: Sample>(plane: &mut [T], alpha: &[T], background: u64) {
    for (value, alpha) in plane.iter_mut().zip(alpha) {
        let a = alpha.wide();
        *value = T::from_wide((value.wide() * a + background * (T::MAX - a) + T::MAX / 2) / T::MAX);
    }
}

/// ITU-R 601 luma with Pillow's 16-bit weights (`L24` in its `Convert.c`).
fn luma<T: Sample>(r: &[T], g: &[T], b: &[T]) -> Vec<T> {
    let grey = |((r, g), b): ((&T, &T), &T)| {
        T::from_wide((r.wide() * 19_595 + g.wide() * 38_470 + b.wide() * 7_471 + 0x8000) >> 16)
    };
    r.iter().zip(g).zip(b).map(grey).collect()
}
