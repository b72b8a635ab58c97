//! The diffusion families from recipe to picture, on pictures of noise; and the identities of their parts.

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::checkpoint::Snapshot;
use pinxit::data::{Batch, DataFacts, ImageShape};
use pinxit::families::{FAMILIES, Family, find};
use pinxit::model::{Learner, Model, Request, Step};
use pinxit::recipe::Recipe;
use pinxit::rng::{Purpose, Rng};
use pinxit::watch::Unwatched;

const SHAPE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };

fn facts() -> DataFacts {
    DataFacts {
        shape: SHAPE,
        classes: ["cat", "dog", "owl"].map(String::from).to_vec(),
        count: 100,
        inputs: None,
    }
}

/// The families whose network is the U-Net of diffusion.
fn diffusion_families() -> impl Iterator<Item = &'static Family> {
    let is_diffusion = |family: &&Family| family.model_knobs.iter().any(|knob| knob.name == "min_snr_gamma");
    FAMILIES.iter().copied().filter(is_diffusion)
}

/// A resolved recipe of a network small enough to test with.
fn recipe(family: &Family, extra: &str) -> Recipe {
    let text =
        format!("family = \"{}\"\n[model]\nwidth = 16\nblocks = 1\ndropout = 0.1\n{extra}", family.name);
    let mut recipe: Recipe = toml::from_str(&text).unwrap();
    (family.resolve)(&mut recipe, &facts(), None).unwrap();
    recipe
}

fn learner(family: &Family, recipe: &Recipe) -> Box<dyn Learner> {
    (family.learner)(recipe, &facts(), &Device::flex()).unwrap()
}

/// The batch of step `number`: three classes of two grey levels with noise.
fn batch(number: u32, size: usize) -> Batch {
    let mut values = Vec::new();
    let labels: Vec<u32> = (0..size as u32).map(|i| i % 3).collect();
    for (i, &label) in labels.iter().enumerate() {
        let mut rng = Rng::new(1, Purpose::Picture, number, i as u32);
        values.extend((0..SHAPE.len()).map(|_| label as f32 * 0.5 - 0.5 + 0.1 * rng.normal()));
    }
    let images = Tensor::from_data(TensorData::new(values, [size, 1, 8, 8]), &Device::flex());
    Batch { images, ids: (0..size as u32).collect(), labels, offset: 0, inputs: None }
}

fn step(number: u32) -> Step {
    Step { number, seed: 5, rate: 1.0, accumulate: 1 }
}

fn train(learner: &mut dyn Learner, steps: std::ops::Range<u32>) -> Vec<f64> {
    steps.map(|n| learner.step(&batch(n, 12), &step(n)).unwrap().main()).collect()
}

fn snapshot(learner: &dyn Learner) -> Snapshot {
    let mut snapshot = Snapshot::default();
    learner.save(&mut snapshot).unwrap();
    snapshot
}

fn request(seeds: &[u64], classes: &[u32], options: &str) -> Request {
    Request { seeds: seeds.to_vec(), classes: classes.to_vec(), options: toml::from_str(options).unwrap() }
}

fn paint(model: &dyn Model, request: &Request) -> Vec<f32> {
    let pictures = model.generate().unwrap().generate(request, &mut Unwatched).unwrap();
    pictures.into_data().try_into_vec().unwrap()
}

#[test]
fn every_family_learns_its_classes() {
    for family in diffusion_families() {
        // The noise as an answer takes DDPM thousands of steps; the velocity learns as fast as the others.
        let own = if family.name == "ddpm" { "betas = \"cosine\"\nprediction = \"v\"\n" } else { "" };
        let recipe = recipe(family, &format!("{own}[train]\nlr = 2e-3\nema = 0.9"));
        let mut learner = learner(family, &recipe);
        let losses = train(learner.as_mut(), 0..150);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(mean(&losses[130..]) < 0.6 * mean(&losses[..10]), "{}: {losses:?}", family.name);

        let pictures = paint(learner.model(), &request(&[1, 2, 3], &[0, 1, 2], "steps = 10"));
        for (class, picture) in pictures.chunks(64).enumerate() {
            let level = picture.iter().sum::<f32>() / 64.0;
            let expected = class as f32 * 0.5 - 0.5;
            assert!((level - expected).abs() < 0.15, "{}: class {class} painted {level}", family.name);
        }
    }
}

#[test]
fn a_resumed_learner_equals_an_uninterrupted_one_to_the_bit() {
    for family in diffusion_families() {
        let recipe = recipe(family, "");
        let mut whole = learner(family, &recipe);
        train(whole.as_mut(), 0..3);
        let half = snapshot(whole.as_ref());
        let losses = train(whole.as_mut(), 3..6);

        let mut resumed = learner(family, &recipe);
        resumed.load(&half).unwrap();
        assert_eq!(train(resumed.as_mut(), 3..6), losses, "{}", family.name);
        assert!(snapshot(resumed.as_ref()) == snapshot(whole.as_ref()), "{}", family.name);
    }
}

#[test]
fn a_checkpoint_paints_what_its_learner_paints() {
    for family in diffusion_families() {
        let recipe = recipe(family, "");
        let mut learner = learner(family, &recipe);
        train(learner.as_mut(), 0..3);
        let request = request(&[4, 5], &[2, 0], "steps = 3\nguidance = 2.0");
        let model = (family.model)(&recipe, &facts(), &snapshot(learner.as_ref()), &Device::flex()).unwrap();
        assert_eq!(paint(learner.model(), &request), paint(model.as_ref(), &request), "{}", family.name);
    }
}

