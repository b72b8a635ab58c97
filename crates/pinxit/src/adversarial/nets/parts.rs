//! What the networks have in common: layers with a choice of normalisation, classes, the last layer.

use burn::module::{Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor, TensorData};

use super::Plan;
use crate::adversarial::knobs::{Conditioning, Norm};
use crate::adversarial::{Condition, Dual, Verdict};
use crate::nn::{
    Activation, BatchNorm, Conv2d, Embedding, Init, Linear, Mode, SpectralConv2d, SpectralLinear, ops,
};

/// A layer with or without spectral normalisation. It has no name of its own: its parameters are
/// called as those of the layer.
#[derive(Debug, Clone)]
pub enum Spectral<P, S> {
    /// Without.
    Plain(P),
    /// With.
    Normed(S),
}

/// A convolution of a discriminator.
pub type DConv = Spectral<Conv2d, SpectralConv2d>;
/// A linear layer of a discriminator.
pub type DLinear = Spectral<Linear, SpectralLinear>;

macro_rules! of_either {
    ($self:expr, $layer:ident => $body:expr) => {
        match $self {
            Spectral::Plain($layer) => $body,
            Spectral::Normed($layer) => $body,
        }
    };
    ($self:expr, $layer:ident -> $body:expr) => {
        match $self {
            Spectral::Plain($layer) => Spectral::Plain($body),
            Spectral::Normed($layer) => Spectral::Normed($body),
        }
    };
}

impl<P: Module, S: Module> Module for Spectral<P, S> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        of_either!(self, layer => layer.collect_devices(devices))
    }
    fn fork(self, device: &Device) -> Self {
        of_either!(self, layer -> layer.fork(device))
    }
    fn to_device(self, device: &Device) -> Self {
        of_either!(self, layer -> layer.to_device(device))
    }
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        of_either!(self, layer => layer.visit(visitor));
    }
    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        of_either!(self, layer -> layer.map(mapper))
    }
    fn train(self) -> Self {
        of_either!(self, layer -> layer.train())
    }
    fn valid(&self) -> Self {
        of_either!(self, layer -> layer.valid())
    }
    fn materialize(self) -> Self {
        of_either!(self, layer -> layer.materialize())
    }
}

impl<P: ModuleDisplay, S: ModuleDisplay> ModuleDisplayDefault for Spectral<P, S> {
    fn content(&self, content: Content) -> Option<Content> {
        of_either!(self, layer => content.add_single(layer)).optional()
    }
}

impl<P: ModuleDisplay, S: ModuleDisplay> ModuleDisplay for Spectral<P, S> {}

impl DConv {
    /// Stride 1, and as many zeros around as an odd `kernel` needs to keep the size.
    pub fn new(input: usize, output: usize, kernel: usize, norm: Norm, init: &mut Init) -> Self {
        match norm {
            Norm::Spectral => Self::Normed(SpectralConv2d::new(input, output, kernel, init)),
            Norm::None | Norm::Batch => Self::Plain(Conv2d::new(input, output, kernel, init)),
        }
    }

    /// A kernel of 4x4 with stride 2, which halves a picture.
    pub fn halving(input: usize, output: usize, norm: Norm, init: &mut Init) -> Self {
        let conv = Self::new(input, output, 4, norm, init);
        of_either!(conv, layer -> layer.with_stride(2).with_padding(1))
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        of_either!(self, layer -> layer.without_bias())
    }

    /// `[B, in, H, W]` -> `[B, out, H', W']`.
    pub fn forward(&self, x: Dual<4>, mode: &Mode) -> Dual<4> {
        match self {
            Self::Plain(conv) => x.conv2d(conv),
            Self::Normed(conv) => {
                x.affine(|x| conv.forward(x, mode), |t| conv.clone().without_bias().forward(t, mode))
            }
        }
    }
}

impl DLinear {
    /// From `input` to `output` features.
    pub fn new(input: usize, output: usize, norm: Norm, init: &mut Init) -> Self {
        match norm {
            Norm::Spectral => Self::Normed(SpectralLinear::new(input, output, init)),
            Norm::None | Norm::Batch => Self::Plain(Linear::new(input, output, init)),
        }
    }

    /// Without bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        of_either!(self, layer -> layer.without_bias())
    }

    /// `[N, in]` -> `[N, out]`.
    pub fn forward(&self, x: Dual<2>, mode: &Mode) -> Dual<2> {
        match self {
            Self::Plain(linear) => x.dense(linear),
            Self::Normed(linear) => {
                x.affine(|x| linear.forward(x, mode), |t| linear.clone().without_bias().forward(t, mode))
            }
        }
    }
}

/// The batch normalisation of a discriminator, if it has one: `[B, C, ...]` -> `[B, C, ...]`.
pub fn normalise<const D: usize>(norm: Option<&BatchNorm>, x: Dual<D>, mode: &Mode) -> Dual<D> {
    let Some(norm) = norm else { return x };
    let forward = |x| norm.forward(x, Activation::None, mode);
    x.affine(forward, |t| forward(t.clone()) - forward(t.zeros_like()))
}

