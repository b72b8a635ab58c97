//! An extractor that learns from the user's own pictures, in a minute or two and without a network.
//!
//! Where there are classes it learns to tell them apart; otherwise to tell pictures apart whatever is
//! done to them (Chen et al. 2020, "A simple framework for contrastive learning", eq. 1). Scores of
//! its features compare with each other and with nothing else, so they never bear the literature's names.

use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::resize::bicubic;
use super::{Extractor, Features, Identity, planes, values, weights};
use crate::checkpoint::Snapshot;
use crate::data::augment::Augment;
use crate::data::{self, Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::image_io::Picture;
use crate::nn::{Activation, Adam, AdamConfig, Conv2d, GroupNorm, Init, Linear, Tally, ops, params};
use crate::recipe::DataRecipe;
use crate::rng::{Purpose, Rng};
use crate::watch::Watch;

/// Longest side of the pictures that it takes, in pixels.
const SIDE: usize = 64;
/// Channels of the first layer and of each stage, which halves the picture.
const CHANNELS: [usize; 4] = [32, 64, 96, 128];
/// Features of a picture: channels of the last stage.
const FEATURES: usize = 128;
/// Values that are compared in contrastive learning.
const PROJECTION: usize = 64;
/// Softness of the contrastive comparison, tau in the paper.
const TEMPERATURE: f64 = 0.2;
/// Pictures a step.
const BATCH: usize = 64;
const RATE: f64 = 2e-3;
const EPS: f64 = 1e-5;
/// Raised whenever the same pictures would give other weights.
const VERSION: u32 = 1;

/// How an extractor learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learning {
    /// Steps of 64 pictures.
    pub steps: u32,
    /// Seed of weights, order and changes to the pictures.
    pub seed: u64,
    /// Whether pictures are shifted and change brightness and contrast as it learns, without which
    /// there is nothing to learn where there are no classes.
    pub changes: bool,
}

impl Default for Learning {
    fn default() -> Self {
        Self { steps: 400, seed: 0, changes: true }
    }
}

/// What the file of an extractor says of it besides its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Config {
    version: u32,
    /// Shape to which pictures are brought.
    shape: ImageShape,
    /// Classes that it learned to tell; 0 if it learned without.
    classes: usize,
    learning: Learning,
    /// The pictures that it learned from.
    pictures: String,
}

/// A small convolutional network, trained.
pub struct OwnExtractor {
    network: Network,
    config: Config,
    identity: Identity,
    device: Device,
}

impl OwnExtractor {
    /// The extractor for `dataset`: the one in `folder`, or else a new one that is kept there.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn); [`Error::Io`] if the folder can't be written.
    pub fn open_or_learn(
        dataset: &dyn Dataset,
        learning: Learning,
        folder: &Path,
        device: &Device,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let config = Config::new(dataset, learning);
        let key = weights::hexadecimal(format!("{config:?}").as_bytes());
        let path = folder.join(format!("{}.extractor", &key[..32]));
        if path.exists() {
            match Self::open(&path, device) {
                Ok(extractor) if extractor.config == config => return Ok(extractor),
                Ok(_) => {}
                Err(error) => watch.notice(&format!("{error}; learning it again")),
            }
        }
        let network = learn(dataset, &config, device, watch)?;
        fs::create_dir_all(folder).map_err(Error::io(folder, "making the folder of extractors"))?;
        save(&network, &config, &path)?;
        Self::open(&path, device)
    }

    /// An extractor that learns from `dataset` and is not kept.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than 8 pictures; [`Error::Interrupted`] when the watcher stops it.
    pub fn learn(
        dataset: &dyn Dataset,
        learning: Learning,
        device: &Device,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        let config = Config::new(dataset, learning);
        let trained = learn(dataset, &config, device, watch)?;
        let network = Network::new(&config, &mut Init::new(0, device));
        let network = params::import(network, &params::export(&trained)?)?;
        Ok(Self {
            identity: config.identity(config.kind(), String::new()),
            network,
            config,
            device: device.clone(),
        })
    }

    /// An extractor that has learned nothing: random weights, for comparisons within one run.
    ///
    /// # Errors
    /// Never for a data set with a shape.
    pub fn random(dataset: &dyn Dataset, seed: u64, device: &Device) -> Result<Self> {
        let mut config = Config::new(dataset, Learning { steps: 0, seed, changes: false });
        config.classes = 0;
        let network = Network::new(&config, &mut Init::new(seed, device));
        Ok(Self {
            identity: config.identity("random", String::new()),
            network,
            config,
            device: device.clone(),
        })
    }

