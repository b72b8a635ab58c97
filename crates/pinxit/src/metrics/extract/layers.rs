//! Features of intermediate layers of a frozen network, differentiable with respect to the picture: the loss network phi
//! of Johnson et al. 2016.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::own::{Config, Network};
use super::vgg::Vgg;
use super::{Learning, OwnExtractor, weights};
use crate::checkpoint::Snapshot;
use crate::data::{self, Dataset};
use crate::error::{Error, Result};
use crate::nn::{Init, Tally, params};
use crate::watch::Watch;

/// Where it is kept in a checkpoint.
const PART: &str = "features";
/// Blocks of VGG-16: their convolutions and channels.
const VGG_16: [[usize; 2]; 5] = [[2, 64], [2, 128], [3, 256], [3, 512], [3, 512]];

/// The loss network.
#[derive(Debug)]
pub struct Layers {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Learned from the run's pictures, and kept in its checkpoints.
    Own(Box<Network>, Config),
    /// A VGG, and the SHA-256 of its file, from which it is read again when a run goes on.
    Vgg(Box<Vgg>, String),
}

impl Layers {
    /// The word for an extractor that learns from the run's own pictures.
    pub const OWN: &str = "own";

    /// The network that `features` names, for tensors with autodiff on `device`: [`OWN`](Self::OWN) learns from `pictures` (or has
    /// learned, and is in the cache), anything else is a file of VGG weights.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file of other weights, [`Error::Io`] if it can't be read; those of learning.
    pub fn open(
        features: &str,
        pictures: &dyn Dataset,
        learning: Learning,
        device: &Device,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        if features != Self::OWN {
            return Self::open_vgg(Path::new(features), device);
        }
        let folder = data::default_cache_dir().join("extractors");
        let own = OwnExtractor::open_or_learn(pictures, learning, &folder, device, watch)?;
        let (network, config) = own.into_parts();
        let mut snapshot = Snapshot::default();
        snapshot.add_part("network/", params::export(&network)?);
        Self::own(&snapshot, "network/", config, device)
    }

    fn own(from: &Snapshot, prefix: &str, config: Config, device: &Device) -> Result<Self> {
        let network = Network::new(&config, &mut Init::new(0, &device.clone().autodiff()));
        let network = params::import(network, &from.part(prefix))?;
        Ok(Self { kind: Kind::Own(Box::new(params::frozen(&network)), config) })
    }

    fn open_vgg(file: &Path, device: &Device) -> Result<Self> {
        let (weights, sha256) = weights::read(file)?;
        let network = Vgg::new(&weights, &device.clone().autodiff());
        let network = network.map_err(|reason| Error::checkpoint(file, reason))?;
        Ok(Self { kind: Kind::Vgg(Box::new(network), sha256) })
    }

    /// Writes what [`load`](Self::load) needs.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    pub fn save(&self, to: &mut Snapshot) -> Result<()> {
        let note = match &self.kind {
            Kind::Own(network, config) => {
                to.add_part(&format!("{PART}/"), params::export(network.as_ref())?);
                config.to_json()?
            }
            Kind::Vgg(_, sha256) => sha256.clone(),
        };
        to.notes.insert(PART.into(), note);
        Ok(())
    }

    /// The network that [`save`](Self::save) wrote; `features` as it was opened.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file of a VGG is another one than then, or gone.
    pub fn load(features: &str, from: &Snapshot, device: &Device) -> Result<Self> {
        let Some(note) = from.notes.get(PART) else {
            return Err(Error::config("the checkpoint lacks the network that tells features"));
        };
        if features == Self::OWN {
            return Self::own(from, &format!("{PART}/"), Config::from_json(note)?, device);
        }
        let opened = Self::open_vgg(Path::new(features), device)?;
        match &opened.kind {
            Kind::Vgg(_, sha256) if sha256 == note => Ok(opened),
            _ => Err(Error::checkpoint(
                Path::new(features),
                "these are not the weights that the run began with; bring those back, or start a new run",
            )),
        }
    }

    /// Number of layers that it tells features of.
    pub fn count(&self) -> usize {
        match &self.kind {
            Kind::Own(network, _) => network.stages(),
            Kind::Vgg(vgg, _) => vgg.blocks(),
        }
    }

    /// Features of the first `count` layers, from fine to coarse: `[B, C, H, W]` in `[-1, 1]`, with autodiff, to
    /// `[B, C', H', W']` with sides halved from layer to layer. Of a VGG a layer is the last of each block, of pictures of any
    /// channels; of an extractor of its own each stage.
    pub fn of(&self, pictures: Tensor<4>, count: usize) -> Vec<Tensor<4>> {
        match &self.kind {
            Kind::Own(network, _) => network.forward(pictures, count),
            Kind::Vgg(vgg, _) => vgg.forward(colours(pictures), count),
        }
    }

    /// What it costs to tell the features of a picture of these channels and sides, VGG-16 where it is a file.
    pub fn cost(features: &str, channels: usize, sides: [usize; 2]) -> Tally {
        if features == Self::OWN {
            return Network::cost(channels, sides);
        }
        let (mut tally, mut before) = (Tally::default(), 3);
        for (level, [convs, channels]) in VGG_16.into_iter().enumerate() {
            for _ in 0..convs {
                tally.conv2d(before, channels, 3, 1, sides.map(|side| side >> level));
                before = channels;
            }
        }
        tally
    }
}

/// Pictures of 1 to 4 channels as three colours; what is transparent lies over white.
fn colours(pictures: Tensor<4>) -> Tensor<4> {
    let channels = pictures.dims()[1];
    let (colours, alpha) = (channels - usize::from(channels.is_multiple_of(2)), channels.is_multiple_of(2));
    let mut x = pictures.clone().narrow(1, 0, colours);
    if alpha {
        let opaque = (pictures.narrow(1, colours, 1) + 1.0) / 2.0;
        x = (x - 1.0) * opaque + 1.0;
    }
    if colours == 1 { x.repeat_dim(1, 3) } else { x }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    /// Analytic cases: grey is three equal colours, what can't be seen is white.
    #[test]
    fn pictures_of_any_channels_have_colours() {
        for (pixel, expected) in [
            (vec![0.5], [0.5, 0.5, 0.5]),
            (vec![0.5, -1.0], [1.0, 1.0, 1.0]),
            (vec![0.5, 0.0], [0.75, 0.75, 0.75]),
            (vec![-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]),
            (vec![-1.0, 0.0, 1.0, 1.0], [-1.0, 0.0, 1.0]),
        ] {
            let shape = [1, pixel.len(), 1, 1];
            let found = colours(Tensor::from_data(TensorData::new(pixel, shape), &Device::flex()));
            assert_eq!(found.into_data().try_into_vec::<f32>().unwrap(), expected);
        }
    }
}
