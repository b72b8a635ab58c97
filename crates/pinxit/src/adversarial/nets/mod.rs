//! Pairs of networks, each built from one [`Plan`].

pub mod cnn;
pub mod dcgan;
pub mod mlp;
pub mod modern;
pub mod parts;
pub mod resnet;
pub mod unet;

use super::knobs::{Conditioning, Net, Norm, Settings};
use super::{Discriminator, Generator};
use crate::data::{DataFacts, ImageShape};
use crate::error::{Error, Result};
use crate::nn::{Init, Tally};

/// A generator and a discriminator that are made for each other.
pub trait Pair {
    /// Makes pictures.
    type G: Generator + 'static;
    /// Judges them.
    type D: Discriminator + 'static;

    /// Fresh networks.
    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D);

    /// What G and D cost for one picture each.
    fn cost(plan: &Plan) -> [Tally; 2];
}

/// What networks are built from: sizes that have been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Shape of the pictures.
    pub shape: ImageShape,
    /// Number of classes; 0 for unconditional networks.
    pub classes: usize,
    /// How the class reaches the networks.
    pub condition: Conditioning,
    /// Length of the latent vector.
    pub latent: usize,
    /// Units or channels of G's layers, from the latent vector to the picture.
    pub g_layers: Vec<usize>,
    /// Units or channels of D's layers, from the picture to the verdict.
    pub d_layers: Vec<usize>,
    /// Whether G normalises by batch.
    pub g_batch_norm: bool,
    /// Normalisation of D.
    pub d_norm: Norm,
}

/// Times that channels grow from the full size at most.
const WIDEST: usize = 8;

impl Plan {
    /// The plan of `settings` for pictures of `facts`.
    ///
    /// # Errors
    /// [`Error::Config`] if the pictures can't be halved often enough.
    pub fn new(settings: &Settings, facts: &DataFacts) -> Result<Self> {
        let conditional = settings.condition != Conditioning::None;
        let width = |level: usize| settings.width * (1 << level).min(WIDEST);
        let changes = |layers: &Vec<usize>| layers.len() - usize::from(settings.net != Net::Dcgan);
        let doublings = match (settings.net, &settings.g_layers) {
            (Net::Mlp, _) => 0,
            (_, Some(layers)) => changes(layers),
            (_, None) => halvings(facts.shape)?,
        };
        check_divides(facts.shape, doublings)?;
        // The residual D halves as often as it takes, however many blocks it has.
        if let (Net::Dcgan | Net::Cnn | Net::Unet | Net::Modern, Some(layers)) =
            (settings.net, &settings.d_layers)
        {
            check_divides(facts.shape, changes(layers))?;
        }
        // Channels of each size from the full one down, before the network's own rule.
        let pyramid: Vec<usize> = (0..=doublings).map(width).collect();
        let (g, d) = match settings.net {
            Net::Mlp => (vec![width(1), width(2)], vec![width(2), width(1)]),
            Net::Dcgan => {
                (pyramid[..doublings].iter().rev().copied().collect(), pyramid[..doublings].to_vec())
            }
            Net::Cnn | Net::Modern => (pyramid.iter().rev().copied().collect(), pyramid),
            Net::Resnet | Net::Unet => {
                (vec![settings.width; doublings + 1], vec![settings.width; doublings + 1])
            }
        };
        Ok(Self {
            shape: facts.shape,
            classes: if conditional { facts.classes.len() } else { 0 },
            condition: settings.condition,
            latent: settings.latent,
            g_layers: settings.g_layers.clone().unwrap_or(g),
            d_layers: settings.d_layers.clone().unwrap_or(d),
            g_batch_norm: settings.g_norm == Norm::Batch,
            d_norm: settings.d_norm,
        })
    }

    /// Rows and columns after `halvings`.
    pub fn sides(&self, halvings: usize) -> [usize; 2] {
        [self.shape.height >> halvings, self.shape.width >> halvings]
    }

    /// Whether the class goes into G as scale and shift of its normalisation.
    pub fn modulates(&self) -> bool {
        self.condition == Conditioning::Projection && self.g_batch_norm
    }

    /// Length of what goes into G: the latent vector, and the condition if it goes beside it.
    pub fn g_input(&self) -> usize {
        self.latent
            + match self.condition {
                Conditioning::Picture => self.shape.len(),
                _ if self.modulates() => 0,
                _ => self.classes,
            }
    }

    /// Number of channels of the condition beside D's picture.
    pub fn d_planes(&self) -> usize {
        match self.condition {
            Conditioning::Concat => self.classes,
            Conditioning::Picture => self.shape.channels,
            _ => 0,
        }
    }

    /// Number of values of the condition beside D's flattened picture.
    pub fn d_values(&self) -> usize {
        match self.condition {
            Conditioning::Picture => self.shape.len(),
            _ => self.d_planes(),
        }
    }
}

/// How often pictures are halved on the way to 4 to 7 rows or columns, and at least twice where they can be.
fn halvings(ImageShape { height, width, .. }: ImageShape) -> Result<usize> {
    let possible = (height | width).trailing_zeros() as usize; // of the less even side
    let side = height.min(width);
    let wanted = (0..).take_while(|&k| side >> k >= 8).count().max(if side >= 8 { 2 } else { 1 });
    let smallest = height.max(width) >> wanted.min(possible);
    if possible == 0 || smallest > 16 {
        let multiple = 1 << wanted;
        let near = |size: usize| (size / multiple).max(1) * multiple;
        return Err(Error::config(format!(
            "pictures of {height}x{width} pixels can be halved only {possible} times, too few for these networks; \
             use --size {}x{} or model.net = \"mlp\"",
            near(height),
            near(width)
        )));
    }
    Ok(wanted.min(possible))
}

/// Refuses more layers than the pictures can be halved.
fn check_divides(ImageShape { height, width, .. }: ImageShape, halvings: usize) -> Result<()> {
    let divides = |side: usize| halvings < 16 && side.is_multiple_of(1 << halvings) && side > 0;
    if divides(height) && divides(width) {
        return Ok(());
    }
    Err(Error::config(format!(
        "model.g_layers or model.d_layers asks for {halvings} halvings, and pictures of {height}x{width} pixels don't divide by \
         2^{halvings}: give fewer layers, or another --size"
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_halved_to_a_few_pixels() {
        let of = |height, width| halvings(ImageShape { channels: 1, height, width });
        for (side, expected) in [(8, 2), (16, 2), (28, 2), (32, 3), (48, 3), (64, 4), (128, 5)] {
            assert_eq!(of(side, side).unwrap(), expected, "{side}");
        }
        assert_eq!(of(64, 48).unwrap(), 3);
        for (height, width) in [(25, 25), (64, 50), (90, 90)] {
            assert!(of(height, width).unwrap_err().to_string().contains("--size"), "{height}x{width}");
        }
    }
}
