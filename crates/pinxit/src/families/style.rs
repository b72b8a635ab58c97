//! Fast style transfer: pictures repainted in the style of one picture, by a network that has learned that style.
//!
//! ```text
//! f: x [C, 256, 256] -> [32, 256, 256] -> [64, 128, 128] -> [128, 64, 64] -> 5 blocks -> ... -> y [C, 256, 256], tanh
//! phi: y -> features of four layers -> their Gram matrices, beside those of the style picture;
//!      one layer's features beside those of x
//! ```

use std::path::Path;

use burn::tensor::Device;

use super::{Family, Material};
use crate::adversarial::learner::mode;
use crate::adversarial::player::{Bill, Player};
use crate::checkpoint::{Array, Snapshot};
use crate::data::{self, Batch, DataFacts, Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::image_io;
use crate::knobs;
use crate::metrics::extract::{Layers, Learning};
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::{AdamConfig, Budget, Cost, Ema, Init, ops, params, ramped_decay};
use crate::recipe::{DataRecipe, Recipe};
use crate::translation::model::{Inputs, Painters, TranslateKnobs, TranslationModel};
use crate::translation::nets::{Generator, Growth, ResnetGenerator, ResnetSettings};
use crate::translation::perceptual::{self, Goal, LEAST, STYLE_LAYERS};
use crate::watch::Watch;

/// Kernel of the first and the last convolution (the paper's supplementary material).
const ENDS: usize = 9;
/// Channels and blocks beyond which no machine follows.
const MOST: usize = 4096;
/// The style where the pictures are built in and none is named: a creature by night.
const TRIED: &str = "builtin:sprites-night#0";

crate::knobs! {
    /// The `[model]` table.
    pub struct Style {
        /// The picture whose style is learned: a file, or `builtin:SET#NUMBER`. A run keeps its pixels.
        pub style: Option<String> = None,
        /// Pixels to which its longer side is brought; those of the training pictures when not given.
        pub style_size: Option<usize> = None,
        /// Network whose features are compared: `own` learns from the run's pictures, anything else is a file of weights of
        /// torchvision's VGG-16 or VGG-19 (.pth or .safetensors).
        pub features: Option<String> = None,
        /// Steps for which an `own` network learns before the first step.
        pub feature_steps: u32 = 400,
        /// Layer whose features should stay, from 1, fine, to 4; 2 of an `own` network and 3 of a VGG when not given.
        pub content_layer: Option<usize> = None,
        /// Weight of the difference of those features from those of what went in, from 0.
        pub content_weight: f64 = 1.0,
        /// Weight of the difference of Gram matrices from those of the style picture, from 0.
        pub style_weight: f64 = 5.0,
        /// Weight of the total variation, from 0.
        pub tv_weight: f64 = 0.1,
        /// Channels of the first layer.
        pub width: usize = 32,
        /// Residual blocks.
        pub blocks: usize = 5,
    }
}

impl Style {
    fn check(&self, shape: ImageShape) -> Result<()> {
        let refuse = |message: String| Err(Error::config(message));
        let weights = [
            ("content_weight", self.content_weight),
            ("style_weight", self.style_weight),
            ("tv_weight", self.tv_weight),
        ];
        if let Some((name, weight)) = weights.iter().find(|(_, weight)| !(0.0..f64::MAX).contains(weight)) {
            return refuse(format!("model.{name} is {weight}; it must be a number from 0 on"));
        }
        if !(1..=STYLE_LAYERS).contains(&self.content_layer()) {
            let layer = self.content_layer();
            return refuse(format!("model.content_layer is {layer}; it must be 1 to {STYLE_LAYERS}"));
        }
        let sizes =
            [("width", self.width), ("blocks", self.blocks), ("style_size", self.style_size.unwrap_or(1))];
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=MOST).contains(size)) {
            return refuse(format!("model.{name} is {size}; it must be 1 to {MOST}"));
        }
        let ImageShape { height, width, .. } = shape;
        if (height | width) % 4 != 0 || height.min(width) < LEAST {
            let near = |side: usize| (side / 4).max(2) * 4;
            return refuse(format!(
                "this network needs sides that divide by 4 and are at least {LEAST}, not {height}x{width}: use --size \
                 {}x{} or data.crop",
                near(height),
                near(width)
            ));
        }
        Ok(())
    }

    fn network(&self) -> ResnetSettings {
        let Self { width, blocks, .. } = *self;
        ResnetSettings { width, blocks, dropout: 0.0, ends: ENDS, growth: Growth::Nearest }
    }

    fn content_layer(&self) -> usize {
        // Relu3_3, section 4.1; pictures for which a network learns by itself are smaller.
        self.content_layer.unwrap_or(if self.features() == Layers::OWN { 2 } else { 3 })
    }

    fn features(&self) -> &str {
        self.features.as_deref().unwrap_or(Layers::OWN)
    }

    /// The style picture `[1, C, H, W]` in `[-1, 1]`, with the channels of training pictures of `shape`.
    fn picture(&self, shape: ImageShape, background: u8, watch: &mut dyn Watch) -> Result<Array> {
        let style = self.style.as_deref().unwrap_or(TRIED);
        let (values, ImageShape { channels, height, width }) = match style.starts_with("builtin:") {
            true => built_in(style, self.style_size, shape.channels, watch)?,
            false => {
                let side = self.style_size.unwrap_or(shape.height.max(shape.width));
                image_io::read_scaled(Path::new(style), shape.channels, side, background)?
            }
        };
        Ok(Array { shape: vec![1, channels, height, width], values })
    }
}

