//! Trained generators: pictures from pictures, in one direction or both.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::nets::Generator;
use crate::checkpoint::Snapshot;
use crate::data::{Batch, ImageShape};
use crate::error::{Error, Result};
use crate::knobs;
use crate::model::{Canvas, Example, Model, Request, Translate};
use crate::nn::{Ema, Mode};
use crate::watch::Watch;

/// Pixels, over all pictures, that go through the network at once, to bound memory.
const PIXELS_AT_ONCE: usize = 262_144;

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From what went in to what came out in training.
    Forward,
    /// Back.
    Backward,
}

crate::knobs! {
    /// The `[sample]` table of a family of pictures to pictures.
    pub struct TranslateKnobs {
        /// `forward`, or `backward` where the model has learned both ways.
        pub direction: Direction = Direction::Forward,
        /// Also drop values while painting, from the seed of the picture, so that several come of one (Isola et al. 2017,
        /// section 3.2).
        pub noise: bool = false,
    }
}

/// The generators of both ways, or of one.
#[derive(Module, Debug)]
pub struct Painters {
    /// From what goes in to what comes out.
    pub forward: Generator,
    /// Back.
    pub backward: Option<Generator>,
}

/// What goes in in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// Pictures that each belong to the one that is to come out.
    Pairs,
    /// Pictures of another set.
    Others,
    /// The pictures of the one set that there is; what should come out of them nobody knows.
    Themselves,
}

/// The averaged generators and what surrounds them.
#[derive(Debug)]
pub struct TranslationModel {
    pub(crate) network: Ema<Painters>,
    /// Of what comes out.
    pub(crate) shape: ImageShape,
    /// Channels of what goes in.
    pub(crate) input: usize,
    pub(crate) inputs: Inputs,
    /// Both sides must divide by this.
    pub(crate) multiple: usize,
    /// Whether the network knows pictures of one size alone.
    pub(crate) fixed: bool,
    /// The recipe's `[sample]` table, under the request's options.
    pub(crate) sample: toml::Table,
    pub(crate) device: Device,
}

impl TranslationModel {
    /// Takes up the averages of a checkpoint.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape.
    pub(super) fn load(&mut self, from: &Snapshot) -> Result<()> {
        self.network.load("model", from)
    }

    fn knobs(&self, options: &toml::Table) -> Result<TranslateKnobs> {
        let mut table = self.sample.clone();
        table.extend(options.clone());
        knobs::parse(&table, "sample")
    }

    /// The generator of a direction, and the channels that go in and come out.
    fn painter(&self, direction: Direction) -> Result<(&Generator, [usize; 2])> {
        let painters = self.network.model();
        match (direction, &painters.backward) {
            (Direction::Forward, _) => Ok((&painters.forward, [self.input, self.shape.channels])),
            (Direction::Backward, Some(backward)) => Ok((backward, [self.shape.channels, self.input])),
            (Direction::Backward, None) => {
                Err(Error::config("the model has learned one way only; sample.direction must be \"forward\""))
            }
        }
    }
}

impl Model for TranslationModel {
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

impl Translate for TranslationModel {
    fn canvas(&self, options: &toml::Table) -> Result<Canvas> {
        let (_, [input, output]) = self.painter(self.knobs(options)?.direction)?;
        let ImageShape { height, width, .. } = self.shape;
        let (multiple, fixed) = (self.multiple, self.fixed);
        Ok(Canvas { input, output, scale: 1, multiple, trained: [height, width], fixed })
    }

    fn translate(&self, images: Tensor<4>, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>> {
        let knobs = self.knobs(&request.options)?;
        self.canvas(&request.options)?.check(&images, request)?;
        let (painter, [_, output]) = self.painter(knobs.direction)?;
        let [count, _, height, width] = images.dims();
        // Each picture's own random numbers, so that company doesn't matter.
        let at_once = if knobs.noise { 1 } else { (PIXELS_AT_ONCE / (height * width)).clamp(1, 256) };
        let images = images.to_device(&self.device);
        let mut painted = Vec::new();
        for start in (0..count).step_by(at_once) {
            if watch.stopped() {
                return Err(Error::Interrupted);
            }
            let end = (start + at_once).min(count);
            let mode = match request.seeds.get(start) {
                Some(&seed) if knobs.noise => Mode::Train { seed, step: 0, offset: 0 },
                _ => Mode::Eval,
            };
            painted.push(painter.paint(images.clone().narrow(0, start, end - start), &mode));
            watch.progress("translating", end as u64, count as u64);
        }
        if painted.is_empty() {
            return Ok(Tensor::zeros([0, output, height, width], &self.device));
        }
        Ok(Tensor::cat(painted, 0))
    }

    fn directions(&self, options: &toml::Table) -> Vec<toml::Table> {
        let way = |direction| {
            let mut options = options.clone();
            let value = toml::Value::try_from(direction).ok()?;
            options.insert("direction".into(), value);
            self.canvas(&options).ok().map(|_| options)
        };
        [Direction::Forward, Direction::Backward].into_iter().filter_map(way).collect()
    }

    fn example(&self, batch: &Batch, options: &toml::Table) -> Result<Example> {
        if self.inputs == Inputs::Themselves {
            return Ok(Example { inputs: batch.images.clone(), truth: None });
        }
        let Some(inputs) = &batch.inputs else {
            return Err(Error::config("the pictures have none beside them to be made from"));
        };
        let (inputs, truth) = match self.knobs(options)?.direction {
            Direction::Forward => (inputs.clone(), batch.images.clone()),
            Direction::Backward => (batch.images.clone(), inputs.clone()),
        };
        Ok(Example { inputs, truth: (self.inputs == Inputs::Pairs).then_some(truth) })
    }
}
