//! Pictures out: PNG files, sheets, contact sheets.

use std::fs;

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::data::{ImageShape, contact::contact_sheet};
use pinxit::image_io::{Overwrite, Picture, grid, pictures, read_picture, save_png};
use pinxit::recipe::Fit;

use super::{Scene, colourful, error_of};

#[test]
fn tensors_become_bytes_clamped_and_rounded_half_away() {
    // -1, 1, out of range on both sides, no number, and 0, which is 127.5 levels.
    let values = vec![-1.0f32, 1.0, -7.0, 7.0, f32::NAN, 0.0];
    let images = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 2, 3]), &Device::flex());
    let shown = pictures(images).unwrap();
    assert_eq!(shown[0].pixels, [0, 255, 0, 255, 0, 128]);
}

#[test]
fn what_is_saved_is_read_again() {
    let scene = Scene::new();
    for channels in 1..=4 {
        let shape = ImageShape { channels, height: 5, width: 7 };
        let mut pixels: Vec<u8> = (0..shape.len()).map(|i| (i * 11 % 256) as u8).collect();
        if channels % 2 == 0 {
            // Hidden colour is kept too.
            pixels[channels - 1] = 0;
        }
        let picture = Picture { shape, pixels };
        let path = scene.path(&format!("{channels}.png"));
        save_png(&path, &picture, &[], Overwrite::Refuse).unwrap();
        let read = read_picture(&path, shape, Fit::Crop, 255).unwrap();
        assert_eq!(Picture::from_planar(&read, shape), picture);
    }
}

#[test]
fn a_file_is_not_overwritten_unasked() {
    let scene = Scene::new();
    let path = scene.write("kept.png", b"precious");
    let picture = Picture::blank(ImageShape { channels: 3, height: 4, width: 4 });
    let error = error_of(save_png(&path, &picture, &[], Overwrite::Refuse));
    assert!(error.contains("kept.png") && error.contains("exists"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    save_png(&path, &picture, &[], Overwrite::Allow).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(b"\x89PNG"));
    let error = error_of(save_png(&scene.path("no/such/folder.png"), &picture, &[], Overwrite::Refuse));
    assert!(error.contains("folder.png"), "{error}");
    assert_eq!(fs::read_dir(scene.folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn text_entries_travel_with_the_picture() {
    let scene = Scene::new();
    let path = scene.path("signed.png");
    let texts = [("Software".to_owned(), "pinxit".to_owned()), ("Class".to_owned(), "Bär".to_owned())];
    let picture = Picture::blank(ImageShape { channels: 1, height: 2, width: 2 });
    save_png(&path, &picture, &texts, Overwrite::Refuse).unwrap();
    let file = fs::read(&path).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let info = reader.info();
    assert_eq!(info.uncompressed_latin1_text[0].text, "pinxit");
    assert_eq!(info.utf8_text[0].get_text().unwrap(), "Bär");
}

#[test]
fn a_sheet_magnifies_small_pictures_and_keeps_their_places() {
    let shape = ImageShape { channels: 1, height: 8, width: 8 };
    let shade = |level: u8| Picture { shape, pixels: vec![level; 64] };
    let sheet = grid(&[shade(10), shade(20), shade(30)], 2, 1);
    assert_eq!((sheet.shape.height, sheet.shape.width), (17 * 8, 17 * 8));
    let at = |y: usize, x: usize| sheet.pixels[y * sheet.shape.width + x];
    assert_eq!(
        [at(0, 0), at(63, 63), at(64, 64), at(0, 72), at(72, 0), at(100, 100)],
        [10, 10, 255, 20, 30, 255]
    );
    let large = ImageShape { channels: 3, height: 64, width: 100 };
    let sheet = grid(&[Picture::blank(large)], 8, 2);
    assert_eq!(sheet.shape, large);
}

#[test]
fn a_contact_sheet_has_a_row_for_each_class() {
    let scene = Scene::new();
    for number in 0..12 {
        let class = if number < 9 { "many" } else { "few" };
        scene.save(&format!("{class}/{number}.png"), &colourful(64, 64, number));
    }
    let opened = scene.open();
    let sheet = contact_sheet(&*opened.dataset, 10).unwrap();
    // few: 3 pictures and 2 blank places; many: 5 of 9.
    assert_eq!((sheet.shape.height, sheet.shape.width), (2 * 65 - 1, 5 * 65 - 1));
    let pixel = |y: usize, x: usize| &sheet.pixels[(y * sheet.shape.width + x) * 3..][..3];
    assert!(
        (0..64).all(|i| pixel(i, 4 * 65 + i) == [255, 255, 255]),
        "the last place of the first row is blank"
    );
    assert!((0..64).any(|i| pixel(65 + i, 4 * 65 + i) != [255, 255, 255]));
    assert!(error_of(contact_sheet(&*opened.dataset, 0)).contains("at least one"));
}
