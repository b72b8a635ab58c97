//! What goes in beside what comes out.

use burn::tensor::Device;
use image::{DynamicImage, GenericImage};
use pinxit::data::split::{self, Split};
use pinxit::data::{Batch, Dataset, Inputs, Loader};
use pinxit::recipe::{DataRecipe, Pair};

use super::{Scene, bytes, colourful, error_of, values};
use crate::golden;

/// The values of `colourful` as the data sets have them.
fn planar(seed: u32) -> Vec<u8> {
    let image = colourful(8, 8, seed).into_rgb8();
    (0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel])).collect()
}

fn inputs(dataset: &dyn Dataset) -> Inputs {
    dataset.inputs().unwrap()
}

/// Two folders below one, as `data.source` and `data.inputs`.
fn two_folders(scene: &Scene, pair: Pair) -> DataRecipe {
    let below = |name: &str| scene.folder.path().join(name).display().to_string();
    DataRecipe { source: below("out"), inputs: Some(below("in")), pair: Some(pair), ..scene.recipe() }
}

#[test]
fn pictures_of_equal_names_belong_together_whatever_their_format_and_order() {
    let scene = Scene::new();
    for (i, (out, into)) in
        [("a.png", "a.bmp"), ("b/x.png", "b/x.png"), ("c.bmp", "c.png")].iter().enumerate()
    {
        scene.save(&format!("out/{out}"), &colourful(8, 8, i as u32));
        scene.save(&format!("in/{into}"), &colourful(8, 8, 10 + i as u32));
    }
    let dataset = scene.open_with(&two_folders(&scene, Pair::Names)).unwrap().dataset;
    let Inputs { dataset: inputs, paired } = inputs(&*dataset);
    assert!(paired && dataset.len() == 3 && inputs.len() == 3);
    for i in 0..3 {
        let stem = |name: String| name.rsplit('/').next().unwrap()[..1].to_string();
        assert_eq!(stem(dataset.name(i)), stem(inputs.name(i)));
        let number = ["a", "x", "c"].iter().position(|name| *name == stem(dataset.name(i))).unwrap();
        assert_eq!(bytes(&*dataset, i), planar(number as u32));
        assert_eq!(bytes(&*inputs, i), planar(10 + number as u32));
    }
}

