//! What each format says, pixel by pixel.

use std::fs;
use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, RgbaImage};
use pinxit::image_io::read_picture;
use pinxit::recipe::{DataRecipe, Fit};
use safetensors::SafeTensors;

use super::{Scene, bytes, colourful, golden, values};

/// Oracle: oracle/pictures.py. Pillow wrote the files and says what is in them.
///
/// Inks are turned into colours in many ways, and decoders of lossy WebP may differ by a few levels (rounding of
/// the colour conversion); everything else is exact.
#[test]
fn pictures_of_every_kind_are_read_as_pillow_reads_them() {
    let file = fs::read(golden("pictures.safetensors")).unwrap();
    let golden_pixels = SafeTensors::deserialize(&file).unwrap();
    assert_eq!(golden_pixels.names().len(), 23);
    for name in golden_pixels.names() {
        let wanted = golden_pixels.tensor(name).unwrap();
        let &[height, width, channels] = wanted.shape() else { panic!("{name}: not [H, W, C]") };
        let shape = pinxit::data::ImageShape { channels, height, width };
        let picture = read_picture(&golden("pictures").join(name), shape, Fit::Crop, 255).unwrap();
        let got = |i: usize| ((picture[i % channels * height * width + i / channels] + 1.0) * 127.5).round();
        let difference = |(i, &byte): (usize, &u8)| (got(i) - f32::from(byte)).abs();
        let largest = wanted.data().iter().enumerate().map(difference).fold(0.0, f32::max);
        let allowed = match name {
            "cmyk.jpg" => 8.0,
            "lossy.webp" => 6.0,
            _ => 0.0,
        };
        assert!(largest <= allowed, "{name}: differs by {largest}");
    }
}

#[test]
fn every_format_is_found_by_its_content_whatever_its_name() {
    let scene = Scene::new();
    let picture = colourful(16, 16, 1);
    let formats = [
        ("a.png", ImageFormat::Png),
        ("b.jpg", ImageFormat::Jpeg),
        ("c.webp", ImageFormat::WebP),
        ("d.gif", ImageFormat::Gif),
        ("e.bmp", ImageFormat::Bmp),
        ("f.tiff", ImageFormat::Tiff),
        ("no_extension", ImageFormat::Png),
        ("wrong.jpg", ImageFormat::Png),
        ("shout.PNG", ImageFormat::Bmp),
    ];
    for (name, format) in formats {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        scene.write(name, file.get_ref());
    }
    scene.write("notes.txt", b"no picture");
    let opened = scene.open();
    let report = &opened.report;
    assert_eq!((report.found, report.usable, report.rejects.len()), (9, 9, 0));
    let counts: Vec<(&str, usize)> = report.formats.iter().map(|(k, &v)| (k.as_str(), v)).collect();
    assert_eq!(counts, [("BMP", 2), ("GIF", 1), ("JPEG", 1), ("PNG", 3), ("TIFF", 1), ("WebP", 1)]);
    assert_eq!(report.other.get("txt"), Some(&1));
    let wanted: Vec<u8> =
        (0..3).flat_map(|c| picture.to_rgb8().pixels().map(move |p| p[c]).collect::<Vec<_>>()).collect();
    for index in 0..9 {
        let lossless = !["b.jpg", "d.gif"].iter().any(|lossy| opened.dataset.name(index).ends_with(lossy));
        assert!(!lossless || bytes(&*opened.dataset, index) == wanted, "{}", opened.dataset.name(index));
    }
}

/// Analytic case: the table of the EXIF standard (tag 274), where A B / C D are the quarters of
/// the stored picture.
#[test]
fn exif_orientation_turns_a_jpeg_upright() {
    const UPRIGHT: [(u8, [u8; 4]); 8] = [
        (1, *b"ABCD"),
        (2, *b"BADC"),
        (3, *b"DCBA"),
        (4, *b"CDAB"),
        (5, *b"ACBD"),
        (6, *b"CADB"),
        (7, *b"DBCA"),
        (8, *b"BDAC"),
    ];
    let scene = Scene::new();
    let quarter = |x: u32, y: u32| [[20u8, 90], [160, 230]][usize::from(y >= 8)][usize::from(x >= 16)];
    let stored = DynamicImage::ImageLuma8(ImageBuffer::from_fn(32, 16, |x, y| Luma([quarter(x, y)])));
    let mut jpeg = Cursor::new(Vec::new());
    stored.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    for (orientation, _) in UPRIGHT {
        scene.write(&format!("{orientation}.jpg"), &with_orientation(jpeg.get_ref(), orientation));
    }
    let opened = scene.open_with(&DataRecipe { size: Some([16, 16]), ..scene.recipe() }).unwrap();
    for (index, (orientation, quarters)) in UPRIGHT.iter().enumerate() {
        let pixels = bytes(&*opened.dataset, index);
        let seen = [(4, 4), (4, 12), (12, 4), (12, 12)].map(|(y, x)| pixels[y * 16 + x]);
        let letters = seen.map(|level| b"ABCD"[usize::from(level.saturating_sub(20) / 60).min(3)]);
        assert_eq!(letters, *quarters, "orientation {orientation}");
    }
    let sizes: Vec<_> = opened.report.sizes.iter().map(|s| (s.width, s.height, s.count)).collect();
    assert_eq!(sizes, [(16, 32, 4), (32, 16, 4)]);
}

/// Puts an APP1 segment with nothing but the orientation behind the start marker.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut segment = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01".to_vec();
    segment.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
    let length = (segment.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &segment, &jpeg[2..]].concat()
}