    /// The extractor in a file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it is none or is damaged.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let snapshot = Snapshot::read(path)?;
        let bytes = fs::read(path).map_err(Error::io(path, "reading the extractor"))?;
        let damaged = |e: &dyn std::fmt::Display| {
            Error::checkpoint(path, format!("it is no extractor of Pinxit ({e})"))
        };
        let config = Config::from_json(snapshot.note("extractor", path)?).map_err(|e| damaged(&e))?;
        let network = Network::new(&config, &mut Init::new(0, device));
        let network = params::import(network, &snapshot.part("network/")).map_err(|e| damaged(&e))?;
        let identity = config.identity(config.kind(), weights::hexadecimal(&bytes));
        Ok(Self { network, config, identity, device: device.clone() })
    }
}

impl OwnExtractor {
    /// The network, and what it learned from.
    pub(super) fn into_parts(self) -> (Network, Config) {
        (self.network, self.config)
    }
}

impl Extractor for OwnExtractor {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        FEATURES
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn extract(&self, pictures: &[Picture]) -> Result<Features> {
        let shape = self.config.shape;
        let brought: Vec<Vec<f32>> = pictures.par_iter().map(|picture| bring(picture, shape)).collect();
        let features = self.network.features(tensor(brought.concat(), shape, &self.device));
        let logits = match self.config.classes {
            0 => Vec::new(),
            _ => values(self.network.head.forward(features.clone()))?,
        };
        Ok(Features { rows: values(features)?, logits })
    }
}

impl Config {
    fn new(dataset: &dyn Dataset, learning: Learning) -> Self {
        let ImageShape { channels, height, width } = dataset.shape();
        let longest = height.max(width).max(1);
        let side = |side: usize| if longest > SIDE { (side * SIDE).div_ceil(longest) } else { side };
        Self {
            version: VERSION,
            shape: ImageShape { channels, height: side(height), width: side(width) },
            classes: dataset.classes().len(),
            learning,
            pictures: data::fingerprint(dataset),
        }
    }

    /// As text in a file.
    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::config(format!("the extractor's settings have no JSON form: {e}")))
    }

    /// What [`to_json`](Self::to_json) wrote.
    pub(super) fn from_json(text: &str) -> Result<Self> {
        let found: Option<Self> = serde_json::from_str(text).ok();
        found
            .filter(Self::is_known)
            .ok_or_else(|| Error::config("it is no extractor of this version of Pinxit"))
    }

    /// Whether this version of Pinxit can have written it.
    fn is_known(&self) -> bool {
        let ImageShape { channels, height, width } = self.shape;
        self.version == VERSION && (1..=4).contains(&channels) && height.max(width) <= SIDE
    }

    /// What it learned.
    fn kind(&self) -> &'static str {
        if self.classes > 0 { "classes" } else { "contrast" }
    }

    fn identity(&self, kind: &str, sha256: String) -> Identity {
        let ImageShape { channels, height, width } = self.shape;
        Identity {
            name: format!("own:{kind}"),
            sha256,
            layer: format!("mean of the last stage ({FEATURES})"),
            resize: format!("clean-bicubic to {height}x{width}x{channels}"),
        }
    }
}

/// The picture at `shape`: planar values in `[-1, 1]`.
fn bring(picture: &Picture, shape: ImageShape) -> Vec<f32> {
    let planes = planes(picture, shape.channels);
    let (from, to) = ((planes.height, planes.width), (shape.height, shape.width));
    let resized = planes.planes.iter().flat_map(|plane| {
        let plane: Vec<f32> = plane.iter().map(|&level| level.into()).collect();
        bicubic(&plane, from, to)
    });
    resized.map(|level| level.clamp(0.0, 255.0) / 127.5 - 1.0).collect()
}

fn tensor(values: Vec<f32>, shape: ImageShape, device: &Device) -> Tensor<4> {
    let count = values.len() / shape.len().max(1);
    Tensor::from_data(TensorData::new(values, [count, shape.channels, shape.height, shape.width]), device)
}

/// Convolution, group normalisation and SiLU.
#[derive(Module, Debug)]
struct Stage {
    conv: Conv2d,
    norm: GroupNorm,
}

impl Stage {
    fn new(input: usize, output: usize, stride: usize, init: &mut Init) -> Self {
        let conv = Conv2d::new(input, output, 3, init).with_stride(stride);
        Self { conv, norm: GroupNorm::new(8, output, EPS, init) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x), Activation::Silu)
    }
}

#[derive(Module, Debug)]
pub(super) struct Network {
    stages: Vec<Stage>,
    /// To classes, or to what contrastive learning compares.
    head: Linear,
}

