//! What a network's output says of a pixel.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::levels::Levels;
use super::{categorical, gaussian, logistic, sum_of_each, values};
use crate::error::Result;
use crate::rng::{self, Rng};

/// A family of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Black or white: 1 parameter a value, the logit of white.
    Bernoulli,
    /// A density: 2 parameters a value, mean and logarithm of the variance.
    Gaussian,
    /// Any distribution over the grey levels: a logit for each of them.
    Softmax,
    /// Logistics cut into the grey levels, see [`logistic`].
    Logistic,
}

/// The distribution of a pixel of C channels, with P parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelDistribution {
    /// Which family.
    pub kind: Kind,
    /// The values that a channel can have.
    pub levels: Levels,
    /// Number of logistics in the mixture of [`Kind::Logistic`].
    pub mixtures: usize,
    /// C.
    pub channels: usize,
}

/// The range of a Gaussian's logarithm of the variance: a bin of 8 bits is as narrow as `e^-10`.
const LN_VAR: (f64, f64) = (-10.0, 3.0);

impl PixelDistribution {
    /// P.
    pub fn parameters(&self) -> usize {
        match self.kind {
            Kind::Bernoulli => self.channels,
            Kind::Gaussian => 2 * self.channels,
            Kind::Softmax => self.levels.count() * self.channels,
            Kind::Logistic => logistic::parameters(self.mixtures, self.channels),
        }
    }

    /// Pictures `[B, C, H, W]` as the model sees them: of its levels; drawn black or white with the grey
    /// as the probability (Salakhutdinov and Murray 2008) for a Bernoulli; dequantised for a density.
    /// Picture i is drawn from stream i.
    pub fn observed(&self, images: Tensor<4>, streams: impl ExactSizeIterator<Item = Rng>) -> Tensor<4> {
        let uniforms = |images: &Tensor<4>| {
            let fill = |rng: &mut Rng, out: &mut [f32]| out.fill_with(|| rng.uniform() as f32);
            rng::tensor(streams, images.dims(), &images.device(), fill)
        };
        match self.kind {
            Kind::Softmax | Kind::Logistic => self.levels.rounded(images),
            Kind::Gaussian => self.levels.dequantised(images.clone(), uniforms(&images)),
            Kind::Bernoulli => {
                let white = images.clone().add_scalar(1.0).mul_scalar(0.5).greater(uniforms(&images));
                white.float().mul_scalar(2.0).sub_scalar(1.0)
            }
        }
    }

    /// `-ln p(x)` of each picture, in nats of its levels: parameters `[B, P, H, W]` and
    /// [`observed`](Self::observed) x `[B, C, H, W]` -> `[B]`.
    pub fn nats(&self, parameters: Tensor<4>, x: Tensor<4>) -> Tensor<1> {
        match self.kind {
            Kind::Bernoulli => sum_of_each(activation::log_sigmoid(parameters * x)).neg(),
            Kind::Gaussian => {
                let (mean, ln_var) = self.gaussian(parameters);
                let constant = self.levels.nats_of_density();
                sum_of_each(gaussian::ln_density(x, mean, ln_var).neg().add_scalar(constant))
            }
            Kind::Softmax => categorical::nats(parameters, x, self.levels),
            Kind::Logistic => logistic::nats(parameters, x, self.mixtures, self.levels),
        }
    }

    /// The mean of each value: `[B, P, H, W]` -> `[B, C, H, W]` in `[-1, 1]`.
    pub fn mean(&self, parameters: Tensor<4>) -> Tensor<4> {
        match self.kind {
            Kind::Bernoulli => activation::sigmoid(parameters).mul_scalar(2.0).sub_scalar(1.0),
            Kind::Gaussian => self.gaussian(parameters).0.clamp(-1.0, 1.0),
            Kind::Softmax => categorical::mean(parameters, self.channels, self.levels),
            Kind::Logistic => logistic::mean(parameters, self.mixtures, self.channels),
        }
    }

    /// Means and logarithms of variances `[B, C, H, W]`.
    fn gaussian(&self, parameters: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let mean = parameters.clone().narrow(1, 0, self.channels);
        let ln_var = parameters.narrow(1, self.channels, self.channels);
        (mean, ln_var.clamp(LN_VAR.0, LN_VAR.1))
    }

    /// The channels that can be drawn at a time, in order, by a network that sees the channels before:
    /// the logistics of a pixel know each other, so all of them; else one.
    pub fn draws(&self) -> Vec<Range<usize>> {
        match self.kind {
            Kind::Logistic => std::iter::once(0..self.channels).collect(),
            _ => (0..self.channels).map(|channel| channel..channel + 1).collect(),
        }
    }

    /// Draws `channels`, one of [`draws`](Self::draws), of one pixel from its parameters `[P]` into
    /// `pixel` `[C]`. Temperature 1 is the model's own distribution, below that it keeps to the
    /// probable.
    pub fn draw(
        &self,
        parameters: &[f32],
        channels: Range<usize>,
        temperature: f64,
        rng: &mut Rng,
        pixel: &mut [f32],
    ) {
        if self.kind == Kind::Logistic {
            return logistic::draw(parameters, self.mixtures, self.levels, temperature, rng, pixel);
        }
        for channel in channels {
            pixel[channel] = match self.kind {
                Kind::Bernoulli => {
                    let white = categorical::draw(&[0.0, parameters[channel]], temperature, rng);
                    if white == 1 { 1.0 } else { -1.0 }
                }
                Kind::Gaussian => {
                    let ln_var = f64::from(parameters[self.channels + channel]).clamp(LN_VAR.0, LN_VAR.1);
                    let noise = f64::from(rng.normal()) * libm::exp(0.5 * ln_var) * temperature;
                    (f64::from(parameters[channel]) + noise) as f32
                }
                _ => {
                    let n = self.levels.count();
                    let logits = &parameters[channel * n..(channel + 1) * n];
                    self.levels.value(categorical::draw(logits, temperature, rng))
                }
            };
        }
    }

    /// Draws every pixel of pictures from its parameters `[B, P, H, W]`, picture i from stream i:
    /// `[B, C, H, W]`. Not for channels that know each other through the network.
    ///
    /// # Errors
    /// If the parameters can't be read from their device.
    pub fn draw_all(
        &self,
        parameters: Tensor<4>,
        streams: impl ExactSizeIterator<Item = Rng>,
    ) -> Result<Tensor<4>> {
        let [batch, count, height, width] = parameters.dims();
        let device = parameters.device();
        let rows = values(parameters.permute([0, 2, 3, 1]))?; // a pixel's parameters in one piece
        let area = height * width;
        let mut images = vec![0.0; batch * area * self.channels];
        let pictures =
            images.chunks_mut((area * self.channels).max(1)).zip(rows.chunks((area * count).max(1)));
        for ((image, rows), mut rng) in pictures.zip(streams) {
            for (pixel, row) in image.chunks_mut(self.channels).zip(rows.chunks(count)) {
                for channels in self.draws() {
                    self.draw(row, channels, 1.0, &mut rng, pixel);
                }
            }
        }
        let images =
            Tensor::<4>::from_data(TensorData::new(images, [batch, height, width, self.channels]), &device);
        Ok(images.permute([0, 3, 1, 2]))
    }
}
