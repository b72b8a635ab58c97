//! Pictures out: tensors in `[-1, 1]` to PNG files and sheets; and single pictures in.

use std::fs;
use std::path::Path;

use burn::tensor::{Tensor, TensorData};

use crate::data::decode;
use crate::data::planes::{Planes, Sample};
use crate::data::{ImageShape, resize};
use crate::error::{Error, Result};
use crate::files;
use crate::recipe::Fit;

/// Smallest side that a picture has on a sheet, in pixels: smaller ones are magnified.
const SHEET_SIDE: usize = 64;

/// An 8-bit picture to be shown or saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Channels, rows and columns.
    pub shape: ImageShape,
    /// Interleaved values, `[H, W, C]` in row-major order.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A white picture; transparent if it has alpha.
    pub fn blank(shape: ImageShape) -> Self {
        let is_alpha = |i: usize| shape.has_alpha() && i % shape.channels == shape.channels - 1;
        let level = |i| if is_alpha(i) { 0 } else { 255 };
        Self { shape, pixels: (0..shape.len()).map(level).collect() }
    }

    /// The picture of planar values `[C, H, W]` in `[-1, 1]`, clamped, rounded half away from zero.
    pub fn from_planar(values: &[f32], shape: ImageShape) -> Self {
        let area = shape.height * shape.width;
        let at = |i: usize| to_byte(values[i % shape.channels * area + i / shape.channels]);
        Self { shape, pixels: (0..shape.len()).map(at).collect() }
    }

    /// Planar values `[C, H, W]` in `[-1, 1]`: what [`from_planar`](Self::from_planar) was given, rounded.
    pub fn to_planar(&self) -> impl Iterator<Item = f32> {
        let channels = self.shape.channels;
        let plane = move |channel| self.pixels.iter().skip(channel).step_by(channels.max(1));
        (0..channels).flat_map(plane).map(|&level| f32::from(level) / 127.5 - 1.0)
    }
}

/// -1 to 0, 1 to 255; what is out of range is clamped, what is no number is 0.
fn to_byte(value: f32) -> u8 {
    // `as` clamps and takes NaN to 0.
    ((value + 1.0) * 127.5).round() as u8
}

/// The pictures of a tensor `[B, C, H, W]` in `[-1, 1]`.
///
/// # Errors
/// [`Error::Unsupported`] if the values can't be read from the device, or are not of 1 to 4 channels.
pub fn pictures(images: Tensor<4>) -> Result<Vec<Picture>> {
    let [_, channels, height, width] = images.dims();
    let shape = ImageShape { channels, height, width };
    if !(1..=4).contains(&channels) {
        return Err(Error::Unsupported(format!("{channels} channels are no picture: 1 to 4 are")));
    }
    let values = images.into_data().convert::<f32>().try_into_vec::<f32>().map_err(|error| {
        Error::Unsupported(format!("the pictures can't be read from the device: {error:?}"))
    })?;
    Ok(values.chunks_exact(shape.len().max(1)).map(|values| Picture::from_planar(values, shape)).collect())
}

/// Pictures `[B, C, H, W]` brought to other sides by bicubic resampling: `[B, C, H', W']`.
///
/// # Errors
/// [`Error::Unsupported`] if the values can't be read from the device.
pub fn bicubic(images: Tensor<4>, [height, width]: [usize; 2]) -> Result<Tensor<4>> {
    let ([count, channels, from_height, from_width], device) = (images.dims(), images.device());
    if [from_height, from_width] == [height, width] {
        return Ok(images);
    }
    let values = images.into_data().convert::<f32>().try_into_vec::<f32>();
    let values = values.map_err(|error| {
        Error::Unsupported(format!("the pictures can't be read from the device: {error:?}"))
    })?;
    let resized = resize::bicubic(&values, [from_height, from_width], [height, width]);
    Ok(Tensor::from_data(TensorData::new(resized, [count, channels, height, width]), &device))
}

/// Pictures `[B, C, H, W]` grown by a whole factor, by bicubic resampling.
///
/// # Errors
/// As [`bicubic`].
pub fn magnified(images: Tensor<4>, factor: usize) -> Result<Tensor<4>> {
    let [_, _, height, width] = images.dims();
    bicubic(images, [factor * height, factor * width])
}

