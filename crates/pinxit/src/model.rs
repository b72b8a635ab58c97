//! What a family gives: a [`Learner`] while it trains and a [`Model`] afterwards.

use burn::tensor::Tensor;

use crate::checkpoint::{Array, Snapshot};
use crate::data::{Batch, Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::watch::Watch;

/// What the trainer tells a learner about the step it is in.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The number of this step, from 0. Every random number of the step is keyed by it.
    pub number: u32,
    /// The seed of the run.
    pub seed: u64,
    /// Factor on the learner's learning rates: warm-up, decay and what rollbacks took off.
    pub rate: f64,
    /// In how many equal parts to work through the batch, to save memory.
    pub accumulate: usize,
}

/// The named losses and measures of one step. The first one is the one to watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Losses(pub Vec<(&'static str, f64)>);

impl Losses {
    /// Whether every value is a finite number.
    pub fn are_finite(&self) -> bool {
        self.0.iter().all(|(_, value)| value.is_finite())
    }

    /// The loss to watch, NaN when there is none.
    pub fn main(&self) -> f64 {
        self.0.first().map_or(f64::NAN, |(_, value)| *value)
    }
}

/// A model in training: owns its networks, optimizers and moving averages.
///
/// A learner is a pure function of its recipe and the batches it was given: two learners that have
/// seen the same steps are equal to the bit on the CPU, and so is one that was saved and loaded.
pub trait Learner: Send {
    /// Finds out what has to be known of the training pictures as a whole, or of other files, before the first step. A run
    /// that goes on does without: its checkpoint holds what was found out.
    ///
    /// # Errors
    /// Those of reading files; [`Error::Interrupted`] when the watcher stops it.
    fn begin(&mut self, pictures: &dyn Dataset, watch: &mut dyn Watch) -> Result<()> {
        let _ = (pictures, watch);
        Ok(())
    }

    /// Learns from one batch.
    ///
    /// # Errors
    /// Never for a loss that is not finite: that is a number for the trainer to judge.
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses>;

    /// The model with its averaged (EMA) weights as they are now.
    fn model(&self) -> &dyn Model;

    /// Whether the first loss falls while all goes well, so that its rise is a divergence. The losses of
    /// networks that play against each other rise and fall with the other's luck.
    fn descends(&self) -> bool {
        true
    }

    /// Whether the trainer should look at samples every few hundred steps, and at what the learner reports of
    /// its discriminator: `d_right_real` and `d_right_fake` (shares of pictures that it takes for what they
    /// are) and `g_grad_norm`. For learners that paint quickly and can fail in the ways of adversarial training.
    fn watched(&self) -> bool {
        false
    }

    /// Number of trainable values.
    fn parameters(&self) -> usize;

    /// Writes everything that `load` needs to go on as if nothing had happened.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    fn save(&self, to: &mut Snapshot) -> Result<()>;

    /// Takes up what `save` wrote.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape.
    fn load(&mut self, from: &Snapshot) -> Result<()>;
}

/// A trained model. What it can do is what it answers `Some` to.
pub trait Model: Send + Sync {
    /// Shape of the pictures that go in and come out.
    fn shape(&self) -> ImageShape;

    /// Names of the classes it can be asked for; empty for an unconditional model.
    fn classes(&self) -> &[String];

    /// Seeds to images.
    fn generate(&self) -> Option<&dyn Generate> {
        None
    }

    /// Points of a latent space to images.
    fn latent(&self) -> Option<&dyn Latent> {
        None
    }

    /// Images to images.
    fn translate(&self) -> Option<&dyn Translate> {
        None
    }

    /// Images with a part hidden to whole ones.
    fn inpaint(&self) -> Option<&dyn Inpaint> {
        None
    }

    /// The first rows of images to whole ones.
    fn complete(&self) -> Option<&dyn Complete> {
        None
    }

    /// Images to latents and back.
    fn latents(&self) -> Option<&dyn Latents> {
        None
    }

    /// Images to nats.
    fn likelihood(&self) -> Option<&dyn Likelihood> {
        None
    }
}

/// Which pictures to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// One seed a picture. Picture i depends on seed i and nothing else of the request but its
    /// class and the options.
    pub seeds: Vec<u64>,
    /// The class of each picture, as an index into [`Model::classes`]; empty for an unconditional model.
    pub classes: Vec<u32>,
    /// The family's sampling knobs, checked (see [`Family::sample_knobs`](crate::families::Family)).
    pub options: toml::Table,
}

