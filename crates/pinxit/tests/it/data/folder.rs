//! What is found in a folder, and in which order.

use std::fs;

use pinxit::recipe::{DataRecipe, Fit};

use super::{Scene, bytes, colourful, error_of};

#[test]
fn folders_are_classes_only_if_every_picture_lies_in_one() {
    let scene = Scene::new();
    for (number, name) in ["cat/1.png", "cat/deep/er/2.png", "dog/1.png"].iter().enumerate() {
        scene.save(name, &colourful(8, 8, number as u32));
    }
    let opened = scene.open();
    assert_eq!(opened.dataset.classes(), ["cat", "dog"]);
    assert_eq!((0..3).map(|i| opened.dataset.label(i)).collect::<Vec<_>>(), [0, 0, 1]);
    let counts: Vec<_> = opened.report.classes.iter().map(|c| (c.name.as_str(), c.count)).collect();
    assert_eq!(counts, [("cat", 2), ("dog", 1)]);

    let without = scene.open_with(&DataRecipe { labels: false, ..scene.recipe() }).unwrap();
    assert!(without.dataset.classes().is_empty() && without.report.classes.is_empty());

    scene.save("stray.png", &colourful(8, 8, 9));
    assert!(scene.open().dataset.classes().is_empty());
}

#[test]
fn a_class_without_a_usable_picture_is_no_class() {
    let scene = Scene::new();
    scene.save("ant/1.png", &colourful(8, 8, 0));
    scene.write("bee/1.png", b"broken");
    scene.save("cow/1.png", &colourful(8, 8, 1));
    let opened = scene.open();
    assert_eq!(opened.dataset.classes(), ["ant", "cow"]);
    assert_eq!([0, 1].map(|i| opened.dataset.label(i)), [0, 1]);
}

#[test]
fn the_order_is_that_of_the_paths() {
    let scene = Scene::new();
    for name in ["b/2.png", "a.png", "b/10.png", "B.png", "c/x/1.png"] {
        scene.save(name, &colourful(8, 8, name.len() as u32));
    }
    let opened = scene.open();
    let root = format!("{}/", scene.folder.path().display());
    let names: Vec<_> = (0..5).map(|i| opened.dataset.name(i).replacen(&root, "", 1)).collect();
    assert_eq!(names, ["B.png", "a.png", "b/10.png", "b/2.png", "c/x/1.png"]);
}

#[test]
fn hidden_files_are_left_out() {
    let scene = Scene::new();
    scene.save("seen.png", &colourful(8, 8, 0));
    scene.save(".hidden.png", &colourful(8, 8, 1));
    scene.save(".thumbnails/small.png", &colourful(8, 8, 2));
    assert_eq!(scene.open().report.found, 1);
}

/// Not every name on a disk is text.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_read_too() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    let picture = fs::read(scene.save("a.png", &colourful(8, 8, 0))).unwrap();
    fs::write(scene.folder.path().join(std::ffi::OsStr::from_bytes(b"\xFF\xFE.png")), picture).unwrap();
    let opened = scene.open();
    assert_eq!((opened.report.usable, opened.report.rejects.len()), (2, 0));
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_loops_end() {
    use std::os::unix::fs::symlink;
    let (scene, elsewhere) = (Scene::new(), Scene::new());
    scene.save("real/1.png", &colourful(8, 8, 0));
    elsewhere.save("2.png", &colourful(8, 8, 1));
    symlink(scene.folder.path(), scene.path("real/loop")).unwrap();
    symlink(scene.path("real"), scene.path("again")).unwrap();
    symlink(elsewhere.folder.path(), scene.path("linked")).unwrap();
    symlink(scene.path("nowhere.png"), scene.path("dangling.png")).unwrap();
    let opened = scene.open();
    assert_eq!(opened.dataset.classes(), ["linked", "real"]);
    assert_eq!((opened.report.usable, opened.report.rejects.len()), (2, 1));
    assert_eq!(opened.report.rejects[0].path, "dangling.png");
}