/// The picture that `builtin:SET#NUMBER` names, and its shape.
fn built_in(
    style: &str,
    side: Option<usize>,
    channels: usize,
    watch: &mut dyn Watch,
) -> Result<(Vec<f32>, ImageShape)> {
    let named = style.rsplit_once('#').and_then(|(set, number)| Some((set, number.parse::<u16>().ok()?)));
    let Some((set, number)) = named else {
        return Err(Error::config(format!(
            "model.style is \"{style}\": a built-in picture is builtin:SET#NUMBER, as in {TRIED}"
        )));
    };
    let number = usize::from(number);
    let recipe = DataRecipe {
        source: set.into(),
        count: number + 1,
        channels: Some(channels),
        size: side.map(|side| [side, side]),
        ..DataRecipe::default()
    };
    let set = data::open(&recipe, &data::default_cache_dir(), watch)?.dataset;
    if number >= set.len() {
        let last = set.len().saturating_sub(1);
        return Err(Error::config(format!("model.style is \"{style}\": the set ends with number {last}")));
    }
    let mut values = vec![0.0; set.shape().len()];
    set.read(number, &mut values);
    Ok((values, set.shape()))
}

fn read(recipe: &Recipe, facts: &DataFacts) -> Result<Style> {
    let own: Style = knobs::parse(&recipe.model, "model")?;
    own.check(facts.shape)?;
    Ok(own)
}

fn resolve(recipe: &mut Recipe, facts: &DataFacts, _: Budget) -> Result<()> {
    let mut own = read(recipe, facts)?;
    let sample: TranslateKnobs = knobs::parse(&recipe.sample, "sample")?;
    if own.style.is_none() && !recipe.data.source.starts_with("builtin:") {
        return Err(Error::config(
            "name the picture whose style is to be learned with --set model.style=FILE, or builtin:SET#NUMBER",
        ));
    }
    own.style.get_or_insert(TRIED.into());
    own.features.get_or_insert(Layers::OWN.into());
    own.content_layer = Some(own.content_layer());
    // Section 4.1: "batch size of 4 ... Adam with a learning rate of 1e-3".
    recipe.train.lr.get_or_insert(1e-3);
    recipe.train.batch.get_or_insert(4);
    recipe.model = knobs::table(&own)?;
    recipe.sample = knobs::table(&sample)?;
    Ok(())
}

fn cost(recipe: &Recipe, facts: &DataFacts) -> Result<Cost> {
    let own = read(recipe, facts)?;
    let ImageShape { channels, height, width } = facts.shape;
    let g = ResnetGenerator::cost(own.network(), [channels; 2], [height, width]).cost();
    let phi = Layers::cost(own.features(), channels, [height, width]).cost();
    Ok(Cost {
        parameters: g.parameters,
        forward_macs: g.forward_macs + 2 * phi.forward_macs,
        activation_bytes: g.activation_bytes + 2 * phi.activation_bytes,
    })
}

