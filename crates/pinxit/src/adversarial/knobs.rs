//! The knobs that every adversarial family shares, and what they are when left open.

use serde::{Deserialize, Serialize};

use super::augment::Transform;
use super::{Loss, Penalty};
use crate::data::DataFacts;
use crate::error::{Error, Result};
use crate::nn::AdamConfig;

/// How the class of a picture reaches the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// Not at all.
    None,
    /// As a vector beside G's latent vector and as planes (or a vector) beside D's picture: Mirza and
    /// Osindero 2014.
    Concat,
    /// As `concat`, but in place of the class a whole picture of it, flattened: "paint another one like this".
    Picture,
    /// As scale and shift of G's normalisation (or beside its latent vector where it has none) and as an
    /// inner product with D's features: Miyato and Koyama 2018, eq. 2.
    Projection,
    /// Beside G's latent vector, and D names it: Odena et al. 2017 (AC-GAN).
    Classifier,
}

/// What normalises a network's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Nothing.
    None,
    /// The statistics of the batch.
    Batch,
    /// The largest singular value of each weight.
    Spectral,
}

/// How gradients become steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Kingma and Ba 2014.
    Adam,
    /// Tieleman and Hinton 2012, without momentum.
    Rmsprop,
}

/// Which pair of networks plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Net {
    /// Fully connected layers.
    Mlp,
    /// Convolutions with stride 2: Radford et al. 2015.
    Dcgan,
    /// The plain convolutional networks of Miyato et al. 2018, table 3.
    Cnn,
    /// The residual networks of Gulrajani et al. 2017 and Miyato et al. 2018, table 4.
    Resnet,
    /// The residual G, and a D with a decoder that judges each pixel: Schoenfeld et al. 2020.
    Unet,
    /// Residual networks without normalisation: Huang et al. 2024.
    Modern,
}

crate::knobs! {
    /// The part of an adversarial family's `[model]` table that all of them share.
    pub struct AdversarialKnobs {
        /// Networks: `mlp`, `dcgan`, `cnn`, `resnet`, `unet` (D with a verdict a pixel) or `modern`.
        pub net: Option<Net> = None,
        /// Channels (or units) of the widest picture's layers, from which the others follow.
        pub width: Option<usize> = None,
        /// Units or channels of G's layers from the latent vector to the picture, in place of `width`.
        pub g_layers: Option<Vec<usize>> = None,
        /// Units or channels of D's layers from the picture to the verdict, in place of `width`.
        pub d_layers: Option<Vec<usize>> = None,
        /// Length of the latent vector.
        pub latent: Option<usize> = None,
        /// Normalisation of G: `none` or `batch`.
        pub g_norm: Option<Norm> = None,
        /// Normalisation of D: `none`, `batch` or `spectral`.
        pub d_norm: Option<Norm> = None,
        /// The class as a condition: `none`, `concat`, `projection` or `classifier` (AC-GAN); or `picture`, a whole
        /// picture of the class.
        pub condition: Option<Conditioning> = None,
        /// `minimax`, `non-saturating`, `hinge`, `least-squares`, `wasserstein` or `relativistic`.
        pub loss: Option<Loss> = None,
        /// On the slope of D: `none`, `gp`, `r1`, `r2` or `r1+r2`; not with `d_norm = "batch"`.
        pub penalty: Option<Penalty> = None,
        /// Weight of the penalty: lambda of `gp`, gamma of the others, at least 0.
        pub penalty_weight: Option<f64> = None,
        /// Bound on every weight of D (the original WGAN); 0 for none.
        pub weight_clip: Option<f64> = None,
        /// Steps of D for each step of G; `train.batch` holds the pictures of all of them.
        pub d_steps: Option<usize> = None,
        /// Learning rate of D; `train.lr`, which is G's, when not given.
        pub d_lr: Option<f64> = None,
        /// `adam` or `rmsprop`.
        pub optimizer: Option<Optimizer> = None,
        /// Decay of Adam's mean of the gradient, 0 to below 1.
        pub beta1: Option<f64> = None,
        /// Decay of Adam's (or RMSProp's) mean of the squared gradient, 0 to below 1.
        pub beta2: Option<f64> = None,
        /// What D sees changed: a list of `colour`, `translation` and `cutout` (DiffAugment).
        pub augment: Option<Vec<Transform>> = None,
        /// Strength of `augment`: 0 to 1, which is the paper's.
        pub augment_strength: f64 = 1.0,
        /// Target of real pictures below 1, by this much: 0 to below 0.5.
        pub label_smoothing: f64 = 0.0,
        /// Standard deviation of noise on what D sees, which falls to 0 over the run, at least 0.
        pub instance_noise: f64 = 0.0,
        /// Share of steps, reached half-way through the run, in which a D with a verdict a pixel also
        /// learns from real and fake pictures cut together, 0 to 1.
        pub cutmix: Option<f64> = None,
    }
}

