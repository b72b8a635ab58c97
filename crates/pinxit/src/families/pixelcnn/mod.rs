//! PixelCNN: convolutions that look back only, so that all pixels are learned at once and painted one
//! by one.

mod masked;
mod plus_plus;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Family, Material};
use crate::data::DataFacts;
use crate::error::{Error, Result};
use crate::knobs::{self, Knob};
use crate::likelihood::autoregressive::gated::GatedPixelCnn;
use crate::likelihood::autoregressive::knobs::{AutoregressiveKnobs, AutoregressiveSampleKnobs};
use crate::likelihood::autoregressive::setup::{self, Kind, NetworkConfig};
use crate::likelihood::autoregressive::{Autoregressive, Start, Walk};
use crate::likelihood::pixel;
use crate::nn::{Cost, Init, Mode};

pub use masked::MaskedPixelCnn;
pub use plus_plus::PixelCnnPlusPlus;

/// Which of the three papers' networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// One stack of masked convolutions, with a blind spot.
    Masked,
    /// Two gated stacks without a blind spot.
    Gated,
    /// Several sizes, short-cuts and a mixture of logistics.
    PlusPlus,
}

crate::knobs! {
    /// What only PixelCNN has.
    pub struct PixelCnnKnobs {
        /// `masked` (the first paper), `gated` (no blind spot) or `plus-plus` (PixelCNN++).
        pub variant: Variant = Variant::Gated,
        /// Sizes of `plus-plus`, each half of the one before, with `layers` layers each; 1 to 8.
        pub sizes: Option<usize> = None,
        /// Logistics in the mixture of a pixel of `plus-plus`, 1 to 64.
        pub mixtures: usize = 10,
    }
}

/// The network of a variant.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network holds a few of these at most")]
pub enum PixelCnn {
    /// See [`MaskedPixelCnn`].
    Masked(MaskedPixelCnn),
    /// See [`GatedPixelCnn`].
    Gated(GatedPixelCnn),
    /// See [`PixelCnnPlusPlus`].
    PlusPlus(PixelCnnPlusPlus),
}

impl Autoregressive for PixelCnn {
    fn forward(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Tensor<4> {
        match self {
            Self::Masked(network) => network.forward(x, classes, mode),
            Self::Gated(network) => network.forward(x, classes, mode),
            Self::PlusPlus(network) => network.forward(x, classes, mode),
        }
    }

    fn walk<'a>(&'a self, start: &Start) -> Box<dyn Walk + 'a> {
        match self {
            Self::Masked(network) => network.walk(start),
            Self::Gated(network) => network.walk(start),
            Self::PlusPlus(network) => network.walk(start),
        }
    }
}

impl PixelCnnKnobs {
    fn sizes(&self) -> usize {
        self.sizes.unwrap_or(1)
    }
}

impl Kind for PixelCnnKnobs {
    type Network = PixelCnn;

    fn fill(&mut self, facts: &DataFacts) {
        if self.variant == Variant::PlusPlus {
            // 32, 16 and 8 pixels in the paper; two sizes for very small pictures.
            let longer = facts.shape.height.max(facts.shape.width);
            self.sizes.get_or_insert(if longer <= 12 { 2 } else { 3 });
        }
    }

    fn usual_layers(&self) -> usize {
        match self.variant {
            Variant::Masked | Variant::Gated => 7,
            Variant::PlusPlus => 2,
        }
    }

    fn pixels(&self) -> (pixel::Kind, usize) {
        match self.variant {
            Variant::Masked | Variant::Gated => (pixel::Kind::Softmax, 1),
            Variant::PlusPlus => (pixel::Kind::Logistic, self.mixtures),
        }
    }

    fn check(&self, _: &NetworkConfig) -> Result<()> {
        let (sizes, mixtures) = (self.sizes(), self.mixtures);
        if self.sizes.is_some() && self.variant != Variant::PlusPlus {
            return Err(Error::config(
                "model.sizes is a setting of model.variant = \"plus-plus\"; leave it away",
            ));
        }
        if !(1..=8).contains(&sizes) {
            return Err(Error::config(format!("model.sizes is {sizes}; it must be 1 to 8")));
        }
        if !(1..=64).contains(&mixtures) {
            return Err(Error::config(format!("model.mixtures is {mixtures}; it must be 1 to 64")));
        }
        Ok(())
    }

    fn network(&self, config: &NetworkConfig, init: &mut Init) -> PixelCnn {
        match self.variant {
            Variant::Masked => PixelCnn::Masked(MaskedPixelCnn::new(config, init)),
            Variant::Gated => PixelCnn::Gated(GatedPixelCnn::new(config, init)),
            Variant::PlusPlus => PixelCnn::PlusPlus(PixelCnnPlusPlus::new(config, self.sizes(), init)),
        }
    }

    fn cost(&self, config: &NetworkConfig) -> Cost {
        match self.variant {
            Variant::Masked => MaskedPixelCnn::cost(config),
            Variant::Gated => GatedPixelCnn::cost(config),
            Variant::PlusPlus => PixelCnnPlusPlus::cost(config, self.sizes()),
        }
    }
}

const KNOBS: [Knob; AutoregressiveKnobs::KNOBS.len() + PixelCnnKnobs::KNOBS.len()] =
    knobs::join(AutoregressiveKnobs::KNOBS, PixelCnnKnobs::KNOBS);

/// The row of the registry.
pub static FAMILY: Family = Family {
    name: "pixelcnn",
    about: "PixelCNN: paints pixel by pixel, each from all before it; tells the likelihood exactly, completes pictures.",
    paper: "van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders; Salimans, Karpathy, Chen, \
            Kingma 2017, PixelCNN++",
    material: Material::Pictures,
    model_knobs: &KNOBS,
    sample_knobs: AutoregressiveSampleKnobs::KNOBS,
    resolve: setup::resolve::<PixelCnnKnobs>,
    cost: setup::cost::<PixelCnnKnobs>,
    learner: setup::learner::<PixelCnnKnobs>,
    model: setup::model::<PixelCnnKnobs>,
};
