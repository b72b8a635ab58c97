//! Autoregressive models: `p(x) = prod_i p(x_i | x_1 .. x_i-1)` over the pixels in raster order, and
//! over the channels of a pixel.
//!
//! One [learner](learner), one [model](model) and one way to [paint](paint) serve every network that is
//! an [`Autoregressive`]. A network is written twice: as a function of whole pictures, which trains and
//! tells likelihoods, and as a [`Walk`] that keeps what it has computed, so that a new pixel costs only
//! what is new.

pub mod gated;
pub mod knobs;
pub mod learner;
pub mod model;
pub mod paint;
pub mod setup;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::nn::Mode;

/// A network that says of every pixel how it is distributed, given the pixels before it.
pub trait Autoregressive: Module + Sync + 'static {
    /// Pictures `[B, C, H, W]`, class of each -> parameters `[B, P, H, W]` of every pixel's
    /// distribution; those of channel c of a pixel depend on the pixels before it in raster order and
    /// on its channels before c, and on nothing else of the picture.
    fn forward(&self, x: Tensor<4>, classes: &[u32], mode: &Mode) -> Tensor<4>;

    /// The network with first weights that depend on data, the first pictures that are trained on; `None` if its
    /// own do as they are.
    fn started(&self, _x: Tensor<4>, _classes: &[u32], _mode: &Mode) -> Option<Self> {
        None
    }

    /// The same, pixel by pixel.
    fn walk<'a>(&'a self, start: &Start) -> Box<dyn Walk + 'a>;
}

/// Where a walk begins.
#[derive(Debug, Clone)]
pub struct Start {
    /// Number of pictures.
    pub batch: usize,
    /// Columns of a picture.
    pub width: usize,
    /// Class of each picture; empty for an unconditional network.
    pub classes: Vec<u32>,
    /// Where to compute.
    pub device: Device,
}

/// A network on its way through pictures, in raster order.
pub trait Walk {
    /// Parameters `[B, P]` of the pixel that comes next. `known` `[B, C]` are its channels as far as
    /// they are known; may be asked again when more are.
    fn predict(&mut self, known: Tensor<2>) -> Tensor<2>;

    /// Goes on from a pixel that is `pixel` `[B, C]` in the end.
    fn advance(&mut self, pixel: Tensor<2>);
}

/// The pixel at which a walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its row and column.
    pub at: [usize; 2],
    width: usize,
}

impl Place {
    /// The first pixel of a picture of `width` columns.
    pub fn first(width: usize) -> Self {
        Self { at: [0, 0], width }
    }

    /// Goes on to the next pixel in raster order; says whether that begins a row.
    pub fn advance(&mut self) -> bool {
        self.at[1] += 1;
        if self.at[1] == self.width {
            self.at = [self.at[0] + 1, 0];
        }
        self.at[1] == 0
    }
}
