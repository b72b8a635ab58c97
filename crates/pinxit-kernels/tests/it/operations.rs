//! The differentiable operations as a list, so that every test runs every one of them.

use burn::tensor::{DType, Device, Tensor, TensorData};
use pinxit_kernels::{
    Activation, Reduction, activate, add, attention, attention2d, batch_norm, bce_with_logits,
    bce_with_logits_each, concat_channels, conv_transpose2d, conv2d, cross_entropy, gated, gaussian_kl,
    group_norm, instance_norm, l1_loss, layer_norm, linear, linear_activation, masked_conv2d, mix_images,
    mse_loss, reparameterise, scale_images, scale_shift, shifted_group_norm, sum_all, sum_pixels,
    upsample_nearest2, weighted_mse_loss,
};

/// Numbers in a flat list with their shape.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) data: Vec<f32>,
    pub(crate) dims: Vec<usize>,
}

impl Numbers {
    /// Numbers in [-1, 1) that depend on `seed` and their place alone.
    pub(crate) fn new(dims: &[usize], seed: u32) -> Self {
        let number = |i: usize| {
            let mut x = (i as u32).wrapping_mul(0x9e37_79b9).wrapping_add(seed.wrapping_mul(0x85eb_ca6b));
            // The finaliser of MurmurHash3.
            x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
            x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
            ((x ^ (x >> 16)) >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        Self { data: (0..dims.iter().product()).map(number).collect(), dims: dims.to_vec() }
    }

    pub(crate) fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.data.clone(), self.dims.clone()), device)
    }

    pub(crate) fn from_tensor<const D: usize>(x: Tensor<D>) -> Self {
        let dims = x.dims().to_vec();
        Self { data: x.cast(DType::F32).into_data().try_into_vec::<f32>().unwrap(), dims }
    }

    /// The part of image `index`.
    pub(crate) fn image(&self, index: usize) -> Self {
        let len = self.data.len() / self.dims[0];
        let mut dims = self.dims.clone();
        dims[0] = 1;
        Self { data: self.data[index * len..][..len].to_vec(), dims }
    }
}

pub(crate) type Run = fn(&[Numbers], &Device, DType) -> Vec<Numbers>;

/// An operation with its inputs; the first `images` of them have a batch dimension, none if its output does not
/// belong to images.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) inputs: Vec<Numbers>,
    pub(crate) images: usize,
    /// Output and gradients of the inputs, for the sum of the output times fixed weights, computed in a type.
    pub(crate) run: Run,
}

/// Runs `$op` on tensors of the ranks `$rank`, forward and backward.
macro_rules! run {
    ($op:expr, $($rank:literal),+) => {
        |inputs, device, dtype| {
            let mut inputs = inputs.iter();
            let tensors = ($(inputs.next().unwrap().tensor::<$rank>(device).cast(dtype).require_grad(),)+);
            let output = $op(tensors.clone());
            let weights = Numbers::new(&output.dims(), 99).tensor(device).cast(dtype);
            let grads = (output.clone() * weights).sum().backward();
            let mut all = vec![Numbers::from_tensor(output.inner())];
            run!(@grads tensors, grads, all, $($rank),+);
            all
        }
    };
    (@grads $t:ident, $g:ident, $all:ident, $a:literal) => {
        $all.push(Numbers::from_tensor($t.0.grad(&$g).unwrap()));
    };
    (@grads $t:ident, $g:ident, $all:ident, $a:literal, $b:literal) => {
        run!(@grads $t, $g, $all, $a);
        $all.push(Numbers::from_tensor($t.1.grad(&$g).unwrap()));
    };
    (@grads $t:ident, $g:ident, $all:ident, $a:literal, $b:literal, $c:literal) => {
        run!(@grads $t, $g, $all, $a, $b);
        $all.push(Numbers::from_tensor($t.2.grad(&$g).unwrap()));
    };
    (@grads $t:ident, $g:ident, $all:ident, $a:literal, $b:literal, $c:literal, $d:literal) => {
        run!(@grads $t, $g, $all, $a, $b, $c);
        $all.push(Numbers::from_tensor($t.3.grad(&$g).unwrap()));
    };
}
pub(crate) use run;

/// Taps of a 3x3 kernel of type B, row by row.
pub(crate) const CAUSAL: [bool; 9] = [true, true, true, true, true, false, false, false, false];

fn inputs(dims: &[&[usize]]) -> Vec<Numbers> {
    dims.iter().zip(1..).map(|(dims, seed)| Numbers::new(dims, seed)).collect()
}