/// Normalisation and activation of a generator, with scale and shift by class where it is conditional
/// (Dumoulin et al. 2017; Miyato and Koyama 2018).
#[derive(Module, Debug)]
pub struct GNorm {
    norm: Option<BatchNorm>,
    /// Added to the scale 1: `[classes, C]`, zeros at first.
    scale: Option<Embedding>,
    /// `[classes, C]`, zeros at first.
    shift: Option<Embedding>,
}

impl GNorm {
    /// Of `channels`.
    pub fn new(plan: &Plan, channels: usize, init: &mut Init) -> Self {
        let norm = plan.g_batch_norm.then(|| BatchNorm::new(channels, init));
        let mut by_class = || plan.modulates().then(|| zeros(plan.classes, channels, init));
        Self { norm, scale: by_class(), shift: by_class() }
    }

    /// `[B, C, H, W]` -> `[B, C, H, W]`.
    pub fn forward(
        &self,
        x: Tensor<4>,
        condition: &Condition<'_>,
        activation: Activation,
        mode: &Mode,
    ) -> Tensor<4> {
        let Some(norm) = &self.norm else { return ops::activate(x, activation) };
        let (Some(scale), Some(shift)) = (&self.scale, &self.shift) else {
            return norm.forward(x, activation, mode);
        };
        let channels = x.dims()[1] as i32;
        let of = |table: &Embedding| table.forward(condition.classes).reshape([-1, channels, 1, 1]);
        let x = norm.forward(x, Activation::None, mode) * (of(scale) + 1.0) + of(shift);
        ops::activate(x, activation)
    }
}

fn zeros(classes: usize, channels: usize, init: &mut Init) -> Embedding {
    Embedding { weight: init.zeros([classes, channels]) }
}

/// The latent vector with the condition beside it, if it goes there: `[B, latent]` -> `[B, g_input]`.
pub fn with_class(z: Tensor<2>, condition: &Condition<'_>, inputs: usize) -> Tensor<2> {
    match inputs - z.dims()[1] {
        0 => z,
        count => {
            let vector = vector(condition, count, &z.device());
            Tensor::cat(vec![z, vector], 1)
        }
    }
}

/// A picture with the condition beside it as channels, if it goes there: the picture that it is, or a plane of ones
/// for the class and of zeros for the others. `[B, C, H, W]` -> `[B, C + planes, H, W]`.
pub fn with_planes(x: Dual<4>, condition: &Condition<'_>, planes: usize) -> Dual<4> {
    if planes == 0 {
        return x;
    }
    let [pictures, channels, height, width] = x.value.dims();
    let beside = match &condition.pictures {
        Some(beside) => beside.clone().reshape([pictures, channels, height, width]),
        None => one_hot(condition.classes, planes, &x.value.device())
            .reshape([pictures, planes, 1, 1])
            .expand([pictures, planes, height, width]),
    };
    x.affine(|x| Tensor::cat(vec![x, beside.clone()], 1), |t| Tensor::cat(vec![t, beside.zeros_like()], 1))
}

/// The condition as a vector of `count` values: the flattened picture, or 1 for the class and 0 for the others.
pub fn vector(condition: &Condition<'_>, count: usize, device: &Device) -> Tensor<2> {
    condition.pictures.clone().unwrap_or_else(|| one_hot(condition.classes, count, device))
}

/// 1 for the class of each picture, 0 for the others: `[B, count]`.
pub fn one_hot(classes: &[u32], count: usize, device: &Device) -> Tensor<2> {
    let mut values = vec![0.0f32; classes.len() * count];
    for (row, &class) in values.chunks_mut(count.max(1)).zip(classes) {
        if let Some(value) = row.get_mut(class as usize) {
            *value = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(values, [classes.len(), count]), device)
}

/// The last layer of a discriminator.
#[derive(Module, Debug)]
pub struct Head {
    linear: DLinear,
    /// The vectors of the classes, for the inner product: Miyato and Koyama 2018, eq. 2.
    embedding: Option<DLinear>,
    /// Names the class: Odena et al. 2017.
    classifier: Option<DLinear>,
    classes: usize,
}

impl Head {
    /// From `features`.
    pub fn new(plan: &Plan, features: usize, init: &mut Init) -> Self {
        let norm = plan.d_norm;
        let is = |condition| plan.condition == condition;
        Self {
            linear: DLinear::new(features, 1, norm, init),
            embedding: is(Conditioning::Projection)
                .then(|| DLinear::new(plan.classes, features, norm, init).without_bias()),
            classifier: is(Conditioning::Classifier)
                .then(|| DLinear::new(features, plan.classes, norm, init)),
            classes: plan.classes,
        }
    }

    /// Features `[B, F]` and the class that each picture claims -> verdicts.
    pub fn judge(&self, features: Dual<2>, condition: &Condition<'_>, mode: &Mode) -> Verdict {
        let mut image = self.linear.forward(features.clone(), mode);
        if let Some(embedding) = &self.embedding {
            let labels = one_hot(condition.classes, self.classes, &features.value.device());
            let vectors = embedding.forward(labels.into(), mode).value;
            let product = features.clone().linear(|x| (x * vectors.clone()).sum_dim(1));
            image = image.zip(product, |image, product| image + product);
        }
        let named = self.classifier.as_ref().map(|classifier| classifier.forward(features, mode).value);
        Verdict { classes: named, ..Verdict::of(image) }
    }
}