/// The index of the class with this name, or with this number.
pub(crate) fn find_class(class: &str, names: &[String]) -> Result<u32> {
    let by_name = names.iter().position(|name| name == class);
    let by_number = class.parse().ok().filter(|&number: &usize| number < names.len());
    by_name.or(by_number).map(|index| index as u32).ok_or_else(|| {
        Error::config(match names.len() {
            0 => format!("the model knows no classes, so class \"{class}\" can't be asked for"),
            1..=40 => format!("the model has no class \"{class}\"; its classes are: {}", names.join(", ")),
            n => format!("the model has no class \"{class}\" among its {n} classes"),
        })
    })
}

/// Refuses class indices that don't fit the number of pictures, or that are none of a model's classes
/// nor, where it has learned that, "no class".
pub(crate) fn check_classes(
    names: &[String],
    knows_no_class: bool,
    classes: &[u32],
    pictures: usize,
) -> Result<()> {
    let expected = if names.is_empty() { 0 } else { pictures };
    if classes.len() != expected {
        return Err(Error::config(format!(
            "{pictures} pictures of a model with {} classes need {expected} class indices, not {}",
            names.len(),
            classes.len()
        )));
    }
    let known = names.len() + usize::from(knows_no_class);
    match classes.iter().find(|&&class| class as usize >= known) {
        Some(class) => Err(Error::config(format!(
            "class {class} is unknown; the model has {} classes, counted from 0",
            names.len()
        ))),
        None => Ok(()),
    }
}

/// Refuses pictures of another shape than the model's.
pub(crate) fn check_shape(images: &Tensor<4>, shape: ImageShape) -> Result<()> {
    let [_, channels, height, width] = images.dims();
    let found = ImageShape { channels, height, width };
    if found == shape {
        return Ok(());
    }
    Err(Error::config(format!("the model knows pictures of {shape:?}, not {found:?}")))
}

/// Refuses latents of another shape than `shape` each.
pub(crate) fn check_latents(latents: &Array, shape: &[usize]) -> Result<()> {
    if latents.shape.split_first().is_some_and(|(_, each)| each == shape) {
        return Ok(());
    }
    Err(Error::config(format!(
        "the model decodes latents of shape [N, {}], not {:?}",
        shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        latents.shape
    )))
}

/// Makes pictures from seeds.
pub trait Generate {
    /// Images `[seeds, C, H, W]` in `[-1, 1]` (not clamped).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for options that make no sense together;
    /// [`Error::Interrupted`](crate::Error::Interrupted) when the watcher stops it.
    fn generate(&self, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>>;
}

/// Makes pictures from the points of a space in which near points are like pictures: a generator's, or an
/// autoencoder's code.
pub trait Latent {
    /// The points `[seeds, dimension]` from which the pictures of these seeds are made, standard normal.
    fn points(&self, seeds: &[u64]) -> Tensor<2>;

    /// Images `[B, C, H, W]` in `[-1, 1]` (not clamped) of points `[B, dimension]`, with the class of each, none for
    /// an unconditional model. Picture i depends on point i, its class and the options.
    ///
    /// # Errors
    /// As those of [`Generate::generate`].
    fn decode(
        &self,
        points: Tensor<2>,
        classes: &[u32],
        options: &toml::Table,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>>;
}

/// Which pictures a model of pictures to pictures takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Channels of the pictures that go in.
    pub input: usize,
    /// Channels of the pictures that come out.
    pub output: usize,
    /// Times that a picture grows.
    pub scale: usize,
    /// Both sides of what goes in must divide by this.
    pub multiple: usize,
    /// Rows and columns of the pictures that it was trained on.
    pub trained: [usize; 2],
    /// Whether it knows pictures of those sides alone. Larger ones then go through it in tiles.
    pub fixed: bool,
}

impl Canvas {
    /// Refuses pictures that can't go in, or another number of seeds.
    pub(crate) fn check(&self, images: &Tensor<4>, request: &Request) -> Result<()> {
        let [count, channels, height, width] = images.dims();
        if request.seeds.len() != count {
            let seeds = request.seeds.len();
            return Err(Error::config(format!("{count} pictures can't be translated with {seeds} seeds")));
        }
        let divides = |side: usize| side > 0 && side.is_multiple_of(self.multiple.max(1));
        let of_the_size = !self.fixed || [height, width] == self.trained;
        if channels == self.input && divides(height) && divides(width) && of_the_size {
            return Ok(());
        }
        let sides = match self.fixed {
            true => format!("{}x{} pixels", self.trained[0], self.trained[1]),
            false => format!("sides that divide by {}", self.multiple),
        };
        Err(Error::config(format!(
            "the model takes pictures of {} channels and {sides}, not {channels} channels of {height}x{width}",
            self.input
        )))
    }
}

/// Makes pictures from pictures.
pub trait Translate {
    /// What goes in and comes out, with these options.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for options that make no sense.
    fn canvas(&self, options: &toml::Table) -> Result<Canvas>;