#[test]
fn a_folder_without_pictures_says_what_was_looked_for_and_what_is_there() {
    let scene = Scene::new();
    let empty = error_of(scene.open_with(&scene.recipe()));
    assert!(empty.contains("PNG, JPEG, WebP, GIF, BMP and TIFF"), "{empty}");
    scene.write("a.heic", b"ftyp");
    scene.write("b.heic", b"ftyp");
    scene.write("README", b"hello");
    let error = error_of(scene.open_with(&scene.recipe()));
    assert!(error.contains("2 .heic, 1 without extension"), "{error}");
    scene.write("broken.png", b"\x89PNG\r\n\x1a\n");
    let error = error_of(scene.open_with(&scene.recipe()));
    assert!(error.contains("none of its 1 pictures") && error.contains("broken.png"), "{error}");
    assert_eq!(fs::read_dir(scene.cache.path()).unwrap().count(), 0, "nothing is left in the cache");
}

#[test]
fn what_is_no_folder_of_pictures_is_told_apart() {
    let scene = Scene::new();
    let source =
        |name: &str| DataRecipe { source: scene.path(name).to_str().unwrap().into(), ..scene.recipe() };
    let error = error_of(scene.open_with(&source("missing")));
    assert!(error.contains("not found") && error.contains("missing"), "{error}");
    scene.save("one.png", &colourful(8, 8, 0));
    let error = error_of(scene.open_with(&source("one.png")));
    assert!(error.contains("one picture") && error.contains("folder"), "{error}");
    scene.write("text.txt", b"hello");
    let error = error_of(scene.open_with(&source("text.txt")));
    assert!(error.contains("IDX or CIFAR"), "{error}");
    let error = error_of(scene.open_with(&DataRecipe::default()));
    assert!(error.contains("data.source is empty"), "{error}");
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let scene = Scene::new();
    scene.save("a.png", &colourful(8, 8, 0));
    for size in [[0, 8], [8, 0], [5000, 8]] {
        let error = error_of(scene.open_with(&DataRecipe { size: Some(size), ..scene.recipe() }));
        assert!(error.contains("data.size"), "{error}");
    }
    for channels in [0, 5] {
        let error = error_of(scene.open_with(&DataRecipe { channels: Some(channels), ..scene.recipe() }));
        assert!(error.contains("data.channels"), "{error}");
    }
}

/// The documented rule: the median short side, rounded to a multiple of 8, 8 to 64.
#[test]
fn the_size_is_chosen_from_the_short_sides() {
    for (sizes, side) in [
        (&[(28, 28), (28, 28)][..], 32),
        (&[(20, 90), (17, 30), (400, 26)], 24),
        (&[(500, 300), (640, 480)], 64),
        (&[(1, 1)], 8),
    ] {
        let scene = Scene::new();
        for (number, &(width, height)) in sizes.iter().enumerate() {
            scene.save(&format!("{number}.png"), &colourful(width, height, number as u32));
        }
        let shape = scene.open().dataset.shape();
        assert_eq!((shape.height, shape.width), (side, side), "{sizes:?}");
    }
}

/// Analytic case: a wide picture, white in the middle third and black beside it.
#[test]
fn crop_keeps_the_centre_and_letterbox_keeps_all() {
    let scene = Scene::new();
    let white = |x: u32| image::Luma([if (16..32).contains(&x) { 255 } else { 0 }]);
    scene.save(
        "wide.png",
        &image::DynamicImage::ImageLuma8(image::ImageBuffer::from_fn(48, 16, |x, _| white(x))),
    );
    let open = |fit| {
        let recipe = DataRecipe { size: Some([24, 24]), fit, background: 77, ..scene.recipe() };
        bytes(&*scene.open_with(&recipe).unwrap().dataset, 0)
    };
    // All but the columns at the sides, where the filter reaches over the edge of the crop.
    assert!(open(Fit::Crop).iter().filter(|&&v| v >= 240).count() >= 20 * 24);
    let boxed = open(Fit::Letterbox);
    assert!(boxed[..8 * 24].iter().all(|&v| v == 77) && boxed[16 * 24..].iter().all(|&v| v == 77));
    assert_eq!([boxed[12 * 24 + 2], boxed[12 * 24 + 12], boxed[12 * 24 + 21]], [0, 255, 0]);
}
