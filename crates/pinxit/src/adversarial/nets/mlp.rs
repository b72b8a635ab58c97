//! Fully connected networks: Goodfellow et al. 2014, section 5, as the field's tutorials build them.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parts::{DLinear, GNorm, Head, normalise, vector, with_class};
use super::{Pair, Plan};
use crate::adversarial::knobs::Norm;
use crate::adversarial::{Condition, Discriminator, Dual, Generator, Verdict};
use crate::data::ImageShape;
use crate::nn::{Activation, BatchNorm, Init, Linear, Mode, Tally};

/// Slope of a LeakyReLU below 0.
const SLOPE: f32 = 0.2;

/// The pair.
pub struct Mlp;

/// z `[B, latent]` -> `[B, n_1]` -> ... -> `[B, C H W]` -> tanh.
#[derive(Module, Debug)]
pub struct MlpGenerator {
    layers: Vec<Linear>,
    norms: Vec<GNorm>,
    output: Linear,
    latent: usize,
    inputs: usize,
    shape: [usize; 3],
}

/// x `[B, C H W]` -> `[B, n_1]` -> ... -> `[B, 1]`.
#[derive(Module, Debug)]
pub struct MlpDiscriminator {
    layers: Vec<DLinear>,
    norms: Vec<Option<BatchNorm>>,
    head: Head,
    values: usize,
}

impl Pair for Mlp {
    type G = MlpGenerator;
    type D = MlpDiscriminator;

    fn build(plan: &Plan, init: &mut Init) -> (Self::G, Self::D) {
        let ImageShape { channels, height, width } = plan.shape;
        let sizes = [&[plan.g_input()], &plan.g_layers[..]].concat();
        let last = sizes[sizes.len() - 1];
        let generator = MlpGenerator {
            layers: sizes.windows(2).map(|size| Linear::new(size[0], size[1], init)).collect(),
            norms: plan.g_layers.iter().map(|&units| GNorm::new(plan, units, init)).collect(),
            output: Linear::new(last, plan.shape.len(), init),
            latent: plan.latent,
            inputs: plan.g_input(),
            shape: [channels, height, width],
        };
        let sizes = [&[plan.shape.len() + plan.d_values()], &plan.d_layers[..]].concat();
        let batch_norm = plan.d_norm == Norm::Batch;
        let discriminator = MlpDiscriminator {
            layers: sizes.windows(2).map(|size| DLinear::new(size[0], size[1], plan.d_norm, init)).collect(),
            norms: plan.d_layers.iter().map(|&n| batch_norm.then(|| BatchNorm::new(n, init))).collect(),
            head: Head::new(plan, sizes[sizes.len() - 1], init),
            values: plan.d_values(),
        };
        (generator, discriminator)
    }

    fn cost(plan: &Plan) -> [Tally; 2] {
        let sum = |sizes: &[usize]| {
            let mut tally = Tally::default();
            sizes.windows(2).for_each(|size| tally.linear(size[0], size[1], 1));
            tally
        };
        let values = plan.shape.len();
        let generator = [&[plan.g_input()], &plan.g_layers[..], &[values]].concat();
        let discriminator = [&[values + plan.d_values()], &plan.d_layers[..], &[1]].concat();
        [sum(&generator), sum(&discriminator)]
    }
}

impl Generator for MlpGenerator {
    fn latent(&self) -> usize {
        self.latent
    }

    fn paint(&self, z: Tensor<2>, condition: &Condition<'_>, mode: &Mode) -> Tensor<4> {
        let pictures = z.dims()[0];
        let mut x = with_class(z, condition, self.inputs);
        for (layer, norm) in self.layers.iter().zip(&self.norms) {
            let y = layer.forward(x);
            let units = y.dims()[1];
            let y = y.reshape([pictures, units, 1, 1]);
            x = norm.forward(y, condition, Activation::LeakyRelu(SLOPE), mode).reshape([pictures, units]);
        }
        let [channels, height, width] = self.shape;
        self.output.forward(x).tanh().reshape([pictures, channels, height, width])
    }
}

impl Discriminator for MlpDiscriminator {
    fn judge(&self, x: Dual<4>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let beside_it = vector(condition, self.values, &x.value.device());
        let beside = |x: Tensor<2>, other: Tensor<2>| match self.values {
            0 => x,
            _ => Tensor::cat(vec![x, other], 1),
        };
        let mut x = x
            .linear(|x| x.flatten(1, 3))
            .affine(|x| beside(x, beside_it.clone()), |t| beside(t, beside_it.zeros_like()));
        for (layer, norm) in self.layers.iter().zip(&self.norms) {
            x = normalise(norm.as_ref(), layer.forward(x, mode), mode).leaky_relu(SLOPE.into());
        }
        self.head.judge(x, condition, mode)
    }
}
