//! IDX and CIFAR binary files.

use pinxit::Result;
use pinxit::data::Opened;
use pinxit::recipe::DataRecipe;

use super::{Scene, bytes, error_of};

fn idx_images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let mut file = vec![0, 0, 8, 3];
    [count, height, width].iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend((0..count * height * width).map(|i| (i * 7 % 256) as u8));
    file
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, 1];
    file.extend((labels.len() as u32).to_be_bytes());
    file.extend(labels);
    file
}

fn open(scene: &Scene, name: &str, size: [usize; 2]) -> Result<Opened> {
    let source = scene.path(name).to_str().unwrap().into();
    scene.open_with(&DataRecipe { source, size: Some(size), ..scene.recipe() })
}

#[test]
fn idx_pictures_come_with_the_labels_beside_them() {
    let scene = Scene::new();
    let images = idx_images(4, 8, 6);
    scene.write("train-images-idx3-ubyte", &images);
    scene.write("train-labels-idx1-ubyte", &idx_labels(&[3, 0, 3, 1]));
    let opened = open(&scene, "train-images-idx3-ubyte", [8, 6]).unwrap();
    // Class 2 has no picture.
    assert_eq!(opened.dataset.classes(), ["0", "1", "3"]);
    assert_eq!((0..4).map(|i| opened.dataset.label(i)).collect::<Vec<_>>(), [2, 0, 2, 1]);
    let all: Vec<u8> = (0..4).flat_map(|i| bytes(&*opened.dataset, i)).collect();
    assert_eq!(all, images[16..]);
    assert!(opened.dataset.name(2).ends_with("#2"));
    // The folder that holds the set names it too.
    let by_folder = open(&scene, "", [8, 6]).unwrap();
    assert_eq!(by_folder.dataset.len(), 4);
}

#[test]
fn idx_without_labels_has_no_classes() {
    let scene = Scene::new();
    scene.write("faces.idx", &idx_images(3, 4, 4));
    assert!(open(&scene, "faces.idx", [4, 4]).unwrap().dataset.classes().is_empty());
}

/// EMNIST stores pictures column by column.
#[test]
fn emnist_is_turned_upright() {
    let scene = Scene::new();
    let images = idx_images(1, 8, 8);
    scene.write("emnist-letters-train-images-idx3-ubyte", &images);
    let opened = open(&scene, "emnist-letters-train-images-idx3-ubyte", [8, 8]).unwrap();
    let turned: Vec<u8> = (0..64).map(|i| images[16 + i % 8 * 8 + i / 8]).collect();
    assert_eq!(bytes(&*opened.dataset, 0), turned);
}

#[test]
fn malformed_idx_files_say_what_is_wrong() {
    let whole = idx_images(4, 8, 6);
    let huge = [&[0, 0, 8, 3][..], &[0xFF; 12], &[0; 8]].concat();
    for (name, file, said) in [
        ("cut-images", &whole[..whole.len() - 1], "damaged"),
        ("long-images", &[&whole[..], b"x"].concat()[..], "damaged"),
        ("head-images", &whole[..10], "three sizes"),
        ("none-images", &idx_images(0, 8, 8)[..], "damaged"),
        ("huge-images", &huge[..], "damaged"),
        ("some-labels-idx1-ubyte", &idx_labels(&[1, 2])[..], "these are labels"),
        ("packed.gz", &[0x1F, 0x8B, 8, 0][..], "gunzip"),
    ] {
        let scene = Scene::new();
        scene.write(name, file);
        let error = error_of(open(&scene, name, [8, 6]));
        assert!(error.contains(said) && error.contains(name), "{name}: {error}");
    }
    for (labels, said) in [(idx_labels(&[1, 2]), "2 labels for 4 pictures"), (whole.clone(), "8-bit labels")]
    {
        let scene = Scene::new();
        scene.write("t-images-idx3", &whole);
        scene.write("t-labels-idx1", &labels);
        let error = error_of(open(&scene, "t-images-idx3", [8, 6]));
        assert!(error.contains(said) && error.contains("t-labels-idx1"), "{error}");
    }
}

fn cifar_record(labels: &[u8], seed: usize) -> Vec<u8> {
    let mut record = labels.to_vec();
    record.extend((0..3072).map(|i| ((i * 13 + seed * 5) % 256) as u8));
    record
}

#[test]
fn cifar_10_is_read_from_a_file_or_its_folder() {
    let scene = Scene::new();
    let batch = |number: usize| [cifar_record(&[9], number), cifar_record(&[2], number + 50)].concat();
    scene.write("data_batch_1.bin", &batch(1));
    scene.write("data_batch_2.bin", &batch(2));
    scene.write("test_batch.bin", &batch(3));
    let opened = open(&scene, "", [32, 32]).unwrap();
    assert_eq!(opened.dataset.len(), 4, "the test batch is left alone");
    assert_eq!(opened.dataset.classes(), ["bird", "truck"]);
    assert_eq!(bytes(&*opened.dataset, 2), batch(2)[1..3073]);
    assert!(opened.dataset.name(3).ends_with("data_batch_2 #1"), "{}", opened.dataset.name(3));
    assert_eq!(open(&scene, "test_batch.bin", [32, 32]).unwrap().dataset.len(), 2);
}

#[test]
fn cifar_100_has_its_fine_labels() {
    let scene = Scene::new();
    let file = [cifar_record(&[3, 99], 1), cifar_record(&[4, 0], 2), cifar_record(&[4, 100], 3)].concat();
    scene.write("train.bin", &file);
    let names: Vec<String> = (0..100).map(|n| format!("thing {n}")).collect();
    scene.write("fine_label_names.txt", names.join("\n").as_bytes());
    let opened = open(&scene, "train.bin", [32, 32]).unwrap();
    assert_eq!(opened.dataset.classes(), ["thing 0", "thing 99"]);
    assert_eq!(bytes(&*opened.dataset, 0), file[2..3074]);
    assert_eq!(opened.report.rejects.len(), 1);
    assert!(opened.report.rejects[0].reason.contains("label 100"), "{:?}", opened.report.rejects);
}

#[test]
fn a_cut_cifar_folder_names_the_file() {
    let scene = Scene::new();
    scene.write("data_batch_1.bin", &cifar_record(&[1], 1));
    scene.write("data_batch_2.bin", &cifar_record(&[1], 1)[..3000]);
    let error = error_of(open(&scene, "", [32, 32]));
    assert!(error.contains("3000 bytes") && error.contains("data_batch_2"), "{error}");
}
