//! SRResNet and SRGAN: small pictures made large.
//!
//! ```text
//! G: x [C, h, w] -> [64, h, w] -> 16 blocks -> [64, r h, r w] -> y [C, r h, r w]
//! D: y [C, 96, 96] -> [64, 48, 48] -> [128, 24, 24] -> [256, 12, 12] -> [512, 6, 6] -> 1024 -> 1
//! ```

mod degrade;
mod nets;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::adversarial::Loss;
use crate::adversarial::learner::mode;
use crate::adversarial::player::{Bill, Player};
use crate::checkpoint::Snapshot;
use crate::data::{Batch, DataFacts, Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::metrics::extract::{Layers, Learning};
use crate::model::{Canvas, Example, Learner, Losses, Model, Request, Step, Translate, check_shape};
use crate::nn::ops::{self, Reduction};
use crate::nn::{AdamConfig, Budget, Cost, Ema, Init, Mode, params, ramped_decay};
use crate::recipe::{Recipe, TrainRecipe};
use crate::rng::{Purpose, Rng};
use crate::translation::perceptual;
use crate::watch::Watch;

use degrade::Degradation;
use nets::{SrDiscriminator, SrResnet};

/// Pixels of what comes out, over all pictures, that go through the network at once, to bound memory.
const PIXELS_AT_ONCE: usize = 262_144;
/// Weight of the differences of features: section 2.2.1, "rescaling factor of approximately 0.006".
const FEATURE: f64 = 0.006;
/// Channels and blocks beyond which no machine follows.
const MOST: usize = 4096;

/// How far a picture is from the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Mean squared difference: the highest PSNR.
    Mse,
    /// Mean absolute difference: Lim et al. 2017 find it to lead to better pictures at the same PSNR.
    L1,
}

crate::knobs! {
    /// The `[model]` table.
    pub struct Srgan {
        /// Times that both sides of a picture grow: 2, 3 or 4.
        pub scale: usize = 4,
        /// Channels of the generator.
        pub width: usize = 64,
        /// Its residual blocks.
        pub blocks: usize = 16,
        /// Distance from the right picture: `mse` or `l1`.
        pub content: Content = Content::L1,
        /// Weight of that distance, from 0; 1 when not given, 0 where `features` are named.
        pub pixel: Option<f64> = None,
        /// Network whose features are compared too: `own` learns from the run's pictures, anything else is a file of weights of
        /// torchvision's VGG-19 or VGG-16 (.pth or .safetensors).
        pub features: Option<String> = None,
        /// Weight of the difference of features, from 0; the paper's 0.006 when not given, 0 where no `features` are named.
        pub feature: Option<f64> = None,
        /// Steps for which an `own` network learns before the first step.
        pub feature_steps: u32 = 400,
        /// Weight of the discriminator's verdict: 0 trains SRResNet alone, 1e-3 is SRGAN's.
        pub adversarial: f64 = 0.0,
        /// Channels of the discriminator's first layer.
        pub d_width: usize = 64,
        /// Largest blur of the small pictures in training, in their pixels; 0 for none.
        pub blur: f64 = 0.0,
        /// Largest standard deviation of noise on them, as a share of the range, 0 to 1.
        pub noise: f64 = 0.0,
        /// Lowest quality of JPEG files that they have been through, 1 to 100; 100 for none.
        pub jpeg: u8 = 100,
    }
}

