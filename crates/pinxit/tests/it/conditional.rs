//! Diffusion models whose pictures are made from others (Palette) or from their own small ones (SR3).

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::data::{Batch, DataFacts, ImageShape, InputFacts};
use pinxit::families::{Family, Material, find};
use pinxit::image_io;
use pinxit::model::{Learner, Request, Step};
use pinxit::recipe::{DataRecipe, Pair, Recipe};
use pinxit::rng::{Purpose, Rng};
use pinxit::watch::Unwatched;

use crate::golden::values;

const SHAPE: ImageShape = ImageShape { channels: 3, height: 8, width: 8 };

fn facts(inputs: Option<usize>) -> DataFacts {
    DataFacts {
        shape: SHAPE,
        classes: ["cat", "dog"].map(String::from).to_vec(),
        count: 100,
        inputs: inputs.map(|channels| InputFacts { channels, paired: true }),
    }
}

fn flow() -> &'static Family {
    find("flow").unwrap()
}

/// A learner of a small network, of pictures made from others of one channel or from small ones.
fn learner(extra: &str, facts: &DataFacts) -> Box<dyn Learner> {
    let text = format!("[model]\nwidth = 16\nblocks = 1\n{extra}\n[train]\nlr = 2e-3\nema = 0.9");
    let mut recipe: Recipe = toml::from_str(&text).unwrap();
    (flow().resolve)(&mut recipe, facts, None).unwrap();
    (flow().learner)(&recipe, facts, &Device::flex()).unwrap()
}

/// Pictures of noise on a grey that is drawn for each, and beside each that grey alone.
fn batch(number: u32, size: usize) -> Batch {
    let (mut pictures, mut inputs) = (Vec::new(), Vec::new());
    for i in 0..size {
        let mut rng = Rng::new(1, Purpose::Picture, number, i as u32);
        let grey = rng.range(-0.8, 0.8) as f32;
        pictures.extend((0..SHAPE.len()).map(|_| grey + 0.05 * rng.normal()));
        inputs.extend([grey; 64]);
    }
    let tensor = |values, channels| {
        Tensor::from_data(TensorData::new(values, [size, channels, 8, 8]), &Device::flex())
    };
    Batch {
        images: tensor(pictures, 3),
        inputs: Some(tensor(inputs, 1)),
        ids: (0..size as u32).collect(),
        labels: vec![0; size],
        offset: 0,
    }
}

fn request(seeds: impl IntoIterator<Item = u64>, options: &str) -> Request {
    let options = toml::from_str(options).unwrap();
    Request { seeds: seeds.into_iter().collect(), classes: vec![], options }
}

/// What goes in decides what comes out: the grey of each picture, on pictures that were not trained on.
#[test]
fn what_comes_out_is_that_of_what_went_in() {
    for (extra, facts) in [("", facts(Some(1))), ("scale = 2", facts(None))] {
        let mut learner = learner(extra, &facts);
        for number in 0..120 {
            let step = Step { number, seed: 5, rate: 1.0, accumulate: 1 };
            learner.step(&batch(number, 12), &step).unwrap();
        }
        let model = learner.model();
        assert!(model.generate().is_none() && model.inpaint().is_none() && model.classes().is_empty());
        let translator = model.translate().unwrap();
        let example = translator.example(&batch(1000, 6), &toml::Table::new()).unwrap();
        let made = translator.translate(example.inputs, &request(0..6, "steps = 8"), &mut Unwatched).unwrap();
        let truth = example.truth.unwrap();
        assert_eq!(made.dims(), truth.dims());
        let means = |images| -> Vec<f32> {
            values(images).chunks(SHAPE.len()).map(|picture| picture.iter().sum::<f32>() / 192.0).collect()
        };
        for (made, truth) in means(made).into_iter().zip(means(truth)) {
            assert!((made - truth).abs() < 0.12, "{extra}: {made} is not {truth}");
        }
    }
}

/// SR3 sees the small picture as anybody would have shrunk it, and gives one of the right size.
#[test]
fn small_pictures_go_in_and_grow() {
    let learner = learner("scale = 4", &facts(None));
    let translator = learner.model().translate().unwrap();
    let canvas = translator.canvas(&toml::Table::new()).unwrap();
    assert_eq!((canvas.scale, canvas.trained, canvas.input), (4, [2, 2], 3));
    let batch = batch(0, 3);
    let example = translator.example(&batch, &toml::Table::new()).unwrap();
    assert_eq!(values(example.inputs.clone()), values(image_io::bicubic(batch.images, [2, 2]).unwrap()));
    let made = translator.translate(example.inputs, &request(0..3, "steps = 2"), &mut Unwatched).unwrap();
    assert_eq!(made.dims(), [3, 3, 8, 8]);
}

#[test]
fn what_can_not_be_is_refused_with_a_reason() {
    let resolve = |knobs: &str, facts: &DataFacts| {
        let mut recipe = Recipe { model: toml::from_str(knobs).unwrap(), ..Recipe::default() };
        (flow().resolve)(&mut recipe, facts, None).unwrap_err().to_string()
    };
    assert!(resolve("scale = 0", &facts(None)).contains("model.scale"));
    assert!(resolve("scale = 3", &facts(None)).contains("--size 6x6"));
    assert!(resolve("scale = 2", &facts(Some(1))).contains("data.pair"));

    let made_from_others = learner("", &facts(Some(1)));
    let translator = made_from_others.model().translate().unwrap();
    let alone = Batch { inputs: None, ..batch(0, 2) };
    let of_others = Batch { inputs: Some(batch(0, 2).images), ..batch(0, 2) };
    for (batch, reason) in [(alone, "data.pair"), (of_others, "channels: 1")] {
        let message = translator.example(&batch, &toml::Table::new()).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    let grey = |side| Tensor::zeros([1, 1, side, side], &Device::flex());
    for (images, options, reason) in [
        (grey(9), "", "8x8"),
        (grey(8).repeat_dim(1, 3), "", "1 channels"),
        (grey(8), "strength = 0.5", "sample.strength"),
        (grey(8), "guidance = 2.0", "sample.guidance"),
    ] {
        let message = translator.translate(images, &request([1], options), &mut Unwatched).unwrap_err();
        assert!(message.to_string().contains(reason), "{message}");
    }
}

#[test]
fn a_recipe_says_whether_pictures_are_made_from_others() {
    let settle = |data: DataRecipe| {
        let mut data = data;
        Material::PicturesOrPairs.settle(&mut data).map(|()| data.pair)
    };
    let of = |pair, inputs: Option<&str>| DataRecipe {
        pair,
        inputs: inputs.map(String::from),
        ..DataRecipe::default()
    };
    assert_eq!(settle(of(None, None)).unwrap(), None);
    assert_eq!(settle(of(None, Some("drawings"))).unwrap(), Some(Pair::Names));
    assert_eq!(settle(of(Some(Pair::Edges), None)).unwrap(), Some(Pair::Edges));
    let message = settle(of(Some(Pair::Unpaired), Some("drawings"))).unwrap_err().to_string();
    assert!(message.contains("unpaired"), "{message}");
}