fn learner(recipe: &Recipe, facts: &DataFacts, device: &Device) -> Result<Box<dyn Learner>> {
    let own = read(recipe, facts)?;
    let painters = painters(&own, facts, &mut Init::new(recipe.train.seed, &device.clone().autodiff()));
    let model = around(&painters, recipe, facts, device);
    let lr = recipe.train.lr.unwrap_or(1e-3);
    Ok(Box::new(StyleLearner {
        g: Player::new(painters, AdamConfig::default(), lr, &recipe.train),
        goal: None,
        ema: recipe.train.ema,
        seed: recipe.train.seed,
        background: recipe.data.background,
        own,
        model,
    }))
}

fn model(recipe: &Recipe, facts: &DataFacts, snapshot: &Snapshot, device: &Device) -> Result<Box<dyn Model>> {
    let own = read(recipe, facts)?;
    let painters = painters(&own, facts, &mut Init::new(recipe.train.seed, device));
    let mut model = around(&painters, recipe, facts, device);
    model.network.load("model", snapshot)?;
    Ok(Box::new(model))
}

fn painters(own: &Style, facts: &DataFacts, init: &mut Init) -> Painters {
    let network = ResnetGenerator::new(own.network(), [facts.shape.channels; 2], init);
    Painters { forward: Generator::Resnet(network), backward: None }
}

fn around(painters: &Painters, recipe: &Recipe, facts: &DataFacts, device: &Device) -> TranslationModel {
    TranslationModel {
        network: Ema::new(painters),
        shape: facts.shape,
        input: facts.shape.channels,
        inputs: Inputs::Themselves,
        multiple: 4,
        fixed: false,
        sample: recipe.sample.clone(),
        device: device.clone(),
    }
}

/// The network in training, and what it is to come to.
struct StyleLearner {
    g: Player<Painters>,
    /// None before the run begins.
    goal: Option<Goal>,
    ema: f64,
    seed: u64,
    background: u8,
    own: Style,
    /// Holds the averaged weights.
    model: TranslationModel,
}

impl Learner for StyleLearner {
    fn begin(&mut self, pictures: &dyn Dataset, watch: &mut dyn Watch) -> Result<()> {
        let device = self.model.device.clone();
        let picture = self.own.picture(pictures.shape(), self.background, watch)?;
        let learning = Learning { steps: self.own.feature_steps, seed: self.seed, ..Learning::default() };
        let layers = Layers::open(self.own.features(), pictures, learning, &device, watch)?;
        self.goal = Some(Goal::new(layers, picture, &device)?);
        Ok(())
    }

    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let Some(goal) = &self.goal else {
            return Err(Error::config("a style has to be known before the first step"));
        };
        let own = &self.own;
        let bill = |g: &Painters, part: &Batch| {
            let x = ops::onto(part.images.clone(), &part.images.device().autodiff());
            let y = g.forward.paint(x.clone(), &mode(part, step));
            let [content, style] = goal.losses(x, y.clone(), own.content_layer())?;
            let tv = perceptual::total_variation(y);
            // Eq. 5.
            let loss = content.clone() * own.content_weight
                + style.clone() * own.style_weight
                + tv.clone() * own.tv_weight;
            let measures = vec![("loss", loss.clone()), ("content", content), ("style", style), ("tv", tv)];
            Ok(Bill { loss, measures })
        };
        let (mut losses, norm) = self.g.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("grad_norm", norm));
        self.model.network.update(&self.g.network, ramped_decay(self.ema, step.number));
        Ok(Losses(losses))
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn parameters(&self) -> usize {
        params::count(&self.g.network)
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.model.network.save("model", to)?;
        self.g.save("g", to)?;
        self.goal.as_ref().map_or(Ok(()), |goal| goal.save(to))
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        let goal = Goal::load(self.own.features(), from, &self.model.device)?;
        let g = self.g.loaded("g", from)?;
        self.model.network.load("model", from)?;
        (self.g, self.goal) = (g, Some(goal));
        Ok(())
    }
}

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "style",
    about: "Fast style transfer: repaints pictures in the style of one, in a single pass.",
    paper: "Johnson, Alahi, Fei-Fei 2016, Perceptual Losses for Real-Time Style Transfer and Super-Resolution; Ulyanov, \
            Vedaldi, Lempitsky 2016, Instance Normalization: The Missing Ingredient for Fast Stylization",
    material: Material::Pictures,
    model_knobs: Style::KNOBS,
    sample_knobs: TranslateKnobs::KNOBS,
    resolve,
    cost,
    learner,
    model,
};