impl Network {
    pub(super) fn new(config: &Config, init: &mut Init) -> Self {
        let mut input = config.shape.channels;
        let stage = |(i, &output): (usize, &usize)| {
            let stage = Stage::new(input, output, if i == 0 { 1 } else { 2 }, init);
            input = output;
            stage
        };
        let stages = CHANNELS.iter().enumerate().map(stage).collect();
        let outputs = if config.classes > 0 { config.classes } else { PROJECTION };
        Self { stages, head: Linear::new(FEATURES, outputs, init) }
    }

    /// Number of stages.
    pub(super) fn stages(&self) -> usize {
        self.stages.len()
    }

    /// What comes out of each of the first `count` stages: `[B, C, H, W]` -> `[B, 32, H, W]`, `[B, 64, H / 2, W / 2]`, ...
    pub(super) fn forward(&self, pictures: Tensor<4>, count: usize) -> Vec<Tensor<4>> {
        let mut x = pictures;
        let mut stage = |stage: &Stage| {
            x = stage.forward(x.clone());
            x.clone()
        };
        self.stages.iter().take(count).map(&mut stage).collect()
    }

    /// What the stages cost for one picture of these channels and sides.
    pub(super) fn cost(mut channels: usize, sides: [usize; 2]) -> Tally {
        let mut tally = Tally::default();
        for (level, after) in CHANNELS.into_iter().enumerate() {
            let sides = sides.map(|side| (side >> level).max(1));
            tally.conv2d(channels, after, 3, if level == 0 { 1 } else { 2 }, sides);
            tally.group_norm(after, sides);
            channels = after;
        }
        tally
    }

    /// `[B, C, H, W]` -> `[B, FEATURES]`.
    fn features(&self, pictures: Tensor<4>) -> Tensor<2> {
        let x = self.stages.iter().fold(pictures, |x, stage| stage.forward(x));
        let [b, c, _, _] = x.dims();
        x.reshape([b as i32, c as i32, -1]).mean_dim(2).reshape([b, c])
    }
}

/// Trains a network on pictures.
///
/// # Errors
/// [`Error::Config`] for fewer than 8 pictures; [`Error::Interrupted`] when the watcher stops it.
fn learn(dataset: &dyn Dataset, config: &Config, device: &Device, watch: &mut dyn Watch) -> Result<Network> {
    if dataset.len() < 8 {
        return Err(Error::config(format!(
            "{} pictures are too few to learn features from: give at least 8",
            dataset.len()
        )));
    }
    let Learning { steps, seed, .. } = config.learning;
    let device = device.clone().autodiff();
    let mut network = Network::new(config, &mut Init::new(seed, &device));
    let mut adam = Adam::new(AdamConfig::default());
    let feed = Feed::new(dataset, config)?;
    for step in 0..steps {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let loss = feed.loss(&network, step, &device);
        let mut gradients = loss.backward();
        let progress = f64::from(step) / f64::from(steps);
        let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        network = adam.step(network, &mut gradients, rate, 1.0).0;
        watch.progress("learning features", u64::from(step) + 1, steps.into());
    }
    Ok(network)
}

fn save(network: &Network, config: &Config, path: &Path) -> Result<()> {
    let mut snapshot = Snapshot::default();
    snapshot.add_part("network/", params::export(network)?);
    snapshot.notes.insert("extractor".into(), config.to_json()?);
    snapshot.write(path)
}

/// Makes the batch of any step.
struct Feed<'a> {
    dataset: &'a dyn Dataset,
    config: &'a Config,
    augment: Augment,
}

impl<'a> Feed<'a> {
    fn new(dataset: &'a dyn Dataset, config: &'a Config) -> Result<Self> {
        let shape = config.shape;
        let changes = match config.learning.changes {
            true => DataRecipe {
                shift: shape.height.min(shape.width) / 6,
                brightness: 0.15,
                contrast: 0.3,
                ..DataRecipe::default()
            },
            false => DataRecipe::default(),
        };
        Ok(Self { dataset, config, augment: Augment::new(&changes, shape)? })
    }

    fn loss(&self, network: &Network, step: u32, device: &Device) -> Tensor<1> {
        let ids = self.ids(step);
        if self.config.classes > 0 {
            let pictures = self.pictures(&ids, step, 0, device);
            let logits = network.head.forward(network.features(pictures));
            let labels: Vec<i32> = ids.iter().map(|&id| self.dataset.label(id as usize) as i32).collect();
            return cross_entropy(logits, labels, device);
        }
        let twice = [0, 1].map(|view| self.pictures(&ids, step, view, device));
        let z = network.head.forward(network.features(Tensor::cat(twice.to_vec(), 0)));
        let length = z.clone().square().sum_dim(1).sqrt() + 1e-6;
        let z = z / length;
        let count = 2 * ids.len();
        // A picture is not compared with itself.
        let itself = Tensor::<2>::eye(count, device) * 1e9;
        let logits = z.clone().matmul(z.transpose()) / TEMPERATURE - itself;
        let other = (0..count).map(|i| ((i + ids.len()) % count) as i32).collect();
        cross_entropy(logits, other, device)
    }