    /// Images `[B, output, scale H, scale W]` in `[-1, 1]` (not clamped) for images `[B, input, H, W]` in
    /// `[-1, 1]`, as the [`Canvas`] says. Picture i depends on what went in for it, on seed i, its class and the
    /// options.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if pictures, request and model don't fit together;
    /// [`Error::Interrupted`](crate::Error::Interrupted) when the watcher stops it.
    fn translate(&self, images: Tensor<4>, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>>;

    /// The options of each direction that it knows, beginning with these.
    fn directions(&self, options: &toml::Table) -> Vec<toml::Table> {
        vec![options.clone()]
    }

    /// What would go in to make the pictures of a batch `[B, input, H, W]`, with these options; what should
    /// come out is known only of pairs.
    ///
    /// # Errors
    /// If the batch doesn't hold it.
    fn example(&self, batch: &Batch, options: &toml::Table) -> Result<Example>;
}

/// A batch as a model of pictures to pictures sees it.
#[derive(Debug, Clone)]
pub struct Example {
    /// `[B, input, H, W]`.
    pub inputs: Tensor<4>,
    /// What should come out, `[B, output, scale H, scale W]`, where that is known.
    pub truth: Option<Tensor<4>>,
}

/// Paints what is hidden of pictures.
pub trait Inpaint: Translate {
    /// Images `[B, C, H, W]` that are `images` to the bit where `mask` `[B, 1, H, W]` is below 0.5, and painted to
    /// fit where it is not. Sizes are those of the [`Canvas`]. Picture i depends on its known part, its mask, seed i,
    /// its class and the options.
    ///
    /// # Errors
    /// As those of [`Translate::translate`]; for a mask of another size.
    fn inpaint(
        &self,
        images: Tensor<4>,
        mask: Tensor<4>,
        request: &Request,
        watch: &mut dyn Watch,
    ) -> Result<Tensor<4>>;
}

/// The first rows of pictures.
#[derive(Debug, Clone)]
pub struct Given {
    /// `[B, C, H, W]` in `[-1, 1]`; what stands below the given rows doesn't count.
    pub images: Tensor<4>,
    /// How many rows are given, from the top.
    pub rows: usize,
}

impl Given {
    /// Refuses another number of pictures than `count`, or more rows than a picture has.
    pub(crate) fn check(&self, count: usize) -> Result<()> {
        let [pictures, _, height, _] = self.images.dims();
        if pictures != count {
            return Err(Error::config(format!("{count} pictures can't go on from {pictures} given ones")));
        }
        if self.rows > height {
            let rows = self.rows;
            return Err(Error::config(format!("{rows} rows are given of pictures that have {height}")));
        }
        Ok(())
    }
}

/// Paints what is missing of pictures.
pub trait Complete {
    /// Images `[seeds, C, H, W]` in `[-1, 1]` that begin with the rows given (in the grey levels that
    /// the model knows). Picture i depends on seed i, its given rows, its class and the options.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if pictures, seeds and model don't fit together;
    /// [`Error::Interrupted`](crate::Error::Interrupted) when the watcher stops it.
    fn complete(&self, given: &Given, request: &Request, watch: &mut dyn Watch) -> Result<Tensor<4>>;
}

/// Turns pictures into latents, and latents into pictures.
pub trait Latents {
    /// Shape of a picture's latents.
    fn shape(&self) -> Vec<usize>;

    /// The latents `[B, ...]` of a batch; of a distribution its mean.
    ///
    /// # Errors
    /// If the pictures or their classes don't fit the model.
    fn encode(&self, batch: &Batch) -> Result<Array>;

    /// The pictures `[B, C, H, W]` in `[-1, 1]` of latents `[B, ...]`, each of the class given if the model
    /// has classes.
    ///
    /// # Errors
    /// If latents or classes don't fit the model.
    fn decode(&self, latents: &Array, classes: &[u32]) -> Result<Tensor<4>>;
}

/// Says how probable pictures are.
pub trait Likelihood {
    /// Negative log-likelihood (or its upper bound) of each picture of the batch, in nats of the
    /// discrete pictures that the model knows: 8-bit ones, unless its family was told other levels.
    ///
    /// # Errors
    /// If the pictures are not of the model's shape, or the watcher stops it.
    fn nats(&self, batch: &Batch, seed: u64, watch: &mut dyn Watch) -> Result<Vec<f64>>;
}
