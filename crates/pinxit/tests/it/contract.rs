//! What every row of the registry must keep, whatever it is: these tests know no family.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use image::{GrayImage, Luma};
use pinxit::checkpoint::Snapshot;
use pinxit::data::{self, Batch};
use pinxit::families::{FAMILIES, Family, Material};
use pinxit::latent::Walk;
use pinxit::metrics::likelihood::bits_per_dim;
use pinxit::model::Request;
use pinxit::recipe::{DataRecipe, Pair, Recipe};
use pinxit::run::{Record, Run};
use pinxit::sample::{SampleOptions, SamplePlan, Trained};
use pinxit::train::{Outcome, StepReport, TrainWatch, train};
use pinxit::translate::tiles::Image;
use pinxit::translate::{Anew, TranslateOptions, TranslatePlan};
use pinxit::watch::{Unwatched, Watch};

const STEPS: u32 = 5;

/// A recipe of every kind that the family has, as small as it allows: real digits, few steps.
fn recipes(family: &Family) -> Vec<Recipe> {
    let plain = recipe(family);
    let mut recipes = vec![plain.clone()];
    if family.material == Material::PicturesOrPairs {
        let data = DataRecipe { pair: Some(Pair::Blur), ..plain.data.clone() };
        recipes.push(Recipe { data, ..plain.clone() });
        let mut small = plain;
        small.set("model.scale", "2").unwrap();
        recipes.push(small);
    }
    recipes
}

fn recipe(family: &Family) -> Recipe {
    let mut recipe = Recipe { family: family.name.into(), ..Recipe::default() };
    family.material.try_on_digits(&mut recipe.data);
    recipe.train.steps = Some(STEPS);
    recipe.train.batch = Some(6);
    recipe.train.checkpoint_every = Some(2);
    recipe.train.sample_every = Some(STEPS);
    recipe.train.log_every = 1;
    for (table, knobs, key, value) in [
        ("sample", family.sample_knobs, "steps", "3"),
        ("model", family.model_knobs, "dropout", "0.1"),
        ("model", family.model_knobs, "width", "16"),
        ("model", family.model_knobs, "d_steps", "2"),
        ("model", family.model_knobs, "feature_steps", "3"),
    ] {
        if knobs.iter().any(|knob| knob.name == key) {
            recipe.set(&format!("{table}.{key}"), value).unwrap();
        }
    }
    recipe
}

/// Stops after some steps, as a user with Ctrl-C would.
struct StopAfter {
    steps: u32,
    seen: u32,
}

impl Watch for StopAfter {
    fn stopped(&self) -> bool {
        self.seen >= self.steps
    }
}

impl TrainWatch for StopAfter {
    fn step(&mut self, _: &StepReport<'_>) {
        self.seen += 1;
    }
}

fn train_to_the_end(folder: &Path, recipe: &Recipe) -> Run {
    let run = Run::create(folder, recipe).unwrap();
    let outcome = train(&run, &Device::flex(), &mut StopAfter { steps: u32::MAX, seen: 0 }).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    run
}

fn each_family(check: impl Fn(&'static Family, &Recipe, &Path)) {
    assert!(!FAMILIES.is_empty());
    for family in FAMILIES {
        for recipe in recipes(family) {
            let folder = tempfile::tempdir().unwrap();
            check(family, &recipe, folder.path());
        }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

#[test]
fn a_run_leaves_everything_that_a_later_command_needs() {
    each_family(|family, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        assert_eq!(run.checkpoints().unwrap(), [4, 5], "{}", family.name);
        assert_eq!(run.sheets().unwrap(), [0, 5]);
        let steps: Vec<u32> = run.records().unwrap().iter().map(Record::step).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5]);
        let resolved = run.recipe().unwrap();
        assert_eq!(resolved.data.size, Some([8, 8]));
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        assert_eq!(trained.step, STEPS);
        // A model knows all the classes of its pictures, or none.
        assert!([&[], &trained.facts.classes[..]].contains(&trained.model.classes()));
        assert_eq!(trained.model.shape(), trained.facts.shape);
        assert_eq!(trained.recipe, resolved);
    });
}