/// Pictures `[B, C, H, W]` with another number of channels: grey becomes colour, what has no alpha is opaque. Never
/// fewer than they have.
pub fn in_channels(images: Tensor<4>, channels: usize) -> Tensor<4> {
    let [count, own, height, width] = images.dims();
    if own >= channels {
        return images;
    }
    let colours = own - usize::from(own.is_multiple_of(2));
    let wanted = channels - usize::from(channels.is_multiple_of(2));
    let mut colour = images.clone().narrow(1, 0, colours);
    if colours < wanted {
        colour = colour.narrow(1, 0, 1).repeat_dim(1, wanted);
    }
    if !channels.is_multiple_of(2) {
        return colour;
    }
    let alpha = match own > colours {
        true => images.clone().narrow(1, colours, 1),
        false => Tensor::ones([count, 1, height, width], &images.device()),
    };
    Tensor::cat(vec![colour, alpha], 1)
}

/// One sheet of pictures of one shape, row by row, with `gap` white pixels between them (before
/// magnification). Small pictures are magnified by a whole factor, pixel by pixel, so that they can be seen.
pub fn grid(pictures: &[Picture], columns: usize, gap: usize) -> Picture {
    let Some(first) = pictures.first() else {
        return Picture::blank(ImageShape { channels: 1, height: 1, width: 1 });
    };
    let ImageShape { channels, height, width } = first.shape;
    let columns = columns.clamp(1, pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let factor = SHEET_SIDE.div_ceil(height.min(width).max(1));
    let (cell_height, cell_width) = (height + gap, width + gap);
    let mut sheet = Picture::blank(ImageShape {
        channels,
        height: (rows * cell_height - gap) * factor,
        width: (columns * cell_width - gap) * factor,
    });
    let sheet_width = sheet.shape.width;
    for (y, row) in sheet.pixels.chunks_exact_mut(sheet_width * channels).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let (y, x) = (y / factor, x / factor);
            let (inner_y, inner_x) = (y % cell_height, x % cell_width);
            let picture = pictures.get(y / cell_height * columns + x / cell_width);
            if let Some(picture) =
                picture.filter(|p| p.shape == first.shape && inner_y < height && inner_x < width)
            {
                let at = (inner_y * width + inner_x) * channels;
                pixel.copy_from_slice(&picture.pixels[at..at + channels]);
            }
        }
    }
    sheet
}

/// The bytes of a PNG file, with `texts` as its text entries (keyword, text).
///
/// # Errors
/// [`Error::Config`] if the picture has no pixels or a keyword is not 1 to 79 Latin letters.
pub fn encode_png(picture: &Picture, texts: &[(String, String)]) -> Result<Vec<u8>> {
    encode(picture.shape, png::BitDepth::Eight, &picture.pixels, texts)
}

/// The bytes of a PNG file of interleaved values of 8 bits, or 16 with the high byte first.
fn encode(
    shape: ImageShape,
    depth: png::BitDepth,
    values: &[u8],
    texts: &[(String, String)],
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_into(&mut bytes, (shape, depth), values, texts)
        .map_err(|error| Error::config(format!("the picture can't be written as PNG: {error}")))?;
    Ok(bytes)
}

