//! Bringing a picture to a size: antialiased Lanczos resampling, held to Pillow.
//!
//! The filter is Lanczos with a = 3 in both directions, widened by the scale when it shrinks, as
//! Pillow's `Image.resize(size, LANCZOS)` (oracle/resize.py). Colour is weighted by alpha, so that
//! the hidden colour of transparent pixels never shows.

use super::has_alpha;
use super::planes::{Planes, Sample};
use crate::recipe::Fit;

/// The picture at `height` x `width`; the bars of a letterbox are `background` (0 to 255), opaque.
///
/// Neither the picture nor the size may be empty.
pub(crate) fn fit<T: Sample>(
    picture: Planes<T>,
    height: usize,
    width: usize,
    fit: Fit,
    background: u8,
) -> Planes<T> {
    match fit {
        Fit::Crop => {
            let window = covering_window(&picture, height, width);
            resize(picture, height, width, window)
        }
        Fit::Letterbox => {
            let (inner_height, inner_width) = contained_size(&picture, height, width);
            let window = Window::whole(&picture);
            let inner = resize(picture, inner_height, inner_width, window);
            pad(&inner, height, width, background)
        }
    }
}

/// A part of a picture, in pixels; edges may lie between pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// Resamples `window` of the picture to `height` x `width`: along the rows, then along the columns,
/// with rounding and clipping between the two, as Pillow.
fn resize<T: Sample>(mut picture: Planes<T>, height: usize, width: usize, window: Window) -> Planes<T> {
    if (picture.height, picture.width) == (height, width) && window == Window::whole(&picture) {
        return picture;
    }
    premultiply(&mut picture);
    let across = taps(&LANCZOS, picture.width, window.left, window.width, width);
    let down = taps(&LANCZOS, picture.height, window.top, window.height, height);
    let resample =
        |plane: &Vec<T>| weighted_rows(&weighted_columns(plane, picture.width, &across), width, &down);
    let planes = picture.planes.iter().map(resample).collect();
    let mut resized = Planes { width, height, planes };
    unpremultiply(&mut resized);
    resized
}

/// The rows (or columns) of the input that make one of the output, and how much of each.
struct Taps {
    start: usize,
    weights: Vec<f32>,
}

/// A kernel of resampling.
struct Filter {
    /// It is 0 from here on, on both sides.
    support: f64,
    weight: fn(f64) -> f64,
}

const LANCZOS: Filter = Filter { support: LANCZOS_A, weight: lanczos };
const BICUBIC: Filter = Filter { support: 2.0, weight: cubic };

/// Planar values `[planes, height, width]` brought to `to` rows and columns by the bicubic kernel, widened where it
/// shrinks: Pillow's and MATLAB's, and PyTorch's `interpolate` with `antialias`. Nothing is rounded or clipped.
pub(crate) fn bicubic(values: &[f32], [height, width]: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let across = taps(&BICUBIC, width, 0.0, width as f64, to[1]);
    let down = taps(&BICUBIC, height, 0.0, height as f64, to[0]);
    let sum = |taps: &Taps, at: &dyn Fn(usize) -> f32| -> f32 {
        taps.weights.iter().enumerate().map(|(i, weight)| weight * at(taps.start + i)).sum()
    };
    let plane = |plane: &[f32]| -> Vec<f32> {
        let narrow = |row: &[f32]| across.iter().map(|taps| sum(taps, &|x| row[x])).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = plane.chunks_exact(width).map(narrow).collect();
        down.iter().flat_map(|taps| (0..to[1]).map(|x| sum(taps, &|y| rows[y][x]))).collect()
    };
    values.chunks_exact(height * width).flat_map(plane).collect()
}

/// Taps for bringing `length` of `size` values, from `start` on, to `to` values.
fn taps(filter: &Filter, size: usize, start: f64, length: f64, to: usize) -> Vec<Taps> {
    let scale = length / to as f64;
    let stretch = scale.max(1.0); // the filter widens when it shrinks the picture
    let support = filter.support * stretch;
    let one = |at: usize| {
        let centre = start + (at as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(size);
        let weights = (first..end).map(|i| (filter.weight)((i as f64 - centre + 0.5) / stretch));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        Taps { start: first, weights: weights.iter().map(|weight| (weight / sum) as f32).collect() }
    };
    (0..to).map(one).collect()
}

const LANCZOS_A: f64 = 3.0;

/// The Lanczos kernel (Duchon 1979): sinc(x) sinc(x / a) for |x| < a.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| {
        let angle = x * std::f64::consts::PI;
        if angle == 0.0 { 1.0 } else { libm::sin(angle) / angle }
    };
    if x.abs() < LANCZOS_A { sinc(x) * sinc(x / LANCZOS_A) } else { 0.0 }
}

/// The cubic kernel of Keys 1981 with a = -1/2.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    match x {
        0.0..1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        1.0..2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}

/// Each column of the result is the sum of the columns that its taps name, rounded and clipped.
fn weighted_columns<T: Sample>(plane: &[T], width: usize, taps: &[Taps]) -> Vec<T> {
    let mut out = Vec::with_capacity(plane.len() / width * taps.len());
    for row in plane.chunks_exact(width) {
        let value = |taps: &Taps| T::from_f32(dot(&row[taps.start..], &taps.weights));
        out.extend(taps.iter().map(value));
    }
    out
}