impl Srgan {
    fn check(&self, shape: ImageShape) -> Result<()> {
        let refuse = |message: String| Err(Error::config(message));
        if !(2..=4).contains(&self.scale) {
            return refuse(format!("model.scale is {}; it must be 2, 3 or 4", self.scale));
        }
        let sizes = [("width", self.width), ("blocks", self.blocks), ("d_width", self.d_width)];
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=MOST).contains(size)) {
            return refuse(format!("model.{name} is {size}; it must be 1 to {MOST}"));
        }
        for (name, value, most) in [
            ("adversarial", self.adversarial, f64::MAX),
            ("pixel", self.pixel(), f64::MAX),
            ("feature", self.feature(), f64::MAX),
            ("blur", self.blur, 10.0),
            ("noise", self.noise, 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return refuse(format!("model.{name} is {value}; it must be at least 0 and not too large"));
            }
        }
        if !(1..=100).contains(&self.jpeg) {
            return refuse(format!("model.jpeg is {}; it must be 1 to 100", self.jpeg));
        }
        let ImageShape { height, width, .. } = shape;
        if !height.is_multiple_of(self.scale)
            || !width.is_multiple_of(self.scale)
            || height.min(width) < 2 * self.scale
        {
            let near = |side: usize| (side / self.scale).max(2) * self.scale;
            return refuse(format!(
                "pictures of {height}x{width} pixels can't be shrunk {} times: use --size {}x{} or data.crop",
                self.scale,
                near(height),
                near(width)
            ));
        }
        Ok(())
    }

    fn pixel(&self) -> f64 {
        self.pixel.unwrap_or(if self.features.is_some() { 0.0 } else { 1.0 })
    }

    fn feature(&self) -> f64 {
        self.feature.unwrap_or(if self.features.is_some() { FEATURE } else { 0.0 })
    }

    fn features(&self) -> &str {
        self.features.as_deref().unwrap_or(Layers::OWN)
    }

    fn degradation(&self) -> Degradation {
        Degradation { scale: self.scale, blur: self.blur, noise: self.noise, jpeg: self.jpeg }
    }

    fn generator(&self, channels: usize, init: &mut Init) -> SrResnet {
        SrResnet::new(channels, self.width, self.blocks, self.scale, init)
    }
}

crate::knobs! {
    /// The `[sample]` table.
    pub struct SrSampleKnobs {
        /// Pixels of what comes out that go through the network at once, over all pictures, to bound memory.
        pub pixels_at_once: usize = PIXELS_AT_ONCE,
    }
}

fn read(recipe: &Recipe, facts: &DataFacts) -> Result<Srgan> {
    let own: Srgan = knobs::parse(&recipe.model, "model")?;
    own.check(facts.shape)?;
    Ok(own)
}

fn resolve(recipe: &mut Recipe, facts: &DataFacts, _: Budget) -> Result<()> {
    let mut own = read(recipe, facts)?;
    (own.pixel, own.feature) = (Some(own.pixel()), Some(own.feature()));
    let sample: SrSampleKnobs = knobs::parse(&recipe.sample, "sample")?;
    // Section 3.2: batches of 16, Adam with 1e-4.
    recipe.train.lr.get_or_insert(1e-4);
    recipe.train.batch.get_or_insert(16);
    recipe.model = knobs::table(&own)?;
    recipe.sample = knobs::table(&sample)?;
    Ok(())
}

fn cost(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let own = read(recipe, facts)?;
    let ImageShape { channels, height, width } = facts.shape;
    let mut g = SrResnet::cost(channels, own.width, own.blocks, own.scale, [height, width]).cost();
    if own.feature() > 0.0 {
        let phi = Layers::cost(own.features(), channels, [height, width]).cost();
        g.forward_macs += 2 * phi.forward_macs;
        g.activation_bytes += 2 * phi.activation_bytes;
    }
    if own.adversarial == 0.0 {
        return Ok(g);
    }
    let d = SrDiscriminator::cost(channels, own.d_width, [height, width]).cost();
    Ok(Cost {
        parameters: g.parameters + d.parameters,
        forward_macs: 4 * g.forward_macs / 3 + 3 * d.forward_macs,
        activation_bytes: g.activation_bytes + 2 * d.activation_bytes,
    })
}

fn learner(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let own = read(recipe, facts)?;
    let ImageShape { channels, height, width } = facts.shape;
    let mut init = Init::new(recipe.train.seed, &device.clone().autodiff());
    let g = own.generator(channels, &mut init);
    let model = around(&g, &own, recipe, facts, device);
    let adam = AdamConfig::default();
    let lr = recipe.train.lr.unwrap_or(1e-4);
    let player = |d| Player::new(d, adam, lr, &recipe.train);
    let d = (own.adversarial > 0.0)
        .then(|| player(SrDiscriminator::new(channels, own.d_width, [height, width], &mut init)));
    let TrainRecipe { ema, seed, .. } = recipe.train;
    let g = Player::new(g, adam, lr, &recipe.train);
    Ok(Box::new(SrLearner { g, d, layers: None, ema, seed, model }))
}

