//! A discriminator that goes down to one verdict and up again to one a pixel: Schoenfeld et al. 2020, "A
//! U-Net Based Discriminator for Generative Adversarial Networks", figure 2; beside the residual G.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parts::{DConv, Head, with_planes};
use super::resnet::{self, DBlock, Place, ResnetGenerator};
use super::{Pair, Plan};
use crate::adversarial::{Condition, Discriminator, Dual, Verdict};
use crate::nn::{Init, Mode, Tally, Weights, ops};

/// The pair.
pub struct Unet;

/// Down: x `[B, C, H, W]` -> `[B, c_1, H / 2, W / 2]` -> ... -> `[B, c_n, H / 2^n, W / 2^n]` ->
/// `[B, c_(n + 1), ...]` -> the verdict on the picture `[B, 1]`.
/// Up: with what the way down had at each size beside it, `[B, c_n, H / 2^(n - 1), ...]` -> ... ->
/// `[B, c_1, H, W]` -> the verdicts on the pixels `[B, 1, H, W]`.
#[derive(Module, Debug)]
pub struct UnetDiscriminator {
    downs: Vec<DBlock>,
    bottom: DBlock,
    head: Head,
    /// From the smallest size to the full one.
    ups: Vec<DBlock>,
    output: DConv,
    planes: usize,
}

impl Pair for Unet {
    type G = ResnetGenerator;
    type D = UnetDiscriminator;

    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D) {
        init.with(Weights::Kaiming, |init| (resnet::generator(plan, init), discriminator(plan, init)))
    }

    fn cost(plan: &Plan) -> [Tally; 2] {
        let mut d = Tally::default();
        let layers = Layers::of(plan);
        for (i, &[input, output]) in layers.downs.iter().enumerate() {
            DBlock::count(&mut d, input, output, Place { halves: true, first: i == 0 }, plan.sides(i));
        }
        let [input, output] = layers.bottom;
        DBlock::count(&mut d, input, output, FLAT, plan.sides(layers.downs.len()));
        for (i, &[input, output]) in layers.ups.iter().enumerate() {
            DBlock::count(&mut d, input, output, FLAT, plan.sides(layers.downs.len() - 1 - i));
        }
        d.conv2d(layers.last(), 1, 1, 1, plan.sides(0));
        [resnet::generator_cost(plan), d]
    }
}

const FLAT: Place = Place { halves: false, first: false };

/// Channels in and out of each block.
struct Layers {
    downs: Vec<[usize; 2]>,
    bottom: [usize; 2],
    ups: Vec<[usize; 2]>,
}

impl Layers {
    fn of(plan: &Plan) -> Self {
        let ends = [&[plan.shape.channels + plan.d_planes()], &plan.d_layers[..]].concat();
        let pairs: Vec<[usize; 2]> = ends.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        let (downs, bottom) = pairs.split_at(pairs.len() - 1);
        let mut ups = Vec::new();
        let mut input = bottom[0][1];
        for i in (0..downs.len()).rev() {
            // At the size that is reached, the way down had the output of the block before; at the full
            // size only the picture.
            let beside = if i > 0 { downs[i - 1][1] } else { 0 };
            ups.push([input + beside, downs[i][1]]);
            input = downs[i][1];
        }
        Self { downs: downs.to_vec(), bottom: bottom[0], ups }
    }

    /// Channels of the last block.
    fn last(&self) -> usize {
        self.ups.last().map_or(self.bottom[1], |[_, output]| *output)
    }
}

fn discriminator(plan: &Plan, init: &mut Init) -> UnetDiscriminator {
    let layers = Layers::of(plan);
    let norm = plan.d_norm;
    let mut block = |[input, output]: [usize; 2], place| DBlock::new(input, output, place, norm, init);
    let down = |(i, &size)| block(size, Place { halves: true, first: i == 0 });
    let downs = layers.downs.iter().enumerate().map(down).collect();
    let bottom = block(layers.bottom, FLAT);
    let ups = layers.ups.iter().map(|&size| block(size, FLAT)).collect();
    UnetDiscriminator {
        downs,
        bottom,
        ups,
        head: Head::new(plan, layers.bottom[1], init),
        output: DConv::new(layers.last(), 1, 1, norm, init),
        planes: plan.d_planes(),
    }
}

impl Discriminator for UnetDiscriminator {
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let mut x = with_planes(x, condition, self.planes);
        let mut seen = Vec::with_capacity(self.downs.len());
        for down in &self.downs {
            x = down.forward(x, mode);
            seen.push(x.clone());
        }
        seen.pop(); // what the bottom begins with
        x = self.bottom.forward(x, mode);
        let verdict = self.head.judge(resnet::pooled(x.clone()), condition, mode);
        for up in &self.ups {
            x = x.linear(ops::upsample_nearest2);
            if let Some(beside) = seen.pop() {
                x = x.zip(beside, |x, beside| Tensor::cat(vec![x, beside], 1));
            }
            x = up.forward(x, mode);
        }
        let pixels = self.output.forward(x.leaky_relu(0.0), mode);
        Verdict { pixels: Some(pixels), ..verdict }
    }
}
