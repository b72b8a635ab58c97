//! The convolutions of VGG (Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
//! Recognition"), with torchvision's names of parameters.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use crate::checkpoint::Array;
use crate::nn::Activation;
use crate::nn::ops::{self, Windows};

/// Mean and standard deviation of the channels that torchvision's weights were trained with, for levels from 0 to 1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// What a file of weights should be, for messages.
const WANTED: &str =
    "these are not the weights of a VGG of torchvision (vgg16 or vgg19, without batch normalisation)";

/// A VGG without its classifier, frozen.
#[derive(Debug)]
pub(super) struct Vgg {
    /// A max pool stands between two blocks, a ReLU after each convolution.
    blocks: Vec<Vec<Conv>>,
    /// `[1, 3, 1, 1]`.
    mean: Tensor<4>,
    deviation: Tensor<4>,
}

#[derive(Debug)]
struct Conv {
    /// `[out, in, 3, 3]`.
    weight: Tensor<4>,
    bias: Tensor<1>,
}

impl Vgg {
    /// The network of a state dict; the error is what doesn't fit.
    pub(super) fn new(weights: &BTreeMap<String, Array>, device: &Device) -> Result<Self, String> {
        let number = |name: &String| name.strip_prefix("features.")?.strip_suffix(".weight")?.parse().ok();
        let mut numbers: Vec<usize> = weights.keys().filter_map(number).collect();
        numbers.sort_unstable();
        let (mut blocks, mut input) = (vec![Vec::new()], 3);
        let mut before = None;
        for number in numbers {
            // Each layer has a number in torchvision's `features`: after a convolution comes a ReLU, then perhaps a pool.
            match (before, number) {
                (None, 0) => {}
                (Some(before), _) if number == before + 2 => {}
                (Some(before), _) if number == before + 3 => blocks.push(Vec::new()),
                _ => return Err(format!("a layer is missing before features.{number}: {WANTED}")),
            }
            let conv = conv(weights, number, input, device)?;
            (before, input) = (Some(number), conv.bias.dims()[0]);
            if let Some(block) = blocks.last_mut() {
                block.push(conv);
            }
        }
        if before.is_none() {
            return Err(format!("it has no features.0.weight: {WANTED}"));
        }
        let channels =
            |values: [f32; 3]| Tensor::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), device);
        Ok(Self { blocks, mean: channels(MEAN), deviation: channels(DEVIATION) })
    }

    /// Number of blocks: 5 of the networks of the paper.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// What comes out of the first `count` blocks, before the pool: relu1_2, relu2_2, relu3_3, ... of VGG-16, for pictures
    /// `[B, 3, H, W]` in `[-1, 1]`.
    pub(super) fn forward(&self, pictures: Tensor<4>, count: usize) -> Vec<Tensor<4>> {
        let mut x = ((pictures + 1.0) / 2.0 - self.mean.clone()) / self.deviation.clone();
        let mut made = Vec::new();
        for (i, block) in self.blocks.iter().take(count).enumerate() {
            if i > 0 {
                x = ops::max_pool2d(x, Windows::tiles(2));
            }
            for Conv { weight, bias } in block {
                x = ops::conv2d(x, weight.clone(), Some(bias.clone()), 1, 1);
                x = ops::activate(x, Activation::Relu);
            }
            made.push(x.clone());
        }
        made
    }
}

fn conv(
    weights: &BTreeMap<String, Array>,
    number: usize,
    input: usize,
    device: &Device,
) -> Result<Conv, String> {
    let array = |part: &str| {
        let name = format!("features.{number}.{part}");
        weights.get(&name).ok_or_else(|| format!("it lacks {name}: {WANTED}"))
    };
    let (weight, bias) = (array("weight")?, array("bias")?);
    let &[output, of, 3, 3] = weight.shape.as_slice() else {
        return Err(format!("features.{number}.weight is {:?}: {WANTED}", weight.shape));
    };
    if of != input || bias.shape != [output] {
        return Err(format!("features.{number} doesn't fit what stands before it: {WANTED}"));
    }
    Ok(Conv {
        weight: Tensor::from_data(TensorData::new(weight.values.clone(), [output, of, 3, 3]), device),
        bias: Tensor::from_data(TensorData::new(bias.values.clone(), [output]), device),
    })
}