#[test]
fn a_run_stopped_anywhere_and_resumed_equals_one_that_was_not() {
    each_family(|family, recipe, folder| {
        let whole = train_to_the_end(&folder.join("whole"), recipe);
        let expected = fs::read(whole.checkpoint_path(STEPS)).unwrap();
        for stop in 1..STEPS {
            let run = Run::create(&folder.join(format!("stopped at {stop}")), recipe).unwrap();
            let outcome = train(&run, &Device::flex(), &mut StopAfter { steps: stop, seen: 0 }).unwrap();
            assert_eq!(outcome, Outcome::Stopped { step: stop });
            let outcome = train(&run, &Device::flex(), &mut StopAfter { steps: u32::MAX, seen: 0 }).unwrap();
            assert_eq!(outcome, Outcome::Finished);
            assert!(
                fs::read(run.checkpoint_path(STEPS)).unwrap() == expected,
                "{} stopped at {stop}",
                family.name
            );
            assert_eq!(run.checkpoints().unwrap(), [4, 5]);
        }
    });
}

#[test]
fn the_same_recipe_gives_the_same_weights_on_one_thread_and_on_two() {
    each_family(|family, recipe, folder| {
        let weights = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let run = pool.install(|| train_to_the_end(&folder.join(threads.to_string()), recipe));
            fs::read(run.checkpoint_path(STEPS)).unwrap()
        });
        assert!(weights[0] == weights[1], "{}", family.name);
    });
}

#[test]
fn a_picture_depends_on_its_seed_and_not_on_company_or_threads() {
    each_family(|family, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        if trained.generator().is_err() {
            return;
        }
        let class = trained.model.classes().first().cloned();
        let paint = |seed, count, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let options = SampleOptions { count, seed, class: class.clone(), ..SampleOptions::default() };
            let plan = SamplePlan::new(&trained, &options).unwrap();
            pool.install(|| values(plan.paint_all(&trained, &mut Unwatched).unwrap()))
        };
        let company = paint(0, 64, 2);
        let area = trained.facts.shape.len();
        assert_eq!(company[7 * area..8 * area], paint(7, 1, 2), "{}: alone", family.name);
        assert_eq!(company[7 * area..8 * area], paint(7, 1, 1), "{}: alone on one thread", family.name);
        assert!(company == paint(0, 64, 1), "{}: on one thread", family.name);
        assert_ne!(company[..area], company[area..2 * area], "{}: seeds differ", family.name);
        assert!(company.iter().all(|value| value.is_finite()));
    });
}