fn encode_into(
    bytes: &mut Vec<u8>,
    (shape, depth): (ImageShape, png::BitDepth),
    values: &[u8],
    texts: &[(String, String)],
) -> Result<(), png::EncodingError> {
    let ImageShape { channels, height, width } = shape;
    let mut encoder = png::Encoder::new(bytes, width as u32, height as u32);
    encoder.set_depth(depth);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    for (keyword, text) in texts {
        if text.is_ascii() {
            encoder.add_text_chunk(keyword.clone(), text.clone())?;
        } else {
            encoder.add_itxt_chunk(keyword.clone(), text.clone())?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(values)?;
    writer.finish()
}

/// Whether a file that exists may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It is left alone and the call fails.
    Refuse,
    /// It is replaced, all at once.
    Allow,
}

/// Writes a picture as PNG with `texts` as its text entries. The file appears whole or not at all.
///
/// # Errors
/// [`Error::Config`] as [`encode_png`], and if the file exists and may not be replaced;
/// [`Error::Io`] if it can't be written.
pub fn save_png(
    path: &Path,
    picture: &Picture,
    texts: &[(String, String)],
    overwrite: Overwrite,
) -> Result<()> {
    write_file(path, &encode_png(picture, texts)?, overwrite)
}

/// Writes planes as PNG, with 8 or 16 bits a value, as [`save_png`].
///
/// # Errors
/// As [`save_png`].
pub(crate) fn save_planes(
    path: &Path,
    planes: &Planes<u16>,
    bits: u32,
    texts: &[(String, String)],
    overwrite: Overwrite,
) -> Result<()> {
    let Planes { width, height, planes } = planes;
    let shape = ImageShape { channels: planes.len(), height: *height, width: *width };
    let interleaved = (0..width * height).flat_map(|at| planes.iter().map(move |plane| plane[at]));
    let bytes = match bits {
        16 => {
            let values: Vec<u8> = interleaved.flat_map(u16::to_be_bytes).collect();
            encode(shape, png::BitDepth::Sixteen, &values, texts)?
        }
        _ => {
            let values: Vec<u8> = interleaved.map(<u8 as Sample>::from_16).collect();
            encode(shape, png::BitDepth::Eight, &values, texts)?
        }
    };
    write_file(path, &bytes, overwrite)
}

fn write_file(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<()> {
    if overwrite == Overwrite::Refuse && path.exists() {
        return Err(Error::config(format!("{} exists and is not overwritten", path.display())));
    }
    files::write_whole(path, |temporary| {
        fs::write(temporary, bytes).map_err(Error::io(path, "writing the picture"))
    })
}

/// Reads a picture file and brings it to `shape` as the data pipeline does: planar `[C, H, W]`
/// values in `[-1, 1]`.
///
/// # Errors
/// [`Error::Io`] if the file can't be read, [`Error::Data`] if it is no usable picture.
pub fn read_picture(path: &Path, shape: ImageShape, fit: Fit, background: u8) -> Result<Vec<f32>> {
    let planes = read_planes(path)?.0.into_channels(shape.channels, background);
    Ok(planar(&resize::fit(planes, shape.height, shape.width, fit, background)))
}

/// Reads a picture file and brings its longer side to `side` pixels: planar `[C, H, W]` values in `[-1, 1]`, and their
/// shape.
///
/// # Errors
/// As [`read_picture`].
pub fn read_scaled(
    path: &Path,
    channels: usize,
    side: usize,
    background: u8,
) -> Result<(Vec<f32>, ImageShape)> {
    let planes = read_planes(path)?.0.into_channels(channels, background);
    let longer = planes.height.max(planes.width).max(1);
    let scaled = |length: usize| ((length * side + longer / 2) / longer).max(1);
    let shape = ImageShape { channels, height: scaled(planes.height), width: scaled(planes.width) };
    let fitted = resize::fit(planes, shape.height, shape.width, Fit::Crop, background);
    Ok((planar(&fitted), shape))
}

/// The planes of a picture file, and how many bits a value has there: 8 or 16.
pub(crate) fn read_planes(path: &Path) -> Result<(Planes<u16>, u32)> {
    let bytes = fs::read(path).map_err(Error::io(path, "reading the picture"))?;
    let decoded = decode::decode(&bytes).map_err(|reason| Error::data(path, reason))?;
    let planes = Planes::<u16>::from_image(&decoded.image).ok_or_else(|| {
        Error::data(path, "floating-point pictures have no fixed range; save it with 8 or 16 bits")
    })?;
    let color = decoded.header.color;
    Ok((planes, if color.bytes_per_pixel() > color.channel_count() { 16 } else { 8 }))
}

/// Levels from 0 to 65,535 as values in `[-1, 1]`.
fn planar(picture: &Planes<u16>) -> Vec<f32> {
    picture.planes.iter().flatten().map(|&value| f32::from(value) / 32_767.5 - 1.0).collect()
}