fn model(recipe: &Recipe, facts: &DataFacts, snapshot: &Snapshot, device: &Device) -> Result<Box<dyn Model>> {
    let own = read(recipe, facts)?;
    let g = own.generator(facts.shape.channels, &mut Init::new(recipe.train.seed, device));
    let mut model = around(&g, &own, recipe, facts, device);
    model.network.load("model", snapshot)?;
    Ok(Box::new(model))
}

fn around(g: &SrResnet, own: &Srgan, recipe: &Recipe, facts: &DataFacts, device: &Device) -> SrModel {
    let (shape, sample) = (facts.shape, recipe.sample.clone());
    SrModel { network: Ema::new(g), own: own.clone(), shape, sample, device: device.clone() }
}

/// SRResNet in training, and the discriminator that makes it SRGAN.
struct SrLearner {
    g: Player<SrResnet>,
    d: Option<Player<SrDiscriminator>>,
    /// The network whose features are compared, if they are; none before the run begins.
    layers: Option<Layers>,
    ema: f64,
    seed: u64,
    /// Holds the averaged weights of G.
    model: SrModel,
}

/// The small pictures of a part of a batch and the right ones, for computations with autodiff.
fn sides(own: &Srgan, part: &Batch, step: &Step) -> Result<[Tensor<4>; 2]> {
    let place = |i: usize| (part.offset + i) as u32;
    let streams = (0..part.len()).map(|i| Rng::new(step.seed, Purpose::Degrade, step.number, place(i)));
    let small = own.degradation().apply(part.images.clone(), streams)?;
    let device = part.images.device().autodiff();
    Ok([small, part.images.clone()].map(|images| ops::onto(images, &device)))
}

/// The difference of features of pictures made and right ones (eq. 5) in the last layer that is not less than a pixel:
/// VGG_5,4 of VGG-19.
fn feature_loss(layers: &Layers, made: Tensor<4>, right: Tensor<4>) -> Option<Tensor<1>> {
    let [_, _, height, width] = made.dims();
    let count = layers.count().min(1 + height.min(width).max(1).ilog2() as usize);
    Some(perceptual::content(layers.of(made, count).pop()?, layers.of(right, count).pop()?))
}

impl SrLearner {
    /// One step of D on what G makes of the small pictures.
    fn teach_d(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Some(d) = &mut self.d else { return Ok(Losses::default()) };
        let (own, g) = (&self.model.own, params::frozen(&self.g.network));
        let bill = |d: &SrDiscriminator, part: &Batch| {
            let ([x, y], mode) = (sides(own, part, step)?, mode(part, step));
            let fake = g.paint(x, &mode).detach();
            let [real, fake] = [y, fake].map(|images| d.judge(images, &mode));
            let loss = Loss::NonSaturating.discriminator(real, fake, 0.0);
            Ok(Bill { measures: vec![("d_loss", loss.clone())], loss })
        };
        let (mut losses, norm) = d.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("d_grad_norm", norm));
        Ok(Losses(losses))
    }

    /// One step of G: eq. 3 with the distance between pixels, that of features or both as content, eq. 6.
    fn teach_g(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (own, layers) = (&self.model.own, &self.layers);
        if own.feature() > 0.0 && layers.is_none() {
            return Err(Error::config(
                "the network that tells features has to be known before the first step",
            ));
        }
        let d = self.d.as_ref().map(|d| params::frozen(&d.network));
        let bill = |g: &SrResnet, part: &Batch| {
            let ([x, y], mode) = (sides(own, part, step)?, mode(part, step));
            let made = g.paint(x, &mode);
            let pixels = match own.content {
                Content::Mse => ops::mse_loss(made.clone(), y.clone(), Reduction::Mean),
                Content::L1 => ops::l1_loss(made.clone(), y.clone(), Reduction::Mean),
            };
            let mut content = pixels * own.pixel();
            let features = layers.as_ref().and_then(|layers| feature_loss(layers, made.clone(), y));
            if let Some(features) = &features {
                content = content + features.clone() * own.feature();
            }
            let mut measures = vec![("loss", content.clone())];
            measures.extend(features.map(|features| ("features", features)));
            let loss = match &d {
                None => content,
                Some(d) => {
                    let game = Loss::NonSaturating.generator(None, d.judge(made, &mode));
                    measures.push(("g_loss", game.clone()));
                    content + game * own.adversarial
                }
            };
            Ok(Bill { loss, measures })
        };
        let (mut losses, norm) = self.g.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("g_grad_norm", norm));
        Ok(Losses(losses))
    }
}