#[test]
fn a_translated_picture_depends_on_what_went_in_and_its_seed_and_not_on_company_or_threads() {
    each_family(|family, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let Ok(translator) = trained.translator() else {
            assert!(trained.generator().is_ok(), "{} makes no pictures at all", family.name);
            return;
        };
        let data = data::open(&trained.recipe.data, folder, &mut Unwatched).unwrap().dataset;
        let batch = Batch::read(&*data, 0..9, &Device::flex());
        let class = u32::from(!trained.model.classes().is_empty());
        let mut kinds = vec![trained.recipe.sample.clone()];
        if family.sample_knobs.iter().any(|knob| knob.name == "noise") {
            let noisy = toml::Table::from_iter([("noise".to_string(), toml::Value::Boolean(true))]);
            kinds.push(trained.recipe.sample.clone().into_iter().chain(noisy).collect());
        }
        for options in kinds.iter().flat_map(|kind| translator.directions(kind)) {
            let canvas = translator.canvas(&options).unwrap();
            let inputs = translator.example(&batch, &options).unwrap().inputs;
            let [_, channels, height, width] = inputs.dims();
            assert_eq!(channels, canvas.input, "{}", family.name);
            let paint = |from: usize, to: usize, threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let request = Request {
                    seeds: (from as u64..to as u64).collect(),
                    classes: vec![0; (to - from) * class as usize],
                    options: options.clone(),
                };
                let inputs = inputs.clone().narrow(0, from, to - from);
                let translate = || trained.translator().unwrap().translate(inputs, &request, &mut Unwatched);
                pool.install(|| values(translate().unwrap()))
            };
            let company = paint(0, 9, 2);
            let area = canvas.output * height * width * canvas.scale * canvas.scale;
            assert_eq!(company.len(), 9 * area, "{}", family.name);
            assert!(company.iter().all(|value| value.is_finite()));
            assert_eq!(company[7 * area..8 * area], paint(7, 8, 2), "{}: alone", family.name);
            assert_eq!(company[7 * area..8 * area], paint(7, 8, 1), "{}: alone on one thread", family.name);
            assert_ne!(company[..area], company[area..2 * area], "{}: pictures differ", family.name);

            let request = Request { seeds: vec![0; 9], classes: vec![], options: options.clone() };
            let wrong = Tensor::cat(vec![inputs.clone(), inputs.clone()], 1);
            let refused = translator.translate(wrong, &request, &mut Unwatched).err().unwrap().to_string();
            assert!(refused.contains("channels"), "{}: {refused}", family.name);
        }
        // Of any size, through tiles.
        let class = trained.model.classes().first().cloned();
        let plan = TranslatePlan::new(&trained, &TranslateOptions { class, ..Default::default() }).unwrap();
        let options = &trained.recipe.sample;
        let canvas = translator.canvas(options).unwrap();
        let (height, width) = (21, 13);
        let values = (0..canvas.input * height * width).map(|i| (i % 7) as f32 / 3.5 - 1.0).collect();
        let image = Image { channels: canvas.input, height, width, values };
        let made = plan.image(&trained, &image, 0, &mut Unwatched).unwrap();
        let expected = (canvas.output, height * canvas.scale, width * canvas.scale);
        assert_eq!((made.channels, made.height, made.width), expected, "{}", family.name);
    });
}

#[test]
fn what_is_hidden_is_painted_and_the_rest_is_left_as_it_is() {
    each_family(|family, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let class = trained.model.classes().first().cloned();
        let options = TranslateOptions { class, ..Default::default() };
        let mask = TranslateOptions { part: Anew::Around(3), ..options.clone() };
        if trained.model.inpaint().is_none() {
            let refused = TranslatePlan::new(&trained, &mask).err();
            assert!(trained.translator().is_err() || refused.unwrap().to_string().contains(family.name));
            return;
        }
        let plan = TranslatePlan::new(&trained, &options).unwrap();
        let (height, width) = (10, 15);
        let channels = plan.input_channels();
        let values: Vec<f32> = (0..channels * height * width).map(|i| (i % 9) as f32 / 4.5 - 1.0).collect();
        let image = Image { channels, height, width, values };
        let hidden: Vec<bool> = (0..height * width).map(|i| i % 15 > 6 && i / 15 > 3).collect();
        let paint = |index| plan.inpaint(&trained, &image, &hidden, index, &mut Unwatched).unwrap();
        let made = [paint(0), paint(1)];
        for (i, value) in made[0].values.iter().enumerate() {
            let is_hidden = hidden[i % hidden.len()];
            assert!(is_hidden || *value == image.values[i], "{}: pixel {i} has changed", family.name);
            assert!(value.is_finite());
        }
        assert_ne!(made[0], made[1], "{}: seeds differ", family.name);
        let refused = plan.inpaint(&trained, &image, &hidden[1..], 0, &mut Unwatched);
        assert!(refused.err().unwrap().to_string().contains("mask"));

        // From file to file: every value that was there comes back.
        let [from, mask, to] = ["in.png", "mask.png", "out.png"].map(|name| folder.join(name));
        let picture = GrayImage::from_fn(15, 10, |x, y| Luma([(17 * x + 9 * y) as u8]));
        picture.save(&from).unwrap();
        let white = |x: u32, y: u32| if hidden[(15 * y + x) as usize] { 255 } else { 0 };
        GrayImage::from_fn(15, 10, |x, y| Luma([white(x, y)])).save(&mask).unwrap();
        for (part, margin) in [(Anew::Mask(mask), 0), (Anew::Around(3), 3)] {
            let options = TranslateOptions { part: part.clone(), ..options.clone() };
            let plan = TranslatePlan::new(&trained, &options).unwrap();
            plan.file(&trained, (&from, 0), &to, &[], &mut Unwatched).unwrap();
            let made = image::open(&to).unwrap().into_luma8();
            assert_eq!(made.dimensions(), (15 + 2 * margin, 10 + 2 * margin));
            for (x, y, value) in picture.enumerate_pixels() {
                let known = margin > 0 || white(x, y) == 0;
                assert!(!known || made.get_pixel(x + margin, y + margin) == value, "{part:?}: {x} {y}");
            }
            fs::remove_file(&to).unwrap();
        }
    });
}

