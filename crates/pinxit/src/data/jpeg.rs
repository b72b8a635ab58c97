//! JPEG to the level: what libjpeg-turbo, and with it Pillow and every Python tool, reads out of a file.
//!
//! ITU-T T.81 leaves the rounding of the cosine transform and the filter that enlarges the colour planes to the
//! decoder. zune-jpeg, the one of the `image` crate, lies up to 12 levels off libjpeg-turbo (a seventh to a quarter of
//! the values of pictures with halved colour planes differ), which moves an FID by 1e-3 of its value.

use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};

use super::decode::{MAX_ALLOC, MAX_PIXELS};

/// The pixels of a grey or colour JPEG of this width and height; none for other kinds and damaged files, about which
/// the decoder for all formats has the last word.
pub(super) fn decode(bytes: &[u8], (width, height): (u32, u32)) -> Option<DynamicImage> {
    let mut limits = DecodeLimits::default();
    (limits.max_pixels, limits.max_memory) = (MAX_PIXELS, Some(MAX_ALLOC));
    let mut decoder = Decoder::new_with_limits(bytes, limits).ok()?;
    let format = match decoder.header().components.len() {
        1 => PixelFormat::Grayscale,
        3 => PixelFormat::Rgb,
        _ => return None,
    };
    decoder.set_output_format(format);
    let levels = decoder.decode_image().ok().filter(|image| image.width == width as usize)?.data;
    match format {
        PixelFormat::Grayscale => GrayImage::from_raw(width, height, levels).map(DynamicImage::ImageLuma8),
        _ => RgbImage::from_raw(width, height, levels).map(DynamicImage::ImageRgb8),
    }
}

/// Whether a JPEG reaches its end marker.
///
/// Decoders fill what is missing of a truncated file with grey and say nothing, so the
/// segments are walked here (ITU-T T.81, annex B): in entropy-coded data 0xFF is followed by 0 or
/// a restart marker, so that the first other marker is a true one.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    const EOI: u8 = 0xD9;
    const SOS: u8 = 0xDA;
    let mut at = 2; // behind SOI
    loop {
        let Some(&[0xFF, marker]) = bytes.get(at..at + 2) else { return false };
        at += 2;
        match marker {
            EOI => return true,
            0xFF => at -= 1,                // fill byte
            0x01 | 0xD0..=0xD7 => continue, // markers without a segment
            _ => {
                let Some(&[high, low]) = bytes.get(at..at + 2) else { return false };
                at += usize::from(u16::from_be_bytes([high, low])).max(2);
                if marker == SOS {
                    let Some(offset) = next_marker(bytes.get(at..).unwrap_or_default()) else { return false };
                    at += offset;
                }
            }
        }
    }
}

/// Where the entropy-coded data that `bytes` starts with ends.
fn next_marker(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Analytic cases after ITU-T T.81: SOI, a scan with stuffed zeros and restart markers, EOI.
    #[test]
    fn a_is_whole_if_its_segments_lead_to_the_end_marker() {
        let head = [0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0xFF, 0xD9]; // an end marker inside a segment
        let scan = [0xFF, 0xDA, 0, 3, 0, 17, 0xFF, 0, 42, 0xFF, 0xD0, 42];
        let end = [0xFF, 0xFF, 0xD9];
        let whole = [&head[..], &scan, &scan, &end, b"trailing bytes"].concat();
        assert!(is_whole(&whole));
        for length in 0..head.len() + 2 * scan.len() + end.len() {
            assert!(!is_whole(&whole[..length]), "cut at {length}");
        }
    }
}
