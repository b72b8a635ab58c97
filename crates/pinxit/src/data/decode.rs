//! Bytes of a file to pixels: six formats, limits, orientation, and no trust in the decoders.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::jpeg;

/// The formats that Pinxit reads, with their usual file name extensions.
pub(crate) const FORMATS: [(ImageFormat, &str, &[&str]); 6] = [
    (ImageFormat::Png, "PNG", &["png", "apng"]),
    (ImageFormat::Jpeg, "JPEG", &["jpg", "jpeg", "jpe", "jfif"]),
    (ImageFormat::WebP, "WebP", &["webp"]),
    (ImageFormat::Gif, "GIF", &["gif"]),
    (ImageFormat::Bmp, "BMP", &["bmp", "dib"]),
    (ImageFormat::Tiff, "TIFF", &["tif", "tiff"]),
];

/// Largest picture that is decoded, in pixels: a small file may claim to be endless.
pub(super) const MAX_PIXELS: u64 = 1 << 27;
/// Largest memory that a decoder may take, in bytes.
pub(super) const MAX_ALLOC: u64 = 1 << 30;
/// Pictures with more pixels than this are decoded one at a time, to bound the memory of all threads.
const LARGE_PIXELS: u64 = 1 << 24;
/// Largest file that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 1 << 29;

static LARGE_PICTURES: Mutex<()> = Mutex::new(());

/// What the head of a file says about its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Name of the format.
    pub(crate) format: &'static str,
    /// Columns, after the orientation was applied.
    pub(crate) width: u32,
    /// Rows, after the orientation was applied.
    pub(crate) height: u32,
    /// Channels and bits of the pixels.
    pub(crate) color: ColorType,
}

/// A decoded picture, upright.
pub(crate) struct Decoded {
    pub(crate) header: Header,
    pub(crate) image: DynamicImage,
    /// Held while the pixels of a large picture are in memory.
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Decoded {
    /// A picture that was not in one of the [`FORMATS`].
    pub(crate) fn from_image(image: DynamicImage, format: &'static str) -> Self {
        let header = Header { format, width: image.width(), height: image.height(), color: image.color() };
        Self { header, image, _turn: None }
    }
}

/// The format that the first bytes show.
pub(crate) fn sniff(bytes: &[u8]) -> Option<ImageFormat> {
    let format = image::guess_format(bytes).ok()?;
    FORMATS.iter().any(|&(known, ..)| known == format).then_some(format)
}

/// Whether `extension` is one of a format that Pinxit reads.
pub(crate) fn is_picture_extension(extension: &str) -> bool {
    let extension = extension.to_ascii_lowercase();
    FORMATS.iter().any(|(_, _, extensions)| extensions.contains(&extension.as_str()))
}

/// Reads the head of a picture file; the error is the reason why it can't be used.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, String> {
    contained(|| decoder(bytes).map(|(_, header, _)| header))
}

/// Decodes the first picture of a file; the error is the reason why it can't be used.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    contained(|| {
        let (decoder, header, orientation) = decoder(bytes)?;
        let large = u64::from(header.width) * u64::from(header.height) > LARGE_PIXELS;
        let turn = large.then(|| LARGE_PICTURES.lock().unwrap_or_else(PoisonError::into_inner));
        let exact = match sniff(bytes) {
            Some(ImageFormat::Jpeg) => jpeg::decode(bytes, decoder.dimensions()),
            _ => None,
        };
        let mut image = exact.map_or_else(|| DynamicImage::from_decoder(decoder).map_err(reason), Ok)?;
        image.apply_orientation(orientation);
        Ok(Decoded { header, image, _turn: turn })
    })
}

/// Runs a decoder on bytes that nobody vouches for: its panic is one more reason.
fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the decoder failed on it".into()))
}

fn decoder(bytes: &[u8]) -> Result<(impl ImageDecoder + '_, Header, Orientation), String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let format = sniff(bytes).ok_or("its content is no PNG, JPEG, WebP, GIF, BMP or TIFF")?;
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err("the file is cut off: a JPEG without its end marker".into());
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("it has no pixels ({width}x{height})"));
    }
    if pixels > MAX_PIXELS || decoder.total_bytes() > MAX_ALLOC {
        return Err(format!(
            "it is too large: {width}x{height}, more than {MAX_PIXELS} pixels or {MAX_ALLOC} bytes"
        ));
    }
    // A damaged EXIF block costs the orientation, not the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = if swaps_sides(orientation) { (height, width) } else { (width, height) };
    let name = FORMATS.iter().find(|(known, ..)| *known == format).map_or("", |(_, name, _)| name);
    let header = Header { format: name, width, height, color: decoder.color_type() };
    Ok((decoder, header, orientation))
}

fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation as O;
    matches!(orientation, O::Rotate90 | O::Rotate270 | O::Rotate90FlipH | O::Rotate270FlipH)
}

/// The message of a decoder, on one line.
fn reason(error: ImageError) -> String {
    match error {
        ImageError::Limits(_) => "it needs more memory or pixels than the limit".into(),
        error => error.to_string().lines().collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    #[test]
    fn a_decoder_that_panics_is_one_more_reason() {
        let reason = contained::<()>(|| panic!("a bug in somebody's decoder"));
        assert_eq!(reason, Err("the decoder failed on it".into()));
    }
}
