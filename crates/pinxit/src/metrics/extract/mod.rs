//! Networks that turn pictures into features.

mod inception;
mod layers;
mod own;
mod pickle;
pub mod resize;
mod torch_file;
mod vgg;
mod weights;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::planes::Planes;
use crate::error::{Error, Result};
use crate::image_io::Picture;

use inception::Inception;
pub use layers::Layers;
pub use own::{Learning, OwnExtractor};
pub use resize::Resize;

/// Which features scores are made of. Scores of different extractors don't compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `inception-2015-12-05`, or `own:` and what was learned from.
    pub name: String,
    /// SHA-256 of its weights, in hexadecimal digits.
    pub sha256: String,
    /// Where in the network the features are taken.
    pub layer: String,
    /// How pictures are brought to its size.
    pub resize: String,
}

impl Identity {
    /// Whether its scores may have the names of the literature.
    pub fn is_inception(&self) -> bool {
        self.name == INCEPTION
    }
}

/// The name of the network of 2015-12-05.
const INCEPTION: &str = "inception-2015-12-05";

/// What an extractor makes of pictures, row after row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Rows of [`Extractor::width`] features.
    pub rows: Vec<f32>,
    /// Rows of [`Extractor::classes`] logits; empty if it tells no classes.
    pub logits: Vec<f32>,
}

/// Turns pictures into features, each picture on its own.
pub trait Extractor: Send + Sync {
    /// What identifies it in the record of a score.
    fn identity(&self) -> &Identity;

    /// Features of a picture.
    fn width(&self) -> usize;

    /// Classes that it tells apart with logits; 0 if none.
    fn classes(&self) -> usize;

    /// Features of pictures of any sizes, in order.
    ///
    /// # Errors
    /// If the features can't be read from the device.
    fn extract(&self, pictures: &[Picture]) -> Result<Features>;
}

/// The Inception network of 2015-12-05 with its resize.
pub struct InceptionExtractor {
    network: Inception,
    identity: Identity,
    resize: Resize,
    device: Device,
}

impl InceptionExtractor {
    /// The network with the weights in `file`: torch-fidelity's `.pth`, or safetensors of the same names.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the file is damaged, holds other weights or can't be read.
    pub fn open(file: &Path, resize: Resize, device: &Device) -> Result<Self> {
        let (weights, sha256) = weights::read(file)?;
        let network = Inception::new(&weights, device).map_err(|reason| Error::checkpoint(file, reason))?;
        let identity = Identity {
            name: INCEPTION.into(),
            sha256,
            layer: "pool3 (2048)".into(),
            resize: format!("{} to {} px", resize.name(), inception::SIDE),
        };
        Ok(Self { network, identity, resize, device: device.clone() })
    }

    /// The file of weights where PyTorch keeps what torch-fidelity and pytorch-fid downloaded, if it is there.
    pub fn find() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || set("HOME").or_else(|| set("USERPROFILE"));
        let cache = set("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")));
        let torch = set("TORCH_HOME").or_else(|| cache.map(|cache| cache.join("torch")))?;
        let names = ["weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"];
        names.iter().map(|name| torch.join("hub/checkpoints").join(name)).find(|path| path.is_file())
    }
}

impl Extractor for InceptionExtractor {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        inception::FEATURES
    }

    fn classes(&self) -> usize {
        inception::CLASSES
    }

    fn extract(&self, pictures: &[Picture]) -> Result<Features> {
        const SIDE: usize = inception::SIDE;
        let resized = |picture: &Picture| self.resize.apply(&planes(picture, 3), SIDE, SIDE);
        let levels: Vec<Vec<f32>> = pictures.par_iter().map(resized).collect();
        let data = TensorData::new(levels.concat(), [pictures.len(), 3, SIDE, SIDE]);
        let output = self.network.forward(Tensor::from_data(data, &self.device));
        Ok(Features { rows: values(output.features)?, logits: values(output.logits)? })
    }
}

/// The channels of a picture apart, as `channels` of them; transparency is laid over white.
fn planes(picture: &Picture, channels: usize) -> Planes<u8> {
    let shape = picture.shape;
    let plane =
        |channel| picture.pixels.iter().skip(channel).step_by(shape.channels.max(1)).copied().collect();
    let planes = (0..shape.channels).map(plane).collect();
    Planes { width: shape.width, height: shape.height, planes }.into_channels(channels, 255)
}

/// The values of a tensor, read from its device.
fn values(tensor: Tensor<2>) -> Result<Vec<f32>> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec()
        .map_err(|e| Error::Unsupported(format!("features can't be read from the device: {e:?}")))
}

#[cfg(test)]
mod tests;