#[test]
fn a_latent_space_holds_the_pictures_of_the_seeds_and_the_way_between_them() {
    each_family(|family, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let class = trained.model.classes().first().cloned();
        let paint = |count, seed, walk| {
            let options =
                SampleOptions { count, seed, class: class.clone(), walk, ..SampleOptions::default() };
            SamplePlan::new(&trained, &options)
                .map(|plan| values(plan.paint_all(&trained, &mut Unwatched).unwrap()))
        };
        let walk = paint(3, 0, Some(Walk::Interpolate(vec![4, 9, 5])));
        let Some(latent) = trained.model.latent() else {
            assert!(walk.unwrap_err().to_string().contains(family.name));
            return;
        };
        let (walk, area) = (walk.unwrap(), trained.facts.shape.len());
        assert_eq!(walk.len(), 6 * area);
        let picture = |seed| paint(1, seed, None).unwrap();
        for (place, seed) in [(0, 4), (2, 9), (3, 9), (5, 5)] {
            let found = &walk[place * area..(place + 1) * area];
            let furthest = found.iter().zip(picture(seed)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(furthest < 1e-4, "{}: the walk passes by seed {seed}: {furthest}", family.name);
        }
        let width = latent.points(&[0]).dims()[1];
        let still = paint(1, 7, Some(Walk::Along(vec![0.0; width]))).unwrap();
        assert!(still.chunks(area).all(|moved| moved == picture(7)), "{}", family.name);
    });
}

#[test]
fn every_class_is_shown_of_each_seed() {
    each_family(|_, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let options = SampleOptions { count: 2, walk: Some(Walk::VaryClass), ..SampleOptions::default() };
        let plan = SamplePlan::new(&trained, &options);
        let classes = trained.model.classes().len();
        if classes == 0 {
            assert!(plan.unwrap_err().to_string().contains("--vary-class"));
            return;
        }
        let Request { seeds, classes: shown, .. } = plan.unwrap().request;
        assert_eq!(shown, (0..classes as u32).collect::<Vec<_>>().repeat(2));
        assert_eq!(seeds, [vec![0; classes], vec![1; classes]].concat());
    });
}

#[test]
fn weights_that_do_not_fit_are_one_error_that_names_file_and_tensor() {
    each_family(|_, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let path = run.checkpoint_path(STEPS);
        let good = Snapshot::read(&path).unwrap();
        let name = good.tensors.keys().find(|name| name.starts_with("model/")).unwrap().clone();

        let mut reshaped = good.clone();
        let array = reshaped.tensors.get_mut(&name).unwrap();
        array.shape.push(2);
        array.values = vec![0.5; array.shape.iter().product()];
        let mut missing = good.clone();
        missing.tensors.remove(&name);
        for broken in [reshaped, missing] {
            broken.write(&path).unwrap();
            let message = Trained::open(&run, None, &Device::flex()).err().unwrap().to_string();
            let short = name.trim_start_matches("model/");
            assert!(message.contains("00000005.safetensors") && message.contains(short), "{message}");
        }
    });
}

