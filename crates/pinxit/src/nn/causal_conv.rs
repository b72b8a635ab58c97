//! Convolution whose kernel ends at the pixel.

use burn::module::{Module, Param};
use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, TensorData};

use super::stepwise::Taps;
use super::weight_norm::{self, weight_norm};
use super::{Init, MaskType, Weights, ops};

/// 2-D convolution that looks up, or up and left, from the pixel: no weight is stored for what a mask
/// would hide (van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders", section
/// 2.2; the down-shifted and down-right-shifted convolutions of Salimans et al. 2017, section 2.5).
#[derive(Module, Debug)]
pub struct CausalConv2d {
    /// `[out, in, rows, columns]`; with a gain its direction alone counts.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    /// `[out]`, of a weight that is normalised.
    pub gain: Option<Param<Tensor<1>>>,
    /// Columns seen to the right of the pixel.
    right: usize,
    /// Rows and columns by which everything that is seen lies further back.
    shift: [usize; 2],
    stride: usize,
    /// Channels of several colours see each other at the pixel itself as this says.
    #[module(skip)]
    mask: Option<(MaskType, usize)>,
}

impl CausalConv2d {
    /// Sees `rows` rows down to the pixel's own and an odd number of `columns` around it.
    pub fn down(input: usize, output: usize, [rows, columns]: [usize; 2], init: &mut Init) -> Self {
        Self { right: columns / 2, ..Self::down_right(input, output, [rows, columns], init) }
    }

    /// Sees `rows` rows down to the pixel's own and `columns` columns up to its own.
    pub fn down_right(input: usize, output: usize, [rows, columns]: [usize; 2], init: &mut Init) -> Self {
        let fan_in = input * rows * columns;
        Self {
            weight: init.weight([output, input, rows, columns], fan_in),
            bias: init.bias([output], fan_in),
            gain: None,
            right: 0,
            shift: [0, 0],
            stride: 1,
            mask: None,
        }
    }

    /// Looks `rows` and `columns` further back.
    #[must_use]
    pub fn shifted(self, rows: usize, columns: usize) -> Self {
        Self { shift: [rows, columns], ..self }
    }

    /// With another stride.
    #[must_use]
    pub fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With weight normalisation (see [`weight_norm`](super::weight_norm)); gains begin as 1 and biases as 0.
    #[must_use]
    pub fn weight_normalised(self, init: &mut Init) -> Self {
        let shape @ [output, ..] = self.weight.dims();
        let weight = init.with(Weights::Normal(weight_norm::STD), |init| init.weight(shape, 1));
        Self { weight, bias: init.zeros([output]), gain: Some(init.ones([output])), ..self }
    }

    /// At the last tap, channel c belongs to colour `c % colours` and sees the colours before its own
    /// (type A) or up to its own (type B), as [`MaskedConv2d`](super::MaskedConv2d) does.
    #[must_use]
    pub fn masked(self, mask: MaskType, colours: usize) -> Self {
        Self { mask: Some((mask, colours)), ..self }
    }

    /// `[B, in, H, W]` -> `[B, out, ceil(H / stride), ceil(W / stride)]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let ([_, _, height, width], [_, _, rows, columns]) = (x.dims(), self.weight.dims());
        let [down, right] = self.shift;
        if [rows + down, columns + right] == [1, 1] {
            return ops::conv2d(x, self.seen_weight(), Some(self.bias.val()), self.stride, 0);
        }
        let before = columns - 1 - self.right;
        let x = x.pad([(rows - 1 + down, 0), (before + right, self.right)], PadMode::Constant(0.0));
        let x = x.narrow(2, 0, height + rows - 1).narrow(3, 0, width + columns - 1);
        ops::conv2d(x, self.seen_weight(), Some(self.bias.val()), self.stride, 0)
    }

    fn seen_weight(&self) -> Tensor<4> {
        let weight = match &self.gain {
            Some(gain) => weight_norm(self.weight.val(), gain.val(), 0),
            None => self.weight.val(),
        };
        let Some((mask, colours)) = self.mask else { return weight };
        let dims @ [_, _, rows, columns] = weight.dims();
        let mask = ops::causal_mask(dims, [rows - 1, columns - 1], mask, colours);
        let mask = Tensor::<4>::from_data(TensorData::new(mask, dims), &weight.device());
        weight * mask
    }

    /// The same convolution, one pixel at a time.
    pub fn taps(&self) -> Taps {
        let [_, _, rows, columns] = self.weight.dims();
        let [down, right] = self.shift.map(|shift| shift as isize);
        let before = (columns - 1 - self.right) as isize;
        let offset = |row: usize, column: usize| {
            let (row_back, column_back) = ((rows - 1) as isize + down, before + right);
            Some([row as isize - row_back, column as isize - column_back])
        };
        Taps::new(self.seen_weight(), Some(self.bias.val()), self.stride, offset)
    }
}