#[test]
fn a_picture_without_a_partner_is_named() {
    let scene = Scene::new();
    for name in
        ["out/1.png", "out/2.png", "out/only here.png", "in/1.png", "in/2.png", "in/3.png", "in/4.png"]
    {
        scene.save(name, &colourful(8, 8, 1));
    }
    let message = scene.open_with(&two_folders(&scene, Pair::Names)).err().unwrap().to_string();
    for part in ["1 of 3", "only here", "2 of 4", "3, 4", "unpaired"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    scene.save("out/1.bmp", &colourful(8, 8, 2));
    let message = scene.open_with(&two_folders(&scene, Pair::Names)).err().unwrap().to_string();
    assert!(message.contains("two pictures are called 1"), "{message}");
}

#[test]
fn a_pair_of_which_one_is_broken_is_left_out_and_told() {
    let scene = Scene::new();
    for i in 0..4 {
        scene.save(&format!("out/{i}.png"), &colourful(8, 8, i));
        scene.save(&format!("in/{i}.png"), &colourful(8, 8, i));
    }
    scene.write("in/1.png", b"broken");
    scene.write("out/2.png", b"broken too");
    let opened = scene.open_with(&two_folders(&scene, Pair::Names)).unwrap();
    assert_eq!((opened.dataset.len(), opened.report.usable, opened.report.rejects.len()), (2, 2, 2));
    for i in 0..2 {
        assert_eq!(values(&*opened.dataset, i), values(&*inputs(&*opened.dataset).dataset, i));
    }
}

#[test]
fn halves_of_one_picture_are_a_pair() {
    let scene = Scene::new();
    for i in 0..3 {
        let mut both = DynamicImage::new_rgb8(16, 8);
        both.copy_from(&colourful(8, 8, i), 0, 0).unwrap();
        both.copy_from(&colourful(8, 8, 50 + i), 8, 0).unwrap();
        scene.save(&format!("{i}.png"), &both);
    }
    let recipe = DataRecipe { pair: Some(Pair::SideBySide), ..scene.recipe() };
    let dataset = scene.open_with(&recipe).unwrap().dataset;
    assert_eq!(bytes(&*dataset, 1), planar(51));
    assert_eq!(bytes(&*inputs(&*dataset).dataset, 1), planar(1));

    let swapped = scene.open_with(&DataRecipe { swap: true, ..recipe }).unwrap().dataset;
    assert_eq!(bytes(&*swapped, 1), planar(1));
    assert_eq!(bytes(&*inputs(&*swapped).dataset, 1), planar(51));
}

#[test]
fn drawn_sets_are_paired_by_number_and_unpaired_by_seed() {
    let scene = Scene::new();
    let recipe = |source: &str, inputs: &str, pair| DataRecipe {
        source: format!("builtin:{source}"),
        inputs: Some(format!("builtin:{inputs}")),
        pair: Some(pair),
        count: 30,
        seed: 4,
        ..DataRecipe::default()
    };
    let paired = scene.open_with(&recipe("sprites", "sprites-outline", Pair::Names)).unwrap().dataset;
    let outlines = inputs(&*paired).dataset;
    assert_eq!((outlines.len(), outlines.shape().channels, paired.shape().channels), (30, 1, 3));
    assert!((0..30).all(|i| outlines.name(i) == paired.name(i)));

    let unpaired = scene.open_with(&recipe("sprites-night", "sprites", Pair::Unpaired)).unwrap().dataset;
    let Inputs { dataset: day, paired } = inputs(&*unpaired);
    assert!(!paired);
    let captions = |dataset: &dyn Dataset| (0..30).map(|i| dataset.name(i)).collect::<Vec<_>>();
    assert!(captions(&*day).iter().zip(captions(&*unpaired)).filter(|(a, b)| *a == b).count() < 3);
}

#[test]
fn settings_that_do_not_fit_say_what_to_do() {
    let scene = Scene::new();
    scene.save("1.png", &colourful(8, 8, 0));
    let with = |change: fn(&mut DataRecipe)| {
        let mut recipe = scene.recipe();
        change(&mut recipe);
        scene.open_with(&recipe).err().unwrap().to_string()
    };
    for (message, part) in [
        (with(|r| r.pair = Some(Pair::Names)), "data.inputs"),
        (with(|r| (r.pair, r.inputs) = (Some(Pair::Edges), Some("x".into()))), "data.inputs"),
        (with(|r| (r.pair, r.pair_strength) = (Some(Pair::Blur), Some(-1.0))), "data.pair_strength"),
        (with(|r| (r.pair, r.pair_strength) = (Some(Pair::Gray), Some(1.0))), "data.pair_strength"),
        (with(|r| (r.pair, r.pair_strength) = (Some(Pair::SideBySide), Some(1.0))), "data.pair_strength"),
        (with(|r| (r.pair, r.input_channels) = (Some(Pair::Edges), Some(1))), "data.input_channels"),
        (with(|r| r.crop = Some([9, 3])), "data.crop"),
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let missing = DataRecipe { inputs: Some("nowhere".into()), pair: Some(Pair::Names), ..scene.recipe() };
    assert!(error_of(scene.open_with(&missing)).contains("nowhere"));
}

/// The partner of a picture goes with it, into the same part of the split and through the same changes of place.
#[test]
fn a_batch_has_the_partners_of_its_pictures() {
    let scene = Scene::new();
    let recipe = DataRecipe {
        source: "builtin:sprites".into(),
        count: 40,
        pair: Some(Pair::Downscale),
        pair_strength: Some(64.0), // every picture becomes its mean
        size: Some([12, 12]),
        crop: Some([8, 8]),
        flip: true,
        rotate: true,
        ..DataRecipe::default()
    };
    let all: std::sync::Arc<dyn Dataset> = scene.open_with(&recipe).unwrap().dataset.into();
    for part in [Split::Train, Split::Heldout] {
        let view = split::view(all.clone(), part, 0.4).unwrap();
        let inputs = inputs(&view).dataset;
        assert_eq!(inputs.len(), view.len());
        assert!((0..view.len()).all(|i| inputs.name(i) == view.name(i)));
    }
    // Made from the same picture, so equal if nothing were changed: pair the pictures with themselves.
    let itself = DataRecipe {
        pair: Some(Pair::Names),
        pair_strength: None,
        inputs: Some("builtin:sprites".into()),
        ..recipe
    };
    let all: std::sync::Arc<dyn Dataset> = scene.open_with(&itself).unwrap().dataset.into();
    let loader = Loader::new(all, &itself, 16, 3, &Device::flex()).unwrap();
    let parts: Vec<Batch> = (0..3).map(|step| loader.batch(step)).collect();
    for batch in &parts {
        assert_eq!(golden::values(batch.images.clone()), golden::values(batch.inputs.clone().unwrap()));
        assert_eq!(batch.images.dims(), [16, 3, 8, 8]);
        let halves = batch.split(2);
        assert_eq!(
            golden::values(halves[1].images.clone()),
            golden::values(halves[1].inputs.clone().unwrap())
        );
    }
    assert_ne!(golden::values(parts[0].images.clone()), golden::values(parts[1].images.clone()));
    // The colours of one side are its own.
    let bright = DataRecipe { brightness: 0.5, ..itself };
    let all = scene.open_with(&bright).unwrap().dataset;
    let batch = Loader::new(all.into(), &bright, 4, 3, &Device::flex()).unwrap().batch(0);
    assert_ne!(golden::values(batch.images), golden::values(batch.inputs.unwrap()));
}
