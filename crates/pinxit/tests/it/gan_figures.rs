//! What the adversarial rows reach: eight Gaussians in a ring, the ten digits, and the alarms of runs that were
//! made to fail. Slow: run by `just slow`.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use pinxit::data::{self, DataFacts, Dataset, ImageShape, Loader, Split, split};
use pinxit::families;
use pinxit::metrics::classes::Labelled;
use pinxit::model::{Request, Step};
use pinxit::recipe::{self, DataRecipe, Recipe};
use pinxit::rng::{Purpose, Rng};
use pinxit::run::{Record, Run};
use pinxit::sample::Trained;
use pinxit::train::{TrainWatch, train};
use pinxit::watch::{Unwatched, Watch};

struct Silent;
impl Watch for Silent {}
impl TrainWatch for Silent {}

/// Eight narrow Gaussians on a circle, as pictures of one row and two columns (Metz et al. 2017, section 3.1).
struct Ring {
    points: Vec<[f32; 2]>,
}

const MODES: usize = 8;
const RADIUS: f64 = 0.7;
const WIDTH: f64 = 0.02;

fn centre(mode: usize) -> [f64; 2] {
    let angle = std::f64::consts::TAU * mode as f64 / MODES as f64;
    [RADIUS * angle.cos(), RADIUS * angle.sin()]
}

impl Ring {
    fn new(count: usize) -> Self {
        let mut rng = Rng::new(1, Purpose::Picture, 0, 0);
        let mut point = |i: usize| centre(i % MODES).map(|x| (x + WIDTH * f64::from(rng.normal())) as f32);
        Self { points: (0..count).map(&mut point).collect() }
    }
}

impl Dataset for Ring {
    fn shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: 1, width: 2 }
    }
    fn len(&self) -> usize {
        self.points.len()
    }
    fn classes(&self) -> &[String] {
        &[]
    }
    fn label(&self, _: usize) -> u32 {
        0
    }
    fn read(&self, index: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.points[index]);
    }
    fn name(&self, index: usize) -> String {
        format!("point #{index}")
    }
    fn content_hash(&self, index: usize) -> u64 {
        index as u64
    }
}

/// Modes that at least 2 % of the samples hit, and the share of samples within five standard deviations of one.
fn modes(family: &str, settings: &[(&str, &str)], steps: u32) -> (usize, f64) {
    let ring: Arc<dyn Dataset> = Arc::new(Ring::new(4096));
    let mut recipe = Recipe { family: family.into(), ..Recipe::default() };
    for (key, value) in [
        ("model.net", "mlp"),
        ("model.g_layers", "[128, 128]"),
        ("model.d_layers", "[128, 128]"),
        ("model.g_norm", "none"),
        ("model.latent", "4"),
        ("model.augment", "[]"),
        ("train.lr", "1e-3"),
        ("train.clip", "0.0"),
    ] {
        recipe.set(key, value).unwrap();
    }
    for (key, value) in settings {
        recipe.set(key, value).unwrap();
    }
    let facts = DataFacts { shape: ring.shape(), classes: vec![], count: ring.len(), inputs: None };
    let family = families::find(family).unwrap();
    (family.resolve)(&mut recipe, &facts, None).unwrap();
    let device = Device::flex();
    let loader = Loader::new(ring, &DataRecipe::default(), recipe.train.batch.unwrap(), 0, &device).unwrap();
    let mut learner = (family.learner)(&recipe, &facts, &device).unwrap();
    for number in 0..steps {
        let rate = 1.0 - f64::from(number) / f64::from(steps);
        learner.step(&loader.batch(number), &Step { number, seed: 0, rate, accumulate: 1 }).unwrap();
    }
    let request = Request { seeds: (0..2000).collect(), classes: vec![], options: toml::Table::new() };
    let samples = learner.model().generate().unwrap().generate(&request, &mut Unwatched).unwrap();
    let samples: Vec<f32> = samples.into_data().try_into_vec().unwrap();
    let mut hits = [0; MODES];
    for point in samples.chunks_exact(2) {
        let distance = |mode: usize| {
            centre(mode).iter().zip(point).map(|(c, p)| (c - f64::from(*p)).powi(2)).sum::<f64>().sqrt()
        };
        let nearest = (0..MODES).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap();
        hits[nearest] += usize::from(distance(nearest) < 5.0 * WIDTH);
    }
    let found = hits.iter().filter(|&&hits| hits >= 40).count();
    (found, hits.iter().sum::<usize>() as f64 / 2000.0)
}

#[test]
#[ignore = "a minute"]
fn eight_gaussians_in_a_ring_are_all_found() {
    for (family, settings, steps) in [
        ("wgan-gp", &[("model.penalty_weight", "0.1"), ("train.batch", "640")][..], 1500),
        // A D of slope 1 says little on points so near to one another: it needs steps, and G must wait for it.
        (
            "sngan",
            &[
                ("train.batch", "512"),
                ("model.d_steps", "4"),
                ("train.lr", "3e-4"),
                ("model.d_lr", "2e-3"),
                ("model.beta1", "0.0"),
                ("model.beta2", "0.9"),
            ],
            2500,
        ),
        ("r3gan", &[("train.batch", "128"), ("model.penalty_weight", "0.1")], 1500),
    ] {
        let (found, near) = modes(family, settings, steps);
        println!("{family}: {found} modes, {:.1} % of samples near one", 100.0 * near);
        assert_eq!(found, MODES, "{family}: {near}");
    }
    // G runs from a D that is slower than itself.
    let (found, near) = modes("gan", &[("model.d_lr", "2e-4"), ("train.batch", "128")], 2000);
    println!("gan, whose D is slow: {found} modes, {:.1} % of samples near one", 100.0 * near);
    assert!(found < MODES, "gan: {near}");
}

