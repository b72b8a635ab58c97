//! Bringing a picture to a size: antialiased Lanczos resampling, held to Pillow.
//!
//! The filter is Lanczos with a = 3 in both directions, widened by the scale when it shrinks, as
//! Pillow's `Image.resize(size, LANCZOS)` (oracle/resize.py). Colour is weighted by alpha, so that
//! the hidden colour of transparent pixels never shows.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::planes::{Planes, Sample};
use crate::recipe::Fit;

/// The picture at `height` x `width`; the bars of a letterbox are `background` (0 to 255), opaque.
///
/// `None` if the picture has no pixels.
pub(crate) fn fit<T: Sample>(
    picture: Planes<T>,
    height: usize,
    width: usize,
    fit: Fit,
    background: u8,
) -> Option<Planes<T>> {
    match fit {
        Fit::Crop => {
            let window = covering_window(&picture, height, width);
            resize(picture, height, width, window)
        }
        Fit::Letterbox => {
            let (inner_height, inner_width) = contained_size(&picture, height, width);
            let window = Window::whole(&picture);
            let inner = resize(picture, inner_height, inner_width, window)?;
            Some(pad(&inner, height, width, background))
        }
    }
}

/// A part of a picture, in pixels; edges may lie between pixels.
#[derive(Debug, Clone, Copy)]
struct Window {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Window {
    fn whole<T>(picture: &Planes<T>) -> Self {
        Self { left: 0.0, top: 0.0, width: picture.width as f64, height: picture.height as f64 }
    }
}

/// The largest centred window of the wanted aspect ratio (Pillow's `ImageOps.fit`).
fn covering_window<T>(picture: &Planes<T>, height: usize, width: usize) -> Window {
    let mut window = Window::whole(picture);
    let ratio = width as f64 / height as f64;
    if window.width / window.height >= ratio {
        window.width = (ratio * window.height).min(window.width);
    } else {
        window.height = (window.width / ratio).min(window.height);
    }
    window.left = (picture.width as f64 - window.width) / 2.0;
    window.top = (picture.height as f64 - window.height) / 2.0;
    // Rounding must not push the far edge over the picture's.
    window.width = window.width.min(picture.width as f64 - window.left);
    window.height = window.height.min(picture.height as f64 - window.top);
    window
}

/// The largest `(height, width)` of the picture's own aspect ratio inside `height` x `width`
/// (Pillow's `ImageOps.contain`).
fn contained_size<T>(picture: &Planes<T>, height: usize, width: usize) -> (usize, usize) {
    let (from_height, from_width) = (picture.height as f64, picture.width as f64);
    if from_width / from_height > width as f64 / height as f64 {
        let inner = (from_height / from_width * width as f64).round_ties_even() as usize;
        (inner.clamp(1, height), width)
    } else {
        let inner = (from_width / from_height * height as f64).round_ties_even() as usize;
        (height, inner.clamp(1, width))
    }
}

/// Resamples `window` of the picture to `height` x `width`.
fn resize<T: Sample>(
    mut picture: Planes<T>,
    height: usize,
    width: usize,
    window: Window,
) -> Option<Planes<T>> {
    premultiply(&mut picture);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(window.left, window.top, window.width, window.height)
        .use_alpha(false);
    let mut resizer = Resizer::new();
    let mut planes = Vec::with_capacity(picture.planes.len());
    for plane in std::mem::take(&mut picture.planes) {
        let pixels: Vec<T::Pixel> = plane.into_iter().map(T::to_pixel).collect();
        let from = TypedImageRef::new(picture.width as u32, picture.height as u32, &pixels).ok()?;
        let mut to = TypedImage::<T::Pixel>::new(width as u32, height as u32);
        resizer.resize_typed(&from, &mut to, &options).ok()?;
        planes.push(to.pixels().iter().map(|&pixel| T::from_pixel(pixel)).collect());
    }
    let mut resized = Planes { width, height, planes };
    unpremultiply(&mut resized);
    Some(resized)
}

/// Weights the colour by alpha (Pillow's mode `RGBa`).
fn premultiply<T: Sample>(picture: &mut Planes<T>) {
    if !picture.uses_alpha() {
        return;
    }
    let Some((alpha, colour)) = picture.planes.split_last_mut() else { return };
    for plane in colour {
        for (value, alpha) in plane.iter_mut().zip(alpha.iter()) {
            *value = T::from_wide((value.wide() * alpha.wide() + T::MAX / 2) / T::MAX);
        }
    }
}

/// Undoes [`premultiply`]; what is wholly transparent becomes black.
fn unpremultiply<T: Sample>(picture: &mut Planes<T>) {
    if !picture.uses_alpha() {
        return;
    }
    let Some((alpha, colour)) = picture.planes.split_last_mut() else { return };
    for plane in colour {
        for (value, alpha) in plane.iter_mut().zip(alpha.iter()) {
            let straight = (value.wide() * T::MAX).checked_div(alpha.wide()).unwrap_or(0);
            *value = T::from_wide(straight.min(T::MAX));
        }
    }
}

/// The picture in the middle of opaque `background`.
fn pad<T: Sample>(inner: &Planes<T>, height: usize, width: usize, background: u8) -> Planes<T> {
    let (top, left) = (middle(height - inner.height), middle(width - inner.width));
    let channels = inner.planes.len();
    let place = |(c, plane): (usize, &Vec<T>)| {
        let is_alpha = channels % 2 == 0 && c == channels - 1;
        let bar = T::from_8(if is_alpha { 255 } else { background });
        let mut out = vec![bar; height * width];
        for (y, row) in plane.chunks_exact(inner.width).enumerate() {
            let start = (top + y) * width + left;
            out[start..start + inner.width].copy_from_slice(row);
        }
        out
    };
    Planes { width, height, planes: inner.planes.iter().enumerate().map(place).collect() }
}

/// Half of the free space, as Pillow's `ImageOps.pad` rounds it.
fn middle(free: usize) -> usize {
    (free as f64 / 2.0).round_ties_even() as usize
}