#[test]
fn a_setting_that_the_family_does_not_know_is_refused_by_name() {
    each_family(|family, recipe, folder| {
        let mut recipe = recipe.clone();
        let message = recipe.set("model.chanels", "3").unwrap_err().to_string();
        assert!(message.contains("model.chanels"), "{message}");
        let text = format!("family = \"{}\"\n[sample]\nbrush = 3\n", family.name);
        let message = Recipe::from_toml(&text, "mine.toml").unwrap_err().to_string();
        assert!(message.contains("mine.toml") && message.contains("brush"), "{message}");

        let run = train_to_the_end(&folder.join("run"), &recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let knobs = toml::Table::from_iter([("brush".to_string(), toml::Value::Integer(3))]);
        let options = SampleOptions { count: 1, knobs, ..SampleOptions::default() };
        let message = SamplePlan::new(&trained, &options).err().unwrap().to_string();
        assert!(message.contains(&format!("brush does not apply to {}", family.name)), "{message}");
    });
}

#[test]
fn an_edited_recipe_is_not_resumed() {
    each_family(|_, recipe, folder| {
        let run = Run::create(&folder.join("run"), recipe).unwrap();
        train(&run, &Device::flex(), &mut StopAfter { steps: 3, seen: 0 }).unwrap();
        let mut edited = run.recipe().unwrap();
        edited.train.clip = 9.0;
        run.write_recipe(&edited).unwrap();
        let resumed = train(&run, &Device::flex(), &mut StopAfter { steps: 9, seen: 0 });
        let message = resumed.unwrap_err().to_string();
        assert!(message.contains("train.clip") && message.contains("recipe.toml"), "{message}");
    });
}

/// A setting that came with a later version: neither recipe nor checkpoint know it.
#[test]
fn a_run_of_an_earlier_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let flow = pinxit::families::find("flow").unwrap();
    let run = Run::create(folder.path(), &recipe(flow)).unwrap();
    train(&run, &Device::flex(), &mut StopAfter { steps: 3, seen: 0 }).unwrap();
    let mut recipe = run.recipe().unwrap();
    assert!(recipe.model.remove("scale").is_some());
    run.write_recipe(&recipe).unwrap();
    let path = run.checkpoint_path(3);
    let mut snapshot = Snapshot::read(&path).unwrap();
    snapshot.notes.insert("recipe".into(), recipe.to_toml().unwrap());
    snapshot.write(&path).unwrap();
    let outcome = train(&run, &Device::flex(), &mut StopAfter { steps: u32::MAX, seen: 0 }).unwrap();
    assert_eq!(outcome, Outcome::Finished);
}

#[test]
fn a_run_that_can_not_fit_is_refused_before_it_begins() {
    each_family(|_, recipe, folder| {
        let mut recipe = recipe.clone();
        recipe.train.batch = Some(4_000_000_000);
        let run = Run::create(&folder.join("run"), &recipe).unwrap();
        let message =
            train(&run, &Device::flex(), &mut StopAfter { steps: 9, seen: 0 }).unwrap_err().to_string();
        assert!(message.contains("GiB") && message.contains("train.batch"), "{message}");
    });
}

#[test]
fn what_a_killed_process_left_half_written_is_removed() {
    each_family(|_, recipe, folder| {
        let run = Run::create(&folder.join("run"), recipe).unwrap();
        let left = run.folder().join("checkpoints/.00000002.safetensors.1-0.tmp");
        fs::write(&left, "half").unwrap();
        train(&run, &Device::flex(), &mut StopAfter { steps: 9, seen: 0 }).unwrap();
        assert!(!left.exists());
    });
}

#[test]
fn a_family_that_knows_likelihoods_tells_finite_bits_and_the_others_say_so() {
    each_family(|family, recipe, folder| {
        let run = train_to_the_end(&folder.join("run"), recipe);
        let trained = Trained::open(&run, None, &Device::flex()).unwrap();
        let dataset = data::open(&trained.recipe.data, folder, &mut Unwatched).unwrap().dataset;
        let told = bits_per_dim(&trained, &*dataset, 2, &mut Unwatched);
        match trained.model.likelihood() {
            // A hardly trained bound is worse than the 8 bits of a uniform model, not absurd.
            Some(_) => {
                let bits = told.unwrap();
                assert!(bits.count == 2 && (0.0..40.0).contains(&bits.mean), "{bits:?}");
            }
            None => assert!(told.unwrap_err().to_string().contains(family.name)),
        }
    });
}