/// The finished run of a recipe.
fn trained(folder: &Path, recipe: &Recipe) -> (Run, Trained) {
    let run = Run::create(folder, recipe).unwrap();
    train(&run, &Device::flex(), &mut Silent).unwrap();
    let trained = Trained::open(&run, None, &Device::flex()).unwrap();
    (run, trained)
}

/// Real digits that training saw, to recognise painted ones by.
fn teacher(trained: &Trained, folder: &Path) -> Labelled {
    let all: Arc<dyn Dataset> =
        data::open(&trained.recipe.data, folder, &mut Unwatched).unwrap().dataset.into();
    Labelled::read(&split::view(all, Split::Train, trained.recipe.data.holdout).unwrap())
}

#[test]
#[ignore = "minutes"]
fn conditional_rows_paint_the_digits_that_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["digits-r3gan", "digits-sngan", "digits-cdcgan", "digits-cgan"] {
        let (_, trained) = trained(&folder.path().join(name), &recipe::load(name).unwrap());
        let painted = Labelled::paint(&trained, 2000, 0, &mut Unwatched).unwrap();
        let right = painted.recognised_by(&teacher(&trained, folder.path())).unwrap();
        println!("{name}: {:.1} % of samples recognised as their class", 100.0 * right);
        assert!(right >= 0.95, "{name}: {right}");
    }
}

#[test]
#[ignore = "minutes"]
fn unconditional_rows_paint_all_ten_digits() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["digits-dcgan", "digits-gan", "digits-wgan", "digits-wgan-gp", "digits-unet-gan"] {
        let (_, trained) = trained(&folder.path().join(name), &recipe::load(name).unwrap());
        let teacher = teacher(&trained, folder.path());
        let painted = Labelled::paint_and_name(&trained, 10_000, &teacher, &mut Unwatched).unwrap();
        let shares = painted.shares(trained.facts.classes.len());
        println!("{name}: shares of the classes {shares:.3?}");
        assert!(shares.iter().all(|share| (0.05..=0.15).contains(share)), "{name}: {shares:?}");
    }
}

/// The alarms of a run.
fn alarms(folder: &Path, recipe: &Recipe) -> Vec<String> {
    let (run, _) = trained(folder, recipe);
    let records = run.records().unwrap().into_iter();
    let name = |message: String| message.split(':').next().unwrap().to_string();
    records
        .filter_map(|record| match record {
            Record::Event(event) if event.event == "alarm" => Some(name(event.message)),
            _ => None,
        })
        .collect()
}

#[test]
#[ignore = "minutes"]
fn runs_made_to_fail_raise_their_alarms_and_a_healthy_one_raises_none() {
    let folder = tempfile::tempdir().unwrap();
    for (expected, family, settings) in [
        // D learns fast from pictures that it knows by heart, and the loss gives G nothing to go by.
        (
            &["the discriminator wins", "vanishing gradients"][..],
            "gan",
            &[("model.loss", "minimax"), ("train.lr", "1e-5"), ("model.d_lr", "2e-3")][..],
        ),
        // G learns much faster than D, and runs from picture to picture.
        (&["mode collapse", "oscillation"], "gan", &[("train.lr", "5e-3"), ("model.d_lr", "1e-5")]),
        // D sees noise and changed pictures, and can't ask for edges.
        (
            &["blur"],
            "dcgan",
            &[
                ("data.source", "builtin:glyphs"),
                ("data.count", "1000"),
                ("model.width", "16"),
                ("model.instance_noise", "10.0"),
                ("model.augment", r#"["colour", "translation", "cutout"]"#),
                ("train.lr", "1e-3"),
                ("train.steps", "400"),
            ],
        ),
        // Hardly more than a picture of each class, and G is told the class.
        (
            &["copying"],
            "cgan",
            &[
                ("data.source", "builtin:glyphs"),
                ("data.count", "150"),
                ("data.size", "[8, 8]"),
                ("data.holdout", "0.9"),
                ("train.lr", "5e-4"),
            ],
        ),
    ] {
        let mut recipe = Recipe { family: family.into(), ..Recipe::default() };
        let short = [
            ("train.steps", "1200"),
            ("train.look_every", "100"),
            ("train.clip", "0.0"),
            ("model.augment", "[]"),
        ];
        recipe.data.source = "builtin:digits".into();
        for (key, value) in short.iter().chain(settings) {
            recipe.set(key, value).unwrap();
        }
        let raised = alarms(&folder.path().join(expected[0].replace(' ', "-")), &recipe);
        println!("made to fail by {expected:?}: {raised:?}");
        assert!(
            expected.iter().all(|name| raised.iter().any(|other| other == name)),
            "{expected:?}: {raised:?}"
        );
    }
    let healthy = alarms(&folder.path().join("healthy"), &recipe::load("digits-cdcgan").unwrap());
    assert!(healthy.is_empty(), "{healthy:?}");
}