/// Every operation, with `batch` images, in sizes that fill several tiles and leave odd rests.
pub(crate) fn cases(batch: usize) -> Vec<Case> {
    let case = |name, images, dims: &[&[usize]], run| Case { name, inputs: inputs(dims), images, run };
    let b = batch;
    vec![
        case(
            "conv2d 3x3",
            1,
            &[&[b, 20, 12, 12], &[40, 20, 3, 3], &[40]],
            run!(|(x, w, bias)| conv2d(x, w, Some(bias), 1, 1), 4, 4, 1),
        ),
        case(
            "conv2d 3x3 on 4x4",
            1,
            &[&[b, 33, 4, 4], &[9, 33, 3, 3], &[9]],
            run!(|(x, w, bias)| conv2d(x, w, Some(bias), 1, 1), 4, 4, 1),
        ),
        case(
            "conv2d 4x4 by 2",
            1,
            &[&[b, 7, 16, 16], &[24, 7, 4, 4]],
            run!(|(x, w)| conv2d(x, w, None, 2, 1), 4, 4),
        ),
        case(
            "conv2d 1x1",
            1,
            &[&[b, 37, 9, 9], &[30, 37, 1, 1]],
            run!(|(x, w)| conv2d(x, w, None, 1, 0), 4, 4),
        ),
        case(
            "masked_conv2d",
            1,
            &[&[b, 9, 14, 14], &[40, 9, 3, 3], &[40]],
            run!(|(x, w, bias)| masked_conv2d(x, w, Some(bias), &CAUSAL, 1), 4, 4, 1),
        ),
        case(
            "conv_transpose2d 4x4 by 2",
            1,
            &[&[b, 10, 8, 8], &[10, 24, 4, 4], &[24]],
            run!(|(x, w, bias)| conv_transpose2d(x, w, Some(bias), 2, 1, 0), 4, 4, 1),
        ),
        case(
            "conv_transpose2d 5x5 by 3",
            1,
            &[&[b, 4, 5, 6], &[4, 3, 5, 5]],
            run!(|(x, w)| conv_transpose2d(x, w, None, 3, 2, 2), 4, 4),
        ),
        case(
            "linear",
            1,
            &[&[b, 300], &[130, 300], &[130]],
            run!(|(x, w, bias)| linear(x, w, Some(bias)), 2, 2, 1),
        ),
        case(
            "linear_activation leaky_relu",
            1,
            &[&[b, 70], &[50, 70], &[50]],
            run!(|(x, w, bias)| linear_activation(x, w, Some(bias), Activation::LeakyRelu(0.2)), 2, 2, 1),
        ),
        case(
            "linear_activation silu",
            1,
            &[&[b, 70], &[50, 70]],
            run!(|(x, w)| linear_activation(x, w, None, Activation::Silu), 2, 2),
        ),
        case(
            "group_norm",
            1,
            &[&[b, 24, 15, 15], &[24], &[24]],
            run!(|(x, g, h)| group_norm(x, g, h, 4, 1e-5, Activation::None), 4, 1, 1),
        ),
        case(
            "group_norm silu",
            1,
            &[&[b, 32, 32, 32], &[32], &[32]],
            run!(|(x, g, h)| group_norm(x, g, h, 8, 1e-5, Activation::Silu), 4, 1, 1),
        ),
        case("silu", 1, &[&[b, 30, 31, 31]], run!(|(x,)| activate(x, Activation::Silu), 4)),
        case(
            "attention",
            3,
            &[&[b, 3, 65, 20], &[b, 3, 50, 20], &[b, 3, 50, 33]],
            run!(|(q, k, v)| attention(q, k, v, 0.2), 4, 4, 4),
        ),
        case(
            "attention2d",
            3,
            &[&[b, 12, 5, 14], &[b, 12, 5, 14], &[b, 12, 5, 14]],
            run!(|(q, k, v)| attention2d(q, k, v, 3, 0.4), 4, 4, 4),
        ),
        case("upsample_nearest2", 1, &[&[b, 16, 15, 15]], run!(|(x,)| upsample_nearest2(x), 4)),
        case(
            "shifted group_norm relu",
            2,
            &[&[b, 24, 20, 20], &[b, 24], &[24], &[24]],
            run!(|(x, t, g, h)| shifted_group_norm(x, t, g, h, 4, 1e-5, Activation::Relu), 4, 2, 1, 1),
        ),
        case(
            "adaptive group_norm tanh",
            3,
            &[&[b, 24, 20, 20], &[b, 24], &[b, 24]],
            run!(|(x, g, h): (_, Tensor<2>, _)| group_norm(x, g, h, 4, 1e-5, Activation::Tanh), 4, 2, 2),
        ),
        case(
            "instance_norm",
            1,
            &[&[b, 10, 33, 33]],
            run!(|(x,)| instance_norm(x, None, 1e-5, Activation::Sigmoid), 4),
        ),
        case(
            "layer_norm gelu",
            1,
            &[&[b, 10_003], &[10_003], &[10_003]],
            run!(|(x, g, h)| layer_norm(x, g, h, 1e-5, Activation::Gelu), 2, 1, 1),
        ),
        case(
            "batch_norm leaky_relu",
            0,
            &[&[b, 30, 21, 21], &[30], &[30]],
            run!(|(x, g, h)| batch_norm::<4>(x, g, h, 1e-5, Activation::LeakyRelu(0.2)).y, 4, 1, 1),
        ),
        case(
            "batch_norm of vectors",
            0,
            &[&[3 * b, 3000], &[3000], &[3000]],
            run!(|(x, g, h)| batch_norm::<2>(x, g, h, 1e-5, Activation::Silu).y, 2, 1, 1),
        ),
        case(
            "scale_shift",
            1,
            &[&[b, 30, 21, 21], &[30], &[30]],
            run!(|(x, g, h)| scale_shift::<4, 1>(x, g, h, Activation::Silu), 4, 1, 1),
        ),
        case(
            "scale_shift of each image",
            3,
            &[&[b, 30, 21, 21], &[b, 30], &[b, 30]],
            run!(|(x, g, h)| scale_shift::<4, 2>(x, g, h, Activation::None), 4, 2, 2),
        ),
        case("scale_images", 2, &[&[b, 30, 21, 21], &[b]], run!(|(x, s)| scale_images::<4>(x, s), 4, 1)),
        case(
            "gated",
            1,
            &[&[b, 60, 21, 21]],
            run!(|(x,)| gated::<4>(x, [Activation::Tanh, Activation::Sigmoid]), 4),
        ),
        case("add", 2, &[&[b, 30, 21, 21], &[b, 30, 21, 21]], run!(|(x, y)| add::<4>(x, y), 4, 4)),
        case(
            "concat_channels",
            2,
            &[&[b, 30, 21, 21], &[b, 10, 21, 21]],
            run!(|(x, y)| concat_channels::<4>(x, y), 4, 4),
        ),
        case("sum_pixels", 1, &[&[b, 30, 21, 21]], run!(|(x,)| sum_pixels(x), 4)),
        case(
            "reparameterise",
            3,
            &[&[b, 9001], &[b, 9001], &[b, 9001]],
            run!(|(m, v, n)| reparameterise::<2>(m, v, n), 2, 2, 2),
        ),
        case(
            "mse_loss",
            0,
            &[&[b, 30, 21, 21], &[b, 30, 21, 21]],
            run!(|(x, y)| mse_loss::<4>(x, y, Reduction::Mean), 4, 4),
        ),
        case(
            "l1_loss",
            0,
            &[&[b, 30, 21, 21], &[b, 30, 21, 21]],
            run!(|(x, y)| l1_loss::<4>(x, y, Reduction::Sum), 4, 4),
        ),
        case(
            "bce_with_logits",
            0,
            &[&[b, 9001]],
            run!(|(x,)| bce_with_logits::<2>(x, 1.0, Reduction::Mean), 2),
        ),
        case(
            "bce_with_logits of each",
            0,
            &[&[b, 9001], &[b, 9001]],
            run!(|(x, y)| bce_with_logits_each::<2>(x, y, Reduction::Mean), 2, 2),
        ),
        case(
            "gaussian_kl",
            0,
            &[&[b, 9001], &[b, 9001]],
            run!(|(x, y)| gaussian_kl::<2>(x, y, Reduction::Sum), 2, 2),
        ),
        case(
            "cross_entropy",
            0,
            &[&[b, 20, 21, 21]],
            run!(
                |(x,): (Tensor<4>,)| {
                    let pixels = x.dims()[0] as i64 * 441;
                    let classes = (0..pixels).map(|i| i * i % 20).collect::<Vec<_>>();
                    let classes = Tensor::from_data(TensorData::new(classes, [pixels as usize]), &x.device());
                    cross_entropy(x, classes, Reduction::Mean)
                },
                4
            ),
        ),
        case("sum_all", 0, &[&[b, 30, 21, 21]], run!(|(x,)| sum_all::<4>(x), 4)),
        case(
            "weighted_mse_loss",
            0,
            &[&[b, 30, 21, 21], &[b, 30, 21, 21]],
            run!(
                |(x, y): (Tensor<4>, _)| {
                    let weight = Numbers::new(&[x.dims()[0]], 7).tensor(&x.device()).cast(x.dtype());
                    weighted_mse_loss(x, y, weight, Reduction::Mean)
                },
                4,
                4
            ),
        ),
        case(
            "mix_images",
            2,
            &[&[b, 30, 21, 21], &[b, 30, 21, 21]],
            run!(
                |(x, y): (Tensor<4>, Tensor<4>)| {
                    let factors = |x: &Tensor<4>, seed| {
                        let each = x.clone().detach().slice([0..x.dims()[0], 0..1, seed..seed + 1, 0..1]);
                        each.reshape([x.dims()[0]])
                    };
                    let (s, t) = (factors(&x, 0), factors(&y, 1));
                    mix_images((x, s), (y, t))
                },
                4,
                4
            ),
        ),
    ]
}