    /// Different pictures, at most a batch of them.
    fn ids(&self, step: u32) -> Vec<u32> {
        let mut rng = Rng::new(self.config.learning.seed, Purpose::Shuffle, step, 0);
        let count = self.dataset.len() as u32;
        let mut ids = Vec::with_capacity(BATCH);
        while ids.len() < BATCH.min(count as usize) {
            let id = rng.below(count);
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    fn pictures(&self, ids: &[u32], step: u32, view: u32, device: &Device) -> Tensor<4> {
        let (from, shape) = (self.dataset.shape(), self.config.shape);
        let mut values = vec![0.0; ids.len() * shape.len()];
        values.par_chunks_exact_mut(shape.len()).zip(ids).enumerate().for_each(|(place, (out, &id))| {
            let mut whole = vec![0.0; from.len()];
            self.dataset.read(id as usize, &mut whole);
            let plane = from.height * from.width;
            let resized = whole
                .chunks_exact(plane)
                .flat_map(|plane| bicubic(plane, (from.height, from.width), (shape.height, shape.width)));
            out.iter_mut().zip(resized).for_each(|(out, value)| *out = value);
            let index = 2 * place as u32 + view;
            self.augment.apply(
                out,
                shape,
                &mut Rng::new(self.config.learning.seed, Purpose::Augment, step, index),
            );
        });
        tensor(values, shape, device)
    }
}

fn cross_entropy(logits: Tensor<2>, targets: Vec<i32>, device: &Device) -> Tensor<1> {
    let [count, classes] = logits.dims();
    let targets = Tensor::<3, Int>::from_data(TensorData::new(targets, [count, 1, 1]), device);
    ops::cross_entropy(logits.reshape([count, classes, 1, 1]), targets)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metrics::collect::collect;
    use crate::metrics::frechet::frechet_distance;
    use crate::watch::Unwatched;

    fn digits(labels: bool) -> Box<dyn Dataset> {
        let recipe = DataRecipe { labels, ..DataRecipe::default() };
        data::builtin::open("digits", &recipe).unwrap()
    }

    /// What was learned comes back from its file, and its features tell real digits from noise by far
    /// more than real digits from real digits.
    #[test]
    fn features_of_a_minute_tell_noise_from_pictures() {
        let digits = digits(true);
        let folder = tempfile::tempdir().unwrap();
        let device = Device::flex();
        let learning = Learning { steps: 12, seed: 3, changes: true };
        let learn = || {
            OwnExtractor::open_or_learn(&*digits, learning, folder.path(), &device, &mut Unwatched).unwrap()
        };
        let extractor = learn();
        assert_eq!(learn().identity(), extractor.identity(), "found again, or learned again to the bit");
        let shape = digits.shape();
        let real = |start: usize| -> Vec<Picture> {
            (start..start + 300)
                .map(|index| crate::metrics::pictures::Pictures::picture(&*digits, index).unwrap())
                .collect()
        };
        let mut rng = Rng::new(1, Purpose::Picture, 0, 0);
        let noise: Vec<Picture> = (0..300)
            .map(|_| Picture { shape, pixels: (0..shape.len()).map(|_| rng.bits() as u8).collect() })
            .collect();
        let of = |pictures: Vec<Picture>| {
            collect(&extractor, &pictures, &mut Unwatched).unwrap().gaussian.unwrap()
        };
        let (a, b, noise) = (of(real(0)), of(real(700)), of(noise));
        let (floor, distance) = (frechet_distance(&a, &b).unwrap(), frechet_distance(&a, &noise).unwrap());
        assert!(distance > 5.0 * floor, "noise is {distance} away, real digits {floor}");
    }

    #[test]
    fn too_few_pictures_are_refused() {
        let digits: std::sync::Arc<dyn Dataset> = digits(false).into();
        let few = data::split::view(digits, data::Split::Train, 0.9).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // A held-out view of nothing.
        let none = data::split::view(std::sync::Arc::new(few), data::Split::Heldout, 0.0).unwrap();
        let refused = OwnExtractor::open_or_learn(
            &none,
            Learning::default(),
            folder.path(),
            &Device::flex(),
            &mut Unwatched,
        );
        assert!(refused.err().unwrap().to_string().contains("at least 8"));
    }
}
