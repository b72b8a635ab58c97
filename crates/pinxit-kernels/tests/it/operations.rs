//! The differentiable operations as a list, so that every test runs every one of them.

use burn::tensor::{Device, Tensor, TensorData};
use pinxit_kernels::{
    Activation, activate, attention, conv_transpose2d, conv2d, group_norm, linear, masked_conv2d,
    upsample_nearest2,
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
        Self { data: x.into_data().try_into_vec::<f32>().unwrap(), dims }
    }

    /// The part of image `index`.
    pub(crate) fn image(&self, index: usize) -> Self {
        let len = self.data.len() / self.dims[0];
        let mut dims = self.dims.clone();
        dims[0] = 1;
        Self { data: self.data[index * len..][..len].to_vec(), dims }
    }
}

/// An operation with its inputs; the first `images` of them have a batch dimension.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) inputs: Vec<Numbers>,
    pub(crate) images: usize,
    /// Output and gradients of the inputs, for the sum of the output times fixed weights.
    pub(crate) run: fn(&[Numbers], &Device) -> Vec<Numbers>,
}

/// Runs `$op` on tensors of the ranks `$rank`, forward and backward.
macro_rules! run {
    ($op:expr, $($rank:literal),+) => {
        |inputs, device| {
            let mut inputs = inputs.iter();
            let tensors = ($(inputs.next().unwrap().tensor::<$rank>(device).require_grad(),)+);
            let output = $op(tensors.clone());
            let weights = Numbers::new(&output.dims(), 99).tensor(device);
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
        case("upsample_nearest2", 1, &[&[b, 16, 15, 15]], run!(|(x,)| upsample_nearest2(x), 4)),
    ]
}