#[test]
fn a_picture_depends_on_its_seed_and_not_on_its_batch() {
    let family = find("flow").unwrap();
    let mut learner = learner(family, &recipe(family, ""));
    train(learner.as_mut(), 0..2);
    let seeds: Vec<u64> = (0..64).collect();
    let classes: Vec<u32> = (0..64).map(|i| i % 3).collect();
    for sampler in pinxit::diffusion::samplers::SAMPLERS {
        let options = format!("steps = 3\nsampler = \"{}\"\nguidance = 1.5", sampler.name);
        let all = paint(learner.model(), &request(&seeds, &classes, &options));
        let one = paint(learner.model(), &request(&[7], &[1], &options));
        assert_eq!(all[7 * 64..8 * 64], one, "{}", sampler.name);
        assert_ne!(all[6 * 64..7 * 64], one, "{}", sampler.name);
    }
}

#[test]
fn only_ddpm_bounds_the_likelihood_and_it_falls_with_training() {
    for family in diffusion_families() {
        let recipe = recipe(family, if family.name == "ddpm" { "noise_steps = 50" } else { "" });
        let mut learner = learner(family, &recipe);
        let nats = |learner: &dyn Learner| {
            let bound = learner.model().likelihood()?;
            Some(bound.nats(&batch(1000, 4), 0, &mut Unwatched).unwrap().iter().sum::<f64>())
        };
        let before = nats(learner.as_ref());
        assert_eq!(before.is_some(), family.name == "ddpm", "{}", family.name);
        if let Some(before) = before {
            train(learner.as_mut(), 0..30);
            assert!(nats(learner.as_ref()).unwrap() < 0.9 * before);
            let other = Batch { images: Tensor::zeros([4, 3, 8, 8], &Device::flex()), ..batch(0, 4) };
            assert!(learner.model().likelihood().unwrap().nats(&other, 0, &mut Unwatched).is_err());
        }
    }
}

#[test]
fn a_divided_batch_has_the_gradients_of_the_whole() {
    for family in diffusion_families() {
        let recipe = recipe(family, "");
        let mut results = [1, 5].map(|accumulate| {
            let mut learner = learner(family, &recipe);
            learner.step(&batch(0, 12), &Step { accumulate, ..step(0) }).unwrap().0
        });
        let [whole, divided] = &mut results;
        for ((name, whole), (_, divided)) in whole.iter().zip(divided.iter()) {
            assert!((whole - divided).abs() < 1e-5 * whole, "{} {name}: {whole} {divided}", family.name);
        }
    }
}

#[test]
fn resolving_is_idempotent_and_costs_what_it_builds() {
    for family in diffusion_families() {
        let once = recipe(family, "");
        let mut twice = once.clone();
        (family.resolve)(&mut twice, &facts(), None).unwrap();
        assert_eq!(once, twice);
        let cost = (family.cost)(&once, &facts()).unwrap();
        assert_eq!(cost.parameters as usize, learner(family, &once).parameters());
        for (table, knobs) in [(&once.model, family.model_knobs), (&once.sample, family.sample_knobs)] {
            assert!(table.keys().all(|key| knobs.iter().any(|knob| knob.name == key)), "{table}");
        }
    }
}

#[test]
fn usual_sizes_get_a_network_and_odd_ones_an_answer() {
    let resolve = |height, width| {
        let shape = ImageShape { channels: 3, height, width };
        let mut recipe = Recipe { family: "flow".into(), ..toml::from_str("").unwrap() };
        let family = find("flow").unwrap();
        (family.resolve)(&mut recipe, &DataFacts { shape, ..facts() }, None).map(|()| recipe)
    };
    for (height, width) in [(8, 8), (9, 9), (28, 28), (32, 32), (32, 48), (64, 64), (128, 128), (256, 256)] {
        resolve(height, width).unwrap();
    }
    let message = resolve(50, 70).unwrap_err().to_string();
    assert!(message.contains("50x70") && message.contains("--size 48x64"), "{message}");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let family = find("flow").unwrap();
    let learner_ = learner(family, &recipe(family, ""));
    let refuse = |model: &dyn Model, classes: &[u32], options: &str| {
        let request = request(&[1], classes, options);
        model.generate().unwrap().generate(&request, &mut Unwatched).unwrap_err().to_string()
    };
    for (classes, options, reason) in [
        (&[][..], "", "1 pictures of a model with 3 classes"),
        (&[9], "", "class 9"),
        (&[1], "sampler = \"hein\"", "hein"),
        (&[1], "steps = 0", "0 sampling steps"),
        (&[1], "guidance = -1.0", "guidance"),
        (&[1], "eta = 0.5", "sample.eta has no effect on sampler \"heun-flow\""),
        (&[1], "rho = 7.0", "sample.rho has no effect on schedule \"flow\""),
        (&[1], "schedule = \"leading\"", "discrete noise levels"),
        (&[1], "sampler = \"heun\"\nschedule = \"flow\"", "can't start"),
        (&[1], "colour = 3", "colour"),
    ] {
        let message = refuse(learner_.model(), classes, options);
        assert!(message.contains(reason), "{options}: {message}");
    }
    let unguided = learner(family, &recipe(family, "label_drop = 0.0"));
    assert!(refuse(unguided.model(), &[1], "guidance = 2.0").contains("label_drop"));

    for knobs in [
        "width = 12",
        "attention = 3",
        "multipliers = [1, 1, 1, 1, 1]",
        "label_drop = 1.0",
        "times_std = 0.0",
    ] {
        let table = toml::from_str(knobs).unwrap();
        let mut recipe = Recipe { model: table, ..toml::from_str("").unwrap() };
        assert!((family.resolve)(&mut recipe, &facts(), None).is_err(), "{knobs}");
    }
}