/// Sum of the products of `weights` with as many values, in eight partial sums: an order of
/// addition that compiles to vectors and is the same on every machine.
fn dot<T: Sample>(values: &[T], weights: &[f32]) -> f32 {
    const LANES: usize = 8;
    let values = &values[..weights.len()];
    let (value_blocks, last_values) = values.as_chunks::<LANES>();
    let (weight_blocks, last_weights) = weights.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (values, weights) in value_blocks.iter().zip(weight_blocks) {
        for lane in 0..LANES {
            sums[lane] += weights[lane] * values[lane].to_f32();
        }
    }
    let rest: f32 = last_values.iter().zip(last_weights).map(|(value, weight)| weight * value.to_f32()).sum();
    sums.iter().sum::<f32>() + rest
}

/// Each row of the result is the sum of the rows that its taps name, rounded and clipped.
fn weighted_rows<T: Sample>(plane: &[T], width: usize, taps: &[Taps]) -> Vec<T> {
    let mut out = Vec::with_capacity(taps.len() * width);
    let mut sums = vec![0.0f32; width];
    for Taps { start, weights } in taps {
        sums.fill(0.0);
        for (row, weight) in plane[start * width..].chunks_exact(width).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value.to_f32());
        }
        out.extend(sums.iter().map(|&sum| T::from_f32(sum)));
    }
    out
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
        let is_alpha = has_alpha(channels) && c == channels - 1;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::fs;

    use safetensors::{Dtype, SafeTensors, tensor::TensorView};

    use super::*;

    /// Oracle: oracle/resize.py (Pillow).
    fn golden() -> Vec<u8> {
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden/resize.safetensors")).unwrap()
    }

    /// A tensor `[H, W, C]` of the golden file, exact in either depth.
    fn planes<T: Sample>(tensor: &TensorView) -> Planes<T> {
        let &[height, width, channels] = tensor.shape() else { panic!("not [H, W, C]") };
        let values: Vec<T> = match tensor.dtype() {
            Dtype::U8 => tensor.data().iter().map(|&v| T::from_8(v)).collect(),
            _ => tensor.data().chunks(2).map(|v| T::from_16(u16::from_le_bytes([v[0], v[1]]))).collect(),
        };
        let planes = (0..channels).map(|c| values.iter().skip(c).step_by(channels).copied().collect());
        Planes { width, height, planes: planes.collect() }
    }

    /// Largest difference between two pictures, colour weighted by alpha: what can be seen.
    fn largest_difference<T: Sample>(mut a: Planes<T>, mut b: Planes<T>) -> u64 {
        assert_eq!((a.width, a.height, a.planes.len()), (b.width, b.height, b.planes.len()));
        premultiply(&mut a);
        premultiply(&mut b);
        let pairs = a.planes.iter().flatten().zip(b.planes.iter().flatten());
        pairs.map(|(a, b)| a.wide().abs_diff(b.wide())).max().unwrap()
    }

    /// Resizes the input of each golden case whose name begins with `prefix`; the largest difference.
    fn differences<T: Sample>(prefix: &str, fit: Fit) -> Vec<(String, u64)> {
        let bytes = golden();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let mut names: Vec<&str> =
            golden.names().into_iter().filter_map(|n| n.strip_suffix(".input")).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        let difference = |name: &str| {
            let tensor = |part| planes::<T>(&golden.tensor(&format!("{name}.{part}")).unwrap());
            let wanted = tensor("output");
            let got = super::fit(tensor("input"), wanted.height, wanted.width, fit, 255);
            largest_difference(got, wanted)
        };
        names.into_iter().map(|name| (name.to_owned(), difference(name))).collect()
    }

    #[test]
    fn crop_is_pillows_fit() {
        let differences = differences::<u8>("crop_", Fit::Crop);
        assert_eq!(differences.len(), 24);
        assert!(differences.iter().all(|&(_, d)| d <= 1), "{differences:?}");
    }

    #[test]
    fn letterbox_is_pillows_pad() {
        let differences = differences::<u8>("letterbox_", Fit::Letterbox);
        assert_eq!(differences.len(), 24);
        assert!(differences.iter().all(|&(_, d)| d <= 1), "{differences:?}");
    }

    /// 16-bit pictures keep their depth: within 1 of 65,535.
    #[test]
    fn deep_pictures_stay_deep() {
        let differences = differences::<u16>("deep_", Fit::Crop);
        assert_eq!(differences.len(), 2);
        assert!(differences.iter().all(|&(_, d)| d <= 1), "{differences:?}");
    }

    #[test]
    fn grey_is_pillows_luma() {
        let bytes = golden();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let colour = planes::<u8>(&golden.tensor("luma.input").unwrap());
        let grey = planes::<u8>(&golden.tensor("luma.output").unwrap());
        assert!(colour.into_channels(1, 0) == grey);
    }

    /// Analytic case: the colour of what is wholly transparent changes nothing.
    #[test]
    fn hidden_colour_never_shows() {
        let stripes =
            |hidden: u8, shown: u8| (0..64).map(|i| if i % 8 < 4 { shown } else { hidden }).collect();
        let small = |hidden: u8| {
            let picture = Planes { width: 8, height: 8, planes: vec![stripes(hidden, 100), stripes(0, 255)] };
            fit(picture, 3, 3, Fit::Crop, 0)
        };
        assert_eq!(small(0), small(255));
        let half = small(0).planes[0][1];
        assert!(half.abs_diff(100) <= 1, "a half transparent pixel keeps its colour: {half}");
    }
}