impl Learner for SrLearner {
    fn begin(&mut self, pictures: &dyn Dataset, watch: &mut dyn Watch) -> Result<()> {
        let SrModel { own, device, .. } = &self.model;
        if own.feature() > 0.0 {
            let learning = Learning { steps: own.feature_steps, seed: self.seed, ..Learning::default() };
            self.layers = Some(Layers::open(own.features(), pictures, learning, device, watch)?);
        }
        Ok(())
    }

    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let of_d = self.teach_d(batch, step)?;
        let mut losses = self.teach_g(batch, step)?;
        losses.0.extend(of_d.0);
        self.model.network.update(&self.g.network, ramped_decay(self.ema, step.number));
        Ok(losses)
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn descends(&self) -> bool {
        self.d.is_none()
    }

    fn parameters(&self) -> usize {
        params::count(&self.g.network) + self.d.as_ref().map_or(0, |d| params::count(&d.network))
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.model.network.save("model", to)?;
        self.g.save("g", to)?;
        self.layers.as_ref().map_or(Ok(()), |layers| layers.save(to))?;
        self.d.as_ref().map_or(Ok(()), |d| d.save("d", to))
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        let g = self.g.loaded("g", from)?;
        let d = self.d.as_ref().map(|d| d.loaded("d", from)).transpose()?;
        let SrModel { own, device, .. } = &self.model;
        let layers = (own.feature() > 0.0).then(|| Layers::load(own.features(), from, device)).transpose()?;
        self.model.network.load("model", from)?;
        (self.g, self.d, self.layers) = (g, d, layers);
        Ok(())
    }
}

/// The averaged generator and what surrounds it.
#[derive(Debug)]
struct SrModel {
    network: Ema<SrResnet>,
    own: Srgan,
    /// Of what comes out.
    shape: ImageShape,
    /// The recipe's `[sample]` table, under the request's options.
    sample: toml::Table,
    device: Device,
}

impl Model for SrModel {
    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn translate(&self) -> Option<&dyn Translate> {
        Some(self)
    }
}

impl Translate for SrModel {
    fn canvas(&self, _: &toml::Table) -> Result<Canvas> {
        let ImageShape { channels, height, width } = self.shape;
        let scale = self.own.scale;
        let trained = [height / scale, width / scale];
        Ok(Canvas { input: channels, output: channels, scale, multiple: 1, trained, fixed: false })
    }

    fn translate(&self, images: Tensor<4>, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        self.canvas(&request.options)?.check(&images, request)?;
        let mut table = self.sample.clone();
        table.extend(request.options.clone());
        let knobs: SrSampleKnobs = knobs::parse(&table, "sample")?;
        let [count, channels, height, width] = images.dims();
        let scale = self.own.scale;
        let at_once = (knobs.pixels_at_once / (height * width * scale * scale)).clamp(1, 256);
        let images = images.to_device(&self.device);
        let mut made = Vec::new();
        for start in (0..count).step_by(at_once) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let end = (start + at_once).min(count);
            let part = images.clone().narrow(0, start, end - start);
            made.push(self.network.model().paint(part, &Mode::Eval));
            watch.progress("enlarging", end as u64, count as u64);
        }
        if made.is_empty() {
            return Ok(Tensor::zeros([0, channels, scale * height, scale * width], &self.device));
        }
        Ok(Tensor::cat(made, 0))
    }

    fn example(&self, batch: &Batch, _: &toml::Table) -> Result<Example> {
        check_shape(&batch.images, self.shape)?;
        let streams = batch.ids.iter().map(|&id| Rng::new(0, Purpose::Degrade, 0, id));
        let inputs = self.own.degradation().apply(batch.images.clone(), streams)?;
        Ok(Example { inputs, truth: Some(batch.images.clone()) })
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "srgan",
    about: "SRResNet and SRGAN: makes pictures 2, 3 or 4 times as large, true to the pixels or to the eye.",
    paper: "Ledig et al. 2017, Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
    material: Material::Pictures,
    model_knobs: Srgan::KNOBS,
    sample_knobs: SrSampleKnobs::KNOBS,
    resolve,
    cost,
    learner,
    model,
};
