//! Convolutions one pixel at a time, for pictures that come into being in raster order.

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor};

use super::{Activation, ops};

/// A feature map `[B, C, H, W]` that grows pixel by pixel, kept as `[B, C]` each. What lies outside of
/// the picture, or ahead, reads as zeros.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The rows still needed, from row `first` on.
    rows: VecDeque<Vec<Tensor<2>>>,
    first: usize,
    keep: usize,
    zeros: Tensor<2>,
}

impl Trail {
    /// An empty map of `channels` for `batch` pictures that remembers its last `keep` rows.
    pub fn new(batch: usize, channels: usize, keep: usize, device: &Device) -> Self {
        Self { rows: VecDeque::new(), first: 0, keep, zeros: Tensor::zeros([batch, channels], device) }
    }

    /// Sets the pixel at `(row, column)`, the next one or one that is known already.
    pub fn set(&mut self, [row, column]: [usize; 2], value: Tensor<2>) {
        while row >= self.first + self.rows.len() {
            self.rows.push_back(Vec::new());
            if self.rows.len() > self.keep {
                self.rows.pop_front();
                self.first += 1;
            }
        }
        let pixels = &mut self.rows[row - self.first];
        match pixels.get_mut(column) {
            Some(pixel) => *pixel = value,
            None => {
                pixels.resize(column, self.zeros.clone());
                pixels.push(value);
            }
        }
    }

    /// Sets a whole row from `[W B, C]`, the batch of one column after that of another.
    pub fn set_row(&mut self, row: usize, values: Tensor<2>) {
        let batch = self.zeros.dims()[0];
        for (column, value) in values.split(batch, 0).into_iter().enumerate() {
            self.set([row, column], value);
        }
    }

    /// The pixel at `(row, column)`, `[B, C]`.
    pub fn at(&self, row: isize, column: isize) -> Tensor<2> {
        let find = || {
            let row = usize::try_from(row).ok()?.checked_sub(self.first)?;
            self.rows.get(row)?.get(usize::try_from(column).ok()?)
        };
        find().unwrap_or(&self.zeros).clone()
    }
}

/// A convolution as a list of places, relative to the pixel, and one matrix over what stands there.
#[derive(Debug, Clone)]
pub struct Taps {
    places: Vec<[isize; 2]>,
    /// `[out, places * in]`.
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    stride: isize,
    activation: Activation,
}

impl Taps {
    /// Of a kernel `[out, in, K_h, K_w]`; `place` gives the row and column that a tap looks at,
    /// relative to the pixel times the stride, or `None` for a tap that is masked.
    pub fn new(
        weight: Tensor<4>,
        bias: Option<Tensor<1>>,
        stride: usize,
        place: impl Fn(usize, usize) -> Option<[isize; 2]>,
    ) -> Self {
        let [_, _, rows, columns] = weight.dims();
        let (mut places, mut parts) = (Vec::new(), Vec::new());
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            if let Some(seen) = place(row, column) {
                places.push(seen);
                let tap = weight.clone().narrow(2, row, 1).narrow(3, column, 1);
                parts.push(tap.squeeze_dim::<3>(3).squeeze_dim::<2>(2)); // [out, in]
            }
        }
        Self {
            places,
            weight: Tensor::cat(parts, 1),
            bias,
            stride: stride as isize,
            activation: Activation::None,
        }
    }

    /// With an activation of the output.
    #[must_use]
    pub fn activated(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Of a kernel of one pixel `[out, in, 1, 1]`.
    pub fn single(weight: Tensor<4>, bias: Option<Tensor<1>>) -> Self {
        Self::new(weight, bias, 1, |_, _| Some([0, 0]))
    }

    /// The output at one pixel, `[B, out]`.
    pub fn at(&self, trail: &Trail, [row, column]: [usize; 2]) -> Tensor<2> {
        self.of(self.patch(trail, row, column))
    }

    /// The outputs of a row of `width` pixels, `[W B, out]`, the batch of one column after that of
    /// another.
    pub fn along(&self, trail: &Trail, row: usize, width: usize) -> Tensor<2> {
        self.of(Tensor::cat((0..width).map(|column| self.patch(trail, row, column)).collect(), 0))
    }

    /// The output for given values at all places `[N, places * in]` -> `[N, out]`.
    pub fn of(&self, values: Tensor<2>) -> Tensor<2> {
        ops::linear_activation(values, self.weight.clone(), self.bias.clone(), self.activation)
    }

    fn patch(&self, trail: &Trail, row: usize, column: usize) -> Tensor<2> {
        let [row, column] = [row, column].map(|at| at as isize * self.stride);
        Tensor::cat(self.places.iter().map(|[y, x]| trail.at(row + y, column + x)).collect(), 1)
    }
}
