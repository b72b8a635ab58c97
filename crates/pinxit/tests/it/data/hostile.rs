//! Files that are broken, cut off, huge or malicious: counted and named, and the rest goes on.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma};
use pinxit::image_io::read_picture;
use pinxit::recipe::Fit;
use pinxit::rng::{Purpose, Rng};

use super::{Scene, bytes, colourful, golden};

const FORMATS: [(&str, ImageFormat); 6] = [
    ("png", ImageFormat::Png),
    ("jpg", ImageFormat::Jpeg),
    ("webp", ImageFormat::WebP),
    ("gif", ImageFormat::Gif),
    ("bmp", ImageFormat::Bmp),
    ("tiff", ImageFormat::Tiff),
];

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    colourful(40, 40, 3).write_to(&mut file, format).unwrap();
    file.into_inner()
}

#[test]
fn broken_files_are_counted_and_named_and_the_rest_is_used() {
    let scene = Scene::new();
    scene.save("good.png", &colourful(16, 16, 0));
    let mut broken = Vec::new();
    for (extension, format) in FORMATS {
        let whole = encoded(format);
        for (part, length) in
            [("empty", 0), ("head", 20), ("half", whole.len() / 2), ("most", whole.len() * 9 / 10)]
        {
            broken.push(format!("{part}.{extension}"));
            scene.write(&broken[broken.len() - 1], &whole[..length]);
        }
        broken.push(format!("text.{extension}"));
        scene.write(&broken[broken.len() - 1], b"this is no picture at all");
    }
    broken.sort();
    let opened = scene.open();
    let rejects: Vec<_> = opened.report.rejects.iter().map(|reject| reject.path.clone()).collect();
    assert_eq!(rejects, broken, "{:#?}", opened.report.rejects);
    assert!(
        opened.report.rejects.iter().all(|reject| !reject.reason.is_empty() && !reject.reason.contains('\n'))
    );
    assert_eq!((opened.report.found, opened.report.usable, opened.dataset.len()), (31, 1, 1));
}

/// A file of a hundred bytes that claims to be 60,000 pixels wide and high.
#[test]
fn a_decompression_bomb_is_refused_before_it_is_unpacked() {
    let scene = Scene::new();
    scene.save("good.png", &colourful(16, 16, 0));
    let side = 60_000u32;
    let mut png = encoded(ImageFormat::Png);
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    scene.write("bomb.png", &png);
    let mut bmp = encoded(ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&side.to_le_bytes());
    bmp[22..26].copy_from_slice(&side.to_le_bytes());
    scene.write("bomb.bmp", &bmp);
    let mut gif = encoded(ImageFormat::Gif);
    gif[6..8].copy_from_slice(&(side as u16).to_le_bytes());
    gif[8..10].copy_from_slice(&(side as u16).to_le_bytes());
    scene.write("bomb.gif", &gif);
    let opened = scene.open();
    assert_eq!(opened.report.usable, 1);
    for reject in &opened.report.rejects {
        assert!(reject.reason.contains("too large: 60000x60000"), "{reject:?}");
    }
    assert_eq!(opened.report.rejects.len(), 3);
}

/// Pictures of more than 2^24 pixels are decoded one at a time; none must wait for ever.
#[test]
fn large_pictures_take_turns() {
    let scene = Scene::new();
    let large = DynamicImage::ImageLuma8(ImageBuffer::from_fn(4100, 4100, |x, _| Luma([(x / 17) as u8])));
    for name in ["1.bmp", "2.bmp", "3.bmp"] {
        scene.save(name, &large);
    }
    let opened = scene.open();
    assert_eq!((opened.report.usable, opened.dataset.shape().height), (3, 64));
    let row = &bytes(&*opened.dataset, 2)[..64];
    assert!(row.windows(2).all(|pair| pair[0] < pair[1]), "a slope stays a slope: {row:?}");
}

/// The checksum of a PNG chunk (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    })
}

/// Whatever the bytes are, reading ends in pixels or in an error: it never panics, never hangs.
#[test]
fn mutated_files_never_panic() {
    let scene = Scene::new();
    let shape = pinxit::data::ImageShape { channels: 4, height: 8, width: 8 };
    let seeds: Vec<PathBuf> = fs::read_dir(golden("pictures")).unwrap().map(|e| e.unwrap().path()).collect();
    let mut originals: Vec<Vec<u8>> = seeds.iter().map(|path| fs::read(path).unwrap()).collect();
    originals.extend(FORMATS.map(|(_, format)| encoded(format)));
    assert_eq!(originals.len(), 29);
    let (mut read, mut refused) = (0, 0);
    for (number, original) in originals.iter().enumerate() {
        for round in 0..200 {
            let mut rng = Rng::new(round, Purpose::Picture, number as u32, 0);
            // A new file each time: overwriting one waits for the disk.
            let path = scene.write(&format!("{number}-{round}"), &mutated(original, &mut rng));
            match read_picture(&path, shape, Fit::Crop, 0) {
                Ok(values) => {
                    read += 1;
                    assert!(values.len() == shape.len() && values.iter().all(|v| (-1.0..=1.0).contains(v)));
                }
                Err(error) => {
                    refused += 1;
                    let error = error.to_string();
                    assert!(!error.contains("the decoder failed"), "{number}/{round}: a decoder panicked");
                }
            }
        }
    }
    assert!(read > 200 && refused > 1000, "{read} read, {refused} refused: the mutations do not bite");
}

/// A few bytes changed, a piece cut out, or the end cut off.
fn mutated(original: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let length = bytes.len() as u32;
    match rng.below(4) {
        0 => {
            let start = rng.below(length) as usize;
            let end = (start + 1 + rng.below(40) as usize).min(bytes.len());
            bytes.drain(start..end);
        }
        1 => bytes.truncate(rng.below(length) as usize),
        _ => {
            for _ in 0..=rng.below(8) {
                // The heads of the formats lie within the first 64 bytes.
                let within = if rng.chance(0.5) { length.min(64) } else { length };
                bytes[rng.below(within) as usize] = rng.bits() as u8;
            }
        }
    }
    bytes
}