/// Knobs with nothing left open: what a row of the registry usually has, and what a recipe comes to.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the knob of its name")]
pub struct Settings {
    pub net: Net,
    pub width: usize,
    pub g_layers: Option<Vec<usize>>,
    pub d_layers: Option<Vec<usize>>,
    pub latent: usize,
    pub g_norm: Norm,
    pub d_norm: Norm,
    pub condition: Conditioning,
    pub loss: Loss,
    pub penalty: Penalty,
    pub penalty_weight: f64,
    pub weight_clip: f64,
    pub d_steps: usize,
    pub d_lr: Option<f64>,
    pub optimizer: Optimizer,
    pub beta1: f64,
    pub beta2: f64,
    /// `None` in a row: augmentation follows the number of pictures.
    pub augment: Option<Vec<Transform>>,
    pub augment_strength: f64,
    pub label_smoothing: f64,
    pub instance_noise: f64,
    pub cutmix: f64,
    /// The learning rate of G, `train.lr`.
    pub lr: f64,
    /// Pictures that one step of D sees.
    pub batch: usize,
}

/// Fewer pictures than this are shown to D augmented, unless the recipe says otherwise: below it a D learns
/// them by heart (Zhao et al. 2020, section 3.1).
const FEW_PICTURES: usize = 10_000;
/// Channels, units and latent values beyond which no machine follows.
const LARGEST: usize = 16_384;

impl Settings {
    /// The networks and the game of Radford et al. 2015: the row from which the others differ.
    pub const DCGAN: Self = Self {
        net: Net::Dcgan,
        width: 64,
        g_layers: None,
        d_layers: None,
        latent: 100,
        g_norm: Norm::Batch,
        d_norm: Norm::Batch,
        condition: Conditioning::None,
        loss: Loss::NonSaturating,
        penalty: Penalty::None,
        penalty_weight: 0.0,
        weight_clip: 0.0,
        d_steps: 1,
        d_lr: None,
        optimizer: Optimizer::Adam,
        beta1: 0.5,
        beta2: 0.999,
        augment: None,
        augment_strength: 1.0,
        label_smoothing: 0.0,
        instance_noise: 0.0,
        cutmix: 0.0,
        lr: 2e-4,
        batch: 64,
    };

    /// How both players step.
    pub(super) fn optimizer(&self) -> AdamConfig {
        let rmsprop = self.optimizer == Optimizer::Rmsprop;
        AdamConfig {
            beta1: if rmsprop { 0.0 } else { self.beta1 },
            beta2: self.beta2,
            bias_correction: !rmsprop,
            ..AdamConfig::default()
        }
    }

    /// Refuses what can't be, and what makes no sense together.
    ///
    /// # Errors
    /// [`Error::Config`] that says which knob to change.
    pub fn check(&self, facts: &DataFacts) -> Result<()> {
        let refuse = |message: &str| Err(Error::config(message));
        let layers = self.g_layers.iter().chain(&self.d_layers);
        if layers.clone().any(Vec::is_empty) {
            return refuse("model.g_layers and model.d_layers need a number for each layer");
        }
        let mut sizes = layers.flatten().chain([&self.width, &self.latent]);
        if let Some(size) = sizes.find(|&&size| !(1..=LARGEST).contains(&size)) {
            return Err(Error::config(format!(
                "model.width, model.latent and the entries of model.g_layers and model.d_layers must be 1 to \
                 {LARGEST}, not {size}"
            )));
        }
        if self.condition != Conditioning::None && facts.classes.is_empty() {
            return refuse(
                "model.condition needs pictures with classes, and these have none: put each class into a folder \
                 of its own (and keep data.labels = true), or set model.condition = \"none\"",
            );
        }
        if self.g_norm == Norm::Spectral {
            return refuse("model.g_norm can be \"none\" or \"batch\"; \"spectral\" is for D");
        }
        if self.net == Net::Modern && (self.g_norm, self.d_norm) != (Norm::None, Norm::None) {
            return refuse(
                "model.net = \"modern\" works without normalisation: set model.g_norm and model.d_norm to \"none\"",
            );
        }
        if self.penalty != Penalty::None && self.d_norm == Norm::Batch {
            return refuse(
                "a penalty is on the slope of D at each picture, which model.d_norm = \"batch\" mixes with the \
                 others: set model.d_norm to \"none\" or \"spectral\", or model.penalty to \"none\"",
            );
        }
        if self.label_smoothing != 0.0 && !self.loss.has_target() {
            return refuse(
                "model.label_smoothing needs a loss with a target for real pictures: minimax, non-saturating or \
                 least-squares",
            );
        }
        if self.cutmix != 0.0 && self.net != Net::Unet {
            return refuse("model.cutmix needs a D with a verdict a pixel: model.net = \"unet\"");
        }
        if self.cutmix != 0.0 && self.loss.compares() {
            return refuse("model.cutmix needs a loss of single verdicts, which \"relativistic\" is not");
        }
        self.check_ranges()
    }

