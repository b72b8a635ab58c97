//! What pictures are made from, beside noise: nothing, other pictures, or their own small ones.
//!
//! The network sees it as further channels beside the noisy picture: Saharia et al. 2021 ("SR3", Image
//! Super-Resolution via Iterative Refinement), and Saharia et al. 2022 ("Palette", Image-to-Image Diffusion Models).

use burn::tensor::Tensor;

use crate::data::{Batch, DataFacts, ImageShape, InputFacts};
use crate::error::{Error, Result};
use crate::image_io;
use crate::model::{Canvas, check_shape};

/// Times that a picture can grow at most.
const MOST: usize = 64;

/// What goes into a model beside noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing.
    Noise,
    /// Pictures of these channels and the sides of what comes out: Palette.
    Pictures(usize),
    /// The same pictures, so many times smaller: SR3.
    Small(usize),
}

impl Origin {
    /// That of a model whose pictures grow `scale` times, trained on pictures of `facts`.
    ///
    /// # Errors
    /// [`Error::Config`] for a scale that can't be, or that is asked for beside other pictures.
    pub fn new(scale: usize, facts: &DataFacts) -> Result<Self> {
        let ImageShape { height, width, .. } = facts.shape;
        match (scale, facts.inputs) {
            (1, None) => Ok(Self::Noise),
            (1, Some(InputFacts { channels, .. })) => Ok(Self::Pictures(channels)),
            _ if !(1..=MOST).contains(&scale) => {
                Err(Error::config(format!("model.scale is {scale}; it must be 1 to {MOST}")))
            }
            (_, Some(_)) => Err(Error::config(format!(
                "model.scale = {scale} makes pictures from their own small ones, and data.pair from others: leave one \
                 of them away"
            ))),
            _ if !height.is_multiple_of(scale) || !width.is_multiple_of(scale) => {
                let near = |side: usize| (side / scale).max(1) * scale;
                Err(Error::config(format!(
                    "pictures of {height}x{width} pixels can't be shrunk {scale} times: use --size {}x{} or data.crop",
                    near(height),
                    near(width)
                )))
            }
            _ => Ok(Self::Small(scale)),
        }
    }

    /// Channels that the network sees beside those of a picture of `shape`.
    pub fn channels(self, shape: ImageShape) -> usize {
        match self {
            Self::Noise => 0,
            Self::Pictures(channels) => channels,
            Self::Small(_) => shape.channels,
        }
    }

    /// The classes that a model can be asked for: where a picture goes in, that says what is to come out.
    pub fn classes(self, facts: &DataFacts) -> &[String] {
        match self {
            Self::Noise => &facts.classes,
            Self::Pictures(_) | Self::Small(_) => &[],
        }
    }

    /// Which pictures go in where those of `shape` come out; without any, those are changed.
    pub fn canvas(self, shape: ImageShape) -> Canvas {
        let ImageShape { channels, height, width } = shape;
        let (input, scale) = match self {
            Self::Noise => (channels, 1),
            Self::Pictures(input) => (input, 1),
            Self::Small(scale) => (channels, scale),
        };
        let trained = [height / scale, width / scale];
        Canvas { input, output: channels, scale, multiple: 1, trained, fixed: true }
    }

    /// What goes in to make the pictures of a batch, `[B, input, H / scale, W / scale]`.
    ///
    /// # Errors
    /// [`Error::Config`] if the batch doesn't hold it.
    pub fn of(self, batch: &Batch, shape: ImageShape) -> Result<Option<Tensor<4>>> {
        check_shape(&batch.images, shape)?;
        let canvas = self.canvas(shape);
        match (self, &batch.inputs) {
            (Self::Noise, _) => Ok(None),
            (Self::Pictures(channels), Some(inputs)) => {
                check_shape(inputs, ImageShape { channels, ..shape })?;
                Ok(Some(inputs.clone()))
            }
            (Self::Pictures(_), None) => {
                Err(Error::config("the pictures have none beside them to be made from: set data.pair"))
            }
            (Self::Small(_), _) => Ok(Some(image_io::bicubic(batch.images.clone(), canvas.trained)?)),
        }
    }

    /// What goes in as the network sees it, `[B, C', H, W]`: SR3 grows it by bicubic resampling first.
    ///
    /// # Errors
    /// If the values can't be read from the device.
    pub fn seen(self, inputs: Tensor<4>) -> Result<Tensor<4>> {
        match self {
            Self::Noise | Self::Pictures(_) => Ok(inputs),
            Self::Small(scale) => image_io::magnified(inputs, scale),
        }
    }

    /// That of a batch.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn seen_of(self, batch: &Batch, shape: ImageShape) -> Result<Option<Tensor<4>>> {
        self.of(batch, shape)?.map(|inputs| self.seen(inputs)).transpose()
    }
}

/// Noisy pictures `[B, C, H, W]` with what they are made from `[B, C', H, W]` beside them: `[B, C + C', H, W]`.
pub fn beside(x: Tensor<4>, seen: Option<Tensor<4>>) -> Tensor<4> {
    match seen {
        None => x,
        Some(seen) => Tensor::cat(vec![x, seen], 1),
    }
}
