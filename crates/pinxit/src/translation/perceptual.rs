//! Distances between pictures in the features of a network: Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for
//! Real-Time Style Transfer and Super-Resolution".

use burn::tensor::{Device, Tensor, TensorData};

use crate::checkpoint::{Array, Snapshot};
use crate::error::{Error, Result};
use crate::metrics::extract::Layers;
use crate::nn::ops;

/// Layers whose Gram matrices are compared: relu1_2, relu2_2, relu3_3 and relu4_3 of VGG-16 (section 4.1).
pub const STYLE_LAYERS: usize = 4;
/// Smallest side of a picture that these layers tell features of, in pixels.
pub const LEAST: usize = 1 << (STYLE_LAYERS - 1);
/// Where the style picture is kept in a checkpoint.
const PICTURE: &str = "style/picture";

/// Feature reconstruction loss (eq. 2), mean over the batch: features `[B, C, H, W]` of the picture made and of the one
/// that it is to be like -> `[1]`. Also eq. 5 of Ledig et al. 2017.
pub fn content(made: Tensor<4>, of: Tensor<4>) -> Tensor<1> {
    ops::mse(made, of)
}

/// Gram matrices of features (eq. 3): `[B, C, H, W]` -> `[B, C, C]`.
pub fn gram(features: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = features.dims();
    let psi = features.reshape([batch, channels, height * width]);
    let transposed = psi.clone().swap_dims(1, 2);
    psi.matmul(transposed).div_scalar((channels * height * width) as f64)
}

/// Style reconstruction loss of a layer (eq. 4), the squared Frobenius norm, mean over the batch: Gram matrices
/// `[B, C, C]` of the pictures made and `[1, C, C]` of the style -> `[1]`.
pub fn style(made: Tensor<3>, of: Tensor<3>) -> Tensor<1> {
    let batch = made.dims()[0];
    (made - of).square().sum().div_scalar(batch as f64)
}

/// Total variation (Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", eq. 3 with
/// beta = 2), mean over the values of the pictures: `[B, C, H, W]` -> `[1]`.
pub fn total_variation(pictures: Tensor<4>) -> Tensor<1> {
    let dims = pictures.dims();
    let along = |axis: usize| {
        let part = |start| pictures.clone().narrow(axis, start, dims[axis] - 1);
        (part(1) - part(0)).square().sum()
    };
    let sums = [2, 3].into_iter().filter(|&axis| dims[axis] > 1).map(along);
    let sum = sums.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &pictures.device()));
    sum.div_scalar(dims.iter().product::<usize>().max(1) as f64)
}

/// The style of a picture, as a loss network sees it.
#[derive(Debug)]
pub struct Goal {
    layers: Layers,
    /// `[1, C, H, W]` in `[-1, 1]`.
    picture: Array,
    /// Gram matrices of its features, `[1, C', C']` each.
    grams: Vec<Tensor<3>>,
}

impl Goal {
    /// The style of `picture`, `[1, C, H, W]` in `[-1, 1]` with sides of [`LEAST`] or more.
    ///
    /// # Errors
    /// [`Error::Config`] for a picture of another shape or a network of too few layers.
    pub fn new(layers: Layers, picture: Array, device: &Device) -> Result<Self> {
        let &[1, channels, height, width] = picture.shape.as_slice() else {
            return Err(Error::config(format!("a style picture can't be of shape {:?}", picture.shape)));
        };
        if height.min(width) < LEAST {
            return Err(Error::config(format!(
                "the style picture is {height}x{width} pixels here, and both sides must be at least {LEAST}: take a \
                 larger model.style_size or another picture"
            )));
        }
        if layers.count() < STYLE_LAYERS {
            return Err(Error::config(format!(
                "model.features: a network of {STYLE_LAYERS} layers or more is needed, and this one has {}",
                layers.count()
            )));
        }
        let data = TensorData::new(picture.values.clone(), [1, channels, height, width]);
        let shown = ops::onto(Tensor::from_data(data, device), &device.clone().autodiff());
        let grams = layers.of(shown, STYLE_LAYERS).into_iter().map(gram).collect();
        Ok(Self { layers, picture, grams })
    }

    /// Content loss in `layer`, from 1 to [`STYLE_LAYERS`], and style loss, each `[1]`, of pictures `y` made of `x`, both
    /// `[B, C, H, W]` with autodiff.
    ///
    /// # Errors
    /// [`Error::Config`] for another layer; never for pictures whose sides are [`LEAST`] or more.
    pub fn losses(&self, x: Tensor<4>, y: Tensor<4>, layer: usize) -> Result<[Tensor<1>; 2]> {
        let of_x = self.layers.of(x, layer).pop();
        let of_y = self.layers.of(y, STYLE_LAYERS);
        let content =
            layer.checked_sub(1).and_then(|at| of_y.get(at).cloned()).zip(of_x).map(|(y, x)| content(y, x));
        let layer = |(made, of): (Tensor<4>, &Tensor<3>)| style(gram(made), of.clone());
        let style = of_y.into_iter().zip(&self.grams).map(layer).reduce(|sum, loss| sum + loss);
        let both = content.zip(style).map(<[Tensor<1>; 2]>::from);
        both.ok_or_else(|| Error::config("the loss network tells no features of these pictures"))
    }

    /// The style picture.
    pub fn picture(&self) -> &Array {
        &self.picture
    }

    /// Writes what [`load`](Self::load) needs.
    ///
    /// # Errors
    /// If a tensor can't be read from its device.
    pub fn save(&self, to: &mut Snapshot) -> Result<()> {
        to.tensors.insert(PICTURE.into(), self.picture.clone());
        self.layers.save(to)
    }

    /// What [`save`](Self::save) wrote; `features` as the loss network was opened.
    ///
    /// # Errors
    /// [`Error::Config`] if it isn't there; those of [`Layers::load`].
    pub fn load(features: &str, from: &Snapshot, device: &Device) -> Result<Self> {
        let Some(picture) = from.tensors.get(PICTURE) else {
            return Err(Error::config(format!("the checkpoint lacks its style picture, {PICTURE}")));
        };
        Self::new(Layers::load(features, from, device)?, picture.clone(), device)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn scalar(value: Tensor<1>) -> f32 {
        value.into_scalar::<f32>()
    }

    /// Analytic cases: two channels of two pixels, and a step along one axis.
    #[test]
    fn gram_matrices_and_variation_of_small_pictures_are_known() {
        let tensor = |values: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values, shape), &Device::flex())
        };
        let found = gram(tensor(vec![1.0, 2.0, 3.0, -1.0], [1, 2, 1, 2]));
        let values = found.clone().into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(values, [5.0, 1.0, 1.0, 10.0].map(|value| value / 4.0));
        // Of two pictures as their mean.
        let twice = Tensor::cat(vec![found.clone(), found.zeros_like()], 0);
        assert!((scalar(style(twice, found.zeros_like())) - (25.0 + 2.0 + 100.0) / 32.0).abs() < 1e-6);
        assert_eq!(scalar(total_variation(tensor(vec![0.0, 1.0, 0.0, 1.0], [1, 1, 2, 2]))), 0.5);
        assert_eq!(scalar(total_variation(tensor(vec![3.0], [1, 1, 1, 1]))), 0.0);
    }
}