/// Analytic case: 16-bit values come out as v / 32767.5 - 1, 8-bit ones beside them as v / 127.5 - 1.
#[test]
fn sixteen_bits_are_kept() {
    let scene = Scene::new();
    let level = |x: u32, y: u32| (x * 4096 + y * 17 + 5) as u16;
    let deep: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(16, 16, |x, y| Luma([level(x, y)]));
    let shallow = ImageBuffer::from_fn(16, 16, |x, y| Luma([(x * 16 + y) as u8]));
    scene.save("a.png", &DynamicImage::ImageLuma16(deep.clone()));
    scene.save("b.tiff", &DynamicImage::ImageLuma16(deep.clone()));
    scene.save("c.png", &DynamicImage::ImageLuma8(shallow.clone()));
    let opened = scene.open();
    assert_eq!((opened.report.bits, opened.dataset.shape().channels), (16, 1));
    assert_eq!(
        opened.report.kinds.iter().map(|(k, &n)| (k.as_str(), n)).collect::<Vec<_>>(),
        [("grey 16-bit", 2), ("grey 8-bit", 1)]
    );
    let exact = deep.pixels().map(|p| f32::from(p[0]) / 32_767.5 - 1.0).collect::<Vec<_>>();
    assert_eq!(values(&*opened.dataset, 0), exact);
    assert_eq!(values(&*opened.dataset, 1), exact);
    for (got, wanted) in values(&*opened.dataset, 2).iter().zip(shallow.pixels()) {
        assert!((got - (f32::from(wanted[0]) / 127.5 - 1.0)).abs() < 1e-6);
    }
}

#[test]
fn an_animated_gif_shows_its_first_frame() {
    let scene = Scene::new();
    let mut file = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut file);
        for level in [[255, 0, 0, 255], [0, 255, 0, 255]] {
            encoder.encode_frame(Frame::new(RgbaImage::from_pixel(16, 16, image::Rgba(level)))).unwrap();
        }
    }
    scene.write("walk.gif", &file);
    let opened = scene.open();
    assert_eq!(opened.dataset.shape().channels, 3, "nothing in it is transparent");
    let pixels = bytes(&*opened.dataset, 0);
    assert!(pixels[..256].iter().all(|&v| v == 255) && pixels[256..].iter().all(|&v| v == 0));
}

#[test]
fn floating_point_pictures_are_refused_by_name() {
    let scene = Scene::new();
    scene.save("good.png", &colourful(16, 16, 0));
    scene.save(
        "float.tiff",
        &DynamicImage::ImageRgb32F(ImageBuffer::from_pixel(16, 16, Rgb([0.5, 0.5, 0.5]))),
    );
    let opened = scene.open();
    assert_eq!((opened.report.usable, opened.report.bits), (1, 8));
    assert_eq!(opened.report.rejects[0].path, "float.tiff");
    assert!(opened.report.rejects[0].reason.contains("floating-point"), "{:?}", opened.report.rejects);
}

/// The richest kind that really occurs: a colour picture among grey ones, alpha only where it shows.
#[test]
fn channels_are_chosen_from_the_pictures() {
    let grey = DynamicImage::ImageLuma8(ImageBuffer::from_pixel(16, 16, Luma([7])));
    let colour = DynamicImage::ImageRgb8(RgbImage::from_pixel(16, 16, Rgb([1, 2, 3])));
    let rgba = |alpha| DynamicImage::ImageRgba8(RgbaImage::from_pixel(16, 16, image::Rgba([1, 2, 3, alpha])));
    let grey_alpha =
        |alpha| DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(16, 16, image::LumaA([9, alpha])));
    let cases: [(&[&DynamicImage], usize); 6] = [
        (&[&grey, &grey], 1),
        (&[&grey, &grey_alpha(255)], 1),
        (&[&grey, &grey_alpha(254)], 2),
        (&[&grey, &colour], 3),
        (&[&colour, &rgba(255)], 3),
        (&[&grey, &rgba(0)], 4),
    ];
    for (pictures, channels) in cases {
        let scene = Scene::new();
        for (number, picture) in pictures.iter().enumerate() {
            scene.save(&format!("{number}.png"), picture);
        }
        assert_eq!(scene.open().dataset.shape().channels, channels);
    }
}

/// Analytic cases: alpha over grey 100, (200 * 128 + 100 * 127) / 255 = 150.2; luma of pure red
/// 255 * 0.299 = 76.2.
#[test]
fn channels_are_converted_as_asked() {
    let scene = Scene::new();
    scene.save(
        "a.png",
        &DynamicImage::ImageRgba8(RgbaImage::from_pixel(16, 16, image::Rgba([200, 200, 200, 128]))),
    );
    scene.save("b.png", &DynamicImage::ImageRgb8(RgbImage::from_pixel(16, 16, Rgb([255, 0, 0]))));
    let first_values = |channels| {
        let recipe = DataRecipe { channels: Some(channels), background: 100, ..scene.recipe() };
        let dataset = scene.open_with(&recipe).unwrap().dataset;
        [0, 1].map(|index| bytes(&*dataset, index).iter().step_by(256).copied().collect::<Vec<u8>>())
    };
    assert_eq!(first_values(1), [vec![150], vec![76]]);
    assert_eq!(first_values(2), [vec![200, 128], vec![76, 255]]);
    assert_eq!(first_values(3), [vec![150, 150, 150], vec![255, 0, 0]]);
    assert_eq!(first_values(4), [vec![200, 200, 200, 128], vec![255, 0, 0, 255]]);
}