    fn check_ranges(&self) -> Result<()> {
        let any = 0.0..f64::MAX;
        let ranges = [
            ("penalty_weight", self.penalty_weight, any.clone()),
            ("weight_clip", self.weight_clip, any.clone()),
            ("d_lr", self.d_lr.unwrap_or(1.0), f64::MIN_POSITIVE..f64::MAX),
            ("d_steps", self.d_steps as f64, 1.0..1001.0),
            ("beta1", self.beta1, 0.0..1.0),
            ("beta2", self.beta2, 0.0..1.0),
            ("augment_strength", self.augment_strength, 0.0..1.0 + f64::EPSILON),
            ("label_smoothing", self.label_smoothing, 0.0..0.5),
            ("instance_noise", self.instance_noise, any),
            ("cutmix", self.cutmix, 0.0..1.0 + f64::EPSILON),
        ];
        match ranges.iter().find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((name, value, range)) => Err(Error::config(format!(
                "model.{name} is {value}; it must be at least {} and below {}",
                range.start, range.end
            ))),
        }
    }
}

impl AdversarialKnobs {
    /// These knobs, with `usual` for what is open.
    pub fn settings(&self, usual: Settings, facts: &DataFacts) -> Settings {
        let by_width = self.width.is_some();
        let layers = |ours: &Option<Vec<usize>>, usual| ours.clone().or(if by_width { None } else { usual });
        let unlabelled = facts.classes.is_empty();
        let condition = if unlabelled { Conditioning::None } else { usual.condition };
        let all = vec![Transform::Colour, Transform::Translation, Transform::Cutout];
        let augment = usual.augment.unwrap_or(if facts.count < FEW_PICTURES { all } else { vec![] });
        Settings {
            net: self.net.unwrap_or(usual.net),
            width: self.width.unwrap_or(usual.width),
            g_layers: layers(&self.g_layers, usual.g_layers),
            d_layers: layers(&self.d_layers, usual.d_layers),
            latent: self.latent.unwrap_or(usual.latent),
            g_norm: self.g_norm.unwrap_or(usual.g_norm),
            d_norm: self.d_norm.unwrap_or(usual.d_norm),
            condition: self.condition.unwrap_or(condition),
            loss: self.loss.unwrap_or(usual.loss),
            penalty: self.penalty.unwrap_or(usual.penalty),
            penalty_weight: self.penalty_weight.unwrap_or(usual.penalty_weight),
            weight_clip: self.weight_clip.unwrap_or(usual.weight_clip),
            d_steps: self.d_steps.unwrap_or(usual.d_steps),
            d_lr: self.d_lr.or(usual.d_lr),
            optimizer: self.optimizer.unwrap_or(usual.optimizer),
            beta1: self.beta1.unwrap_or(usual.beta1),
            beta2: self.beta2.unwrap_or(usual.beta2),
            augment: Some(self.augment.clone().unwrap_or(augment)),
            augment_strength: self.augment_strength,
            label_smoothing: self.label_smoothing,
            instance_noise: self.instance_noise,
            cutmix: self.cutmix.unwrap_or(usual.cutmix),
            lr: usual.lr,
            batch: usual.batch,
        }
    }
}

impl From<Settings> for AdversarialKnobs {
    fn from(settings: Settings) -> Self {
        let layered = settings.g_layers.is_some() && settings.d_layers.is_some();
        Self {
            net: Some(settings.net),
            // Where both networks' layers are given they hold, and a width would take the place of usual ones.
            width: (!layered).then_some(settings.width),
            g_layers: settings.g_layers,
            d_layers: settings.d_layers,
            latent: Some(settings.latent),
            g_norm: Some(settings.g_norm),
            d_norm: Some(settings.d_norm),
            condition: Some(settings.condition),
            loss: Some(settings.loss),
            penalty: Some(settings.penalty),
            penalty_weight: Some(settings.penalty_weight),
            weight_clip: Some(settings.weight_clip),
            d_steps: Some(settings.d_steps),
            d_lr: settings.d_lr,
            optimizer: Some(settings.optimizer),
            beta1: Some(settings.beta1),
            beta2: Some(settings.beta2),
            augment: settings.augment,
            augment_strength: settings.augment_strength,
            label_smoothing: settings.label_smoothing,
            instance_noise: settings.instance_noise,
            cutmix: Some(settings.cutmix),
        }
    }
}
