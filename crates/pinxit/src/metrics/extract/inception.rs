//! The Inception network of 2015-12-05, whose features define FID and KID.
//!
//! Szegedy et al. 2015, "Rethinking the Inception architecture", as it was frozen in TensorFlow and
//! carried to PyTorch by pytorch-fid and torch-fidelity, whose parameter names it has. It differs from
//! torchvision's: average pools leave the padding out, and the last block has a max pool.

use std::collections::BTreeMap;

use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor, TensorData, activation};

use crate::checkpoint::Array;
use crate::nn::ops::{self, Windows};

/// Side of the pictures that it takes, in pixels.
pub(super) const SIDE: usize = 299;
/// Number of features, `pool3` in the frozen graph.
pub(super) const FEATURES: usize = 2048;
/// Number of classes; 1000 of them are ImageNet's.
pub(super) const CLASSES: usize = 1008;
/// Added to the variance by its batch normalisations.
const EPS: f32 = 1e-3;

/// The network, its batch normalisations folded into the convolutions.
#[derive(Debug)]
pub(super) struct Inception {
    stem: Vec<Conv>,
    mixed: Vec<Mixed>,
    /// `[CLASSES, FEATURES]`.
    fc: Tensor<2>,
}

/// What comes out: features `[B, FEATURES]` and logits without their bias `[B, CLASSES]`.
pub(super) struct Output {
    pub(super) features: Tensor<2>,
    pub(super) logits: Tensor<2>,
}

impl Inception {
    /// The network of a state dict; the error is what doesn't fit.
    pub(super) fn new(weights: &BTreeMap<String, Array>, device: &Device) -> Result<Self, String> {
        let reader = Reader { weights, device };
        let stem = [
            ("Conv2d_1a_3x3", [32, 3, 3, 3], 2, [0, 0]),
            ("Conv2d_2a_3x3", [32, 32, 3, 3], 1, [0, 0]),
            ("Conv2d_2b_3x3", [64, 32, 3, 3], 1, [1, 1]),
            ("Conv2d_3b_1x1", [80, 64, 1, 1], 1, [0, 0]),
            ("Conv2d_4a_3x3", [192, 80, 3, 3], 1, [0, 0]),
        ];
        let conv = |(name, shape, stride, padding)| reader.conv(name, shape, stride, padding);
        Ok(Self {
            stem: stem.into_iter().map(conv).collect::<Result<_, _>>()?,
            mixed: vec![
                reader.mixed_a("Mixed_5b", 192, 32)?,
                reader.mixed_a("Mixed_5c", 256, 64)?,
                reader.mixed_a("Mixed_5d", 288, 64)?,
                reader.mixed_b("Mixed_6a", 288)?,
                reader.mixed_c("Mixed_6b", 128)?,
                reader.mixed_c("Mixed_6c", 160)?,
                reader.mixed_c("Mixed_6d", 160)?,
                reader.mixed_c("Mixed_6e", 192)?,
                reader.mixed_d("Mixed_7a", 768)?,
                reader.mixed_e("Mixed_7b", 1280, Pool::Average)?,
                reader.mixed_e("Mixed_7c", 2048, Pool::Max { stride: 1, padding: 1 })?,
            ],
            fc: reader.tensor("fc.weight", [CLASSES, FEATURES])?,
        })
    }

    /// Pictures `[B, 3, 299, 299]` with levels from 0 to 255.
    pub(super) fn forward(&self, pictures: Tensor<4>) -> Output {
        let mut x = (pictures - 128.0) / 128.0;
        for (i, conv) in self.stem.iter().enumerate() {
            x = conv.forward(x);
            if i == 2 || i == 4 {
                x = Pool::Max { stride: 2, padding: 0 }.forward(x);
            }
        }
        for mixed in &self.mixed {
            x = mixed.forward(x);
        }
        let [b, c, _, _] = x.dims();
        let features: Tensor<2> = x.reshape([b as i32, c as i32, -1]).mean_dim(2).reshape([b, c]);
        Output { logits: ops::linear(features.clone(), self.fc.clone(), None), features }
    }
}

/// Convolution without bias, batch normalisation and ReLU.
#[derive(Debug)]
struct Conv {
    /// `[out, in, kernel height, kernel width]`.
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    /// Rows and columns of zeros on each side.
    padding: [usize; 2],
}

impl Conv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [rows, columns] = self.padding;
        let (x, padding) = match rows == columns {
            true => (x, rows),
            false => (x.pad([(rows, rows), (columns, columns)], PadMode::Constant(0.0)), 0),
        };
        let y = ops::conv2d(x, self.weight.clone(), Some(self.bias.clone()), self.stride, padding);
        activation::relu(y)
    }
}

/// A block: branches side by side, joined along the channels.
#[derive(Debug)]
struct Mixed {
    branches: Vec<Branch>,
}

/// A way through a block.
#[derive(Debug, Default)]
struct Branch {
    pool: Option<Pool>,
    convs: Vec<Conv>,
    /// Convolutions that all take what comes out of the others, and are joined.
    ends: Vec<Conv>,
}

/// Pools over 3x3 pixels.
#[derive(Debug, Clone, Copy)]
enum Pool {
    /// Means over the pixels that are there, size kept.
    Average,
    Max {
        stride: usize,
        padding: usize,
    },
}

impl Mixed {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        Tensor::cat(self.branches.iter().flat_map(|branch| branch.forward(x.clone())).collect(), 1)
    }
}

impl Branch {
    fn forward(&self, mut x: Tensor<4>) -> Vec<Tensor<4>> {
        if let Some(pool) = self.pool {
            x = pool.forward(x);
        }
        for conv in &self.convs {
            x = conv.forward(x);
        }
        match self.ends.is_empty() {
            true => vec![x],
            false => self.ends.iter().map(|conv| conv.forward(x.clone())).collect(),
        }
    }
}

impl Pool {
    fn forward(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Average => ops::avg_pool2d(x, Windows { size: 3, stride: 1, padding: 1 }),
            Self::Max { stride, padding } => ops::max_pool2d(x, Windows { size: 3, stride, padding }),
        }
    }
}

/// Takes the network out of a state dict.
struct Reader<'a> {
    weights: &'a BTreeMap<String, Array>,
    device: &'a Device,
}

impl Reader<'_> {
    fn array(&self, name: &str, shape: &[usize]) -> Result<&Array, String> {
        let array = self.weights.get(name).ok_or_else(|| {
            format!("it lacks {name}: these are not the weights of the Inception network of 2015-12-05")
        })?;
        if array.shape != shape {
            return Err(format!(
                "{name} is {:?}, the Inception network of 2015-12-05 has {shape:?}",
                array.shape
            ));
        }
        if !array.values.iter().all(|value| value.is_finite()) {
            return Err(format!("{name} holds values that are no finite numbers"));
        }
        Ok(array)
    }

    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>, String> {
        let values = self.array(name, &shape)?.values.clone();
        Ok(Tensor::from_data(TensorData::new(values, shape), self.device))
    }

    /// `shape` is `[out, in, kernel height, kernel width]`.
    fn conv(
        &self,
        name: &str,
        shape: [usize; 4],
        stride: usize,
        padding: [usize; 2],
    ) -> Result<Conv, String> {
        let weight = self.array(&format!("{name}.conv.weight"), &shape)?;
        let part =
            |part: &str| Ok::<_, String>(&self.array(&format!("{name}.bn.{part}"), &shape[..1])?.values);
        let (gamma, beta) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let slope: Vec<f32> = gamma.iter().zip(variance).map(|(gamma, v)| gamma / (v + EPS).sqrt()).collect();
        let bias: Vec<f32> = (0..shape[0]).map(|c| beta[c] - mean[c] * slope[c]).collect();
        let filters = weight.values.chunks_exact(shape[1..].iter().product());
        let folded: Vec<f32> =
            filters.zip(&slope).flat_map(|(filter, slope)| filter.iter().map(move |w| w * slope)).collect();
        Ok(Conv {
            weight: Tensor::from_data(TensorData::new(folded, shape), self.device),
            bias: Tensor::from_data(TensorData::new(bias, [shape[0]]), self.device),
            stride,
            padding,
        })
    }

    /// Convolutions one after the other from `input` channels on: name below the block, output
    /// channels, kernel, stride. With stride 1 the size is kept.
    fn convs(
        &self,
        block: &str,
        mut input: usize,
        layers: &[(&str, usize, [usize; 2], usize)],
    ) -> Result<Vec<Conv>, String> {
        let mut convs = Vec::new();
        for &(name, output, [height, width], stride) in layers {
            let padding = if stride == 1 { [height / 2, width / 2] } else { [0, 0] };
            convs.push(self.conv(
                &format!("{block}.{name}"),
                [output, input, height, width],
                stride,
                padding,
            )?);
            input = output;
        }
        Ok(convs)
    }

    fn branch(
        &self,
        block: &str,
        input: usize,
        layers: &[(&str, usize, [usize; 2], usize)],
    ) -> Result<Branch, String> {
        Ok(Branch { convs: self.convs(block, input, layers)?, ..Branch::default() })
    }

    fn pooled(&self, block: &str, input: usize, pool: Pool, output: usize) -> Result<Branch, String> {
        let branch = self.branch(block, input, &[("branch_pool", output, [1, 1], 1)])?;
        Ok(Branch { pool: Some(pool), ..branch })
    }

    /// 35x35 pixels.
    fn mixed_a(&self, name: &str, input: usize, pool: usize) -> Result<Mixed, String> {
        let branch = |layers: &[_]| self.branch(name, input, layers);
        Ok(Mixed {
            branches: vec![
                branch(&[("branch1x1", 64, [1, 1], 1)])?,
                branch(&[("branch5x5_1", 48, [1, 1], 1), ("branch5x5_2", 64, [5, 5], 1)])?,
                branch(&[
                    ("branch3x3dbl_1", 64, [1, 1], 1),
                    ("branch3x3dbl_2", 96, [3, 3], 1),
                    ("branch3x3dbl_3", 96, [3, 3], 1),
                ])?,
                self.pooled(name, input, Pool::Average, pool)?,
            ],
        })
    }

    /// 35x35 to 17x17 pixels.
    fn mixed_b(&self, name: &str, input: usize) -> Result<Mixed, String> {
        let branch = |layers: &[_]| self.branch(name, input, layers);
        Ok(Mixed {
            branches: vec![
                branch(&[("branch3x3", 384, [3, 3], 2)])?,
                branch(&[
                    ("branch3x3dbl_1", 64, [1, 1], 1),
                    ("branch3x3dbl_2", 96, [3, 3], 1),
                    ("branch3x3dbl_3", 96, [3, 3], 2),
                ])?,
                Branch { pool: Some(Pool::Max { stride: 2, padding: 0 }), ..Branch::default() },
            ],
        })
    }

    /// 17x17 pixels; `c7` channels within the branches of 7x7.
    fn mixed_c(&self, name: &str, c7: usize) -> Result<Mixed, String> {
        let branch = |layers: &[_]| self.branch(name, 768, layers);
        Ok(Mixed {
            branches: vec![
                branch(&[("branch1x1", 192, [1, 1], 1)])?,
                branch(&[
                    ("branch7x7_1", c7, [1, 1], 1),
                    ("branch7x7_2", c7, [1, 7], 1),
                    ("branch7x7_3", 192, [7, 1], 1),
                ])?,
                branch(&[
                    ("branch7x7dbl_1", c7, [1, 1], 1),
                    ("branch7x7dbl_2", c7, [7, 1], 1),
                    ("branch7x7dbl_3", c7, [1, 7], 1),
                    ("branch7x7dbl_4", c7, [7, 1], 1),
                    ("branch7x7dbl_5", 192, [1, 7], 1),
                ])?,
                self.pooled(name, 768, Pool::Average, 192)?,
            ],
        })
    }

    /// 17x17 to 8x8 pixels.
    fn mixed_d(&self, name: &str, input: usize) -> Result<Mixed, String> {
        let branch = |layers: &[_]| self.branch(name, input, layers);
        Ok(Mixed {
            branches: vec![
                branch(&[("branch3x3_1", 192, [1, 1], 1), ("branch3x3_2", 320, [3, 3], 2)])?,
                branch(&[
                    ("branch7x7x3_1", 192, [1, 1], 1),
                    ("branch7x7x3_2", 192, [1, 7], 1),
                    ("branch7x7x3_3", 192, [7, 1], 1),
                    ("branch7x7x3_4", 192, [3, 3], 2),
                ])?,
                Branch { pool: Some(Pool::Max { stride: 2, padding: 0 }), ..Branch::default() },
            ],
        })
    }

    /// 8x8 pixels.
    fn mixed_e(&self, name: &str, input: usize, pool: Pool) -> Result<Mixed, String> {
        let split = |layers: &[_], ends: [&str; 2]| {
            let [wide, tall] = ends;
            let end = |end: &str, kernel| self.convs(name, 384, &[(end, 384, kernel, 1)]);
            let mut branch = self.branch(name, input, layers)?;
            branch.ends = end(wide, [1, 3])?.into_iter().chain(end(tall, [3, 1])?).collect();
            Ok::<_, String>(branch)
        };
        Ok(Mixed {
            branches: vec![
                self.branch(name, input, &[("branch1x1", 320, [1, 1], 1)])?,
                split(&[("branch3x3_1", 384, [1, 1], 1)], ["branch3x3_2a", "branch3x3_2b"])?,
                split(
                    &[("branch3x3dbl_1", 448, [1, 1], 1), ("branch3x3dbl_2", 384, [3, 3], 1)],
                    ["branch3x3dbl_3a", "branch3x3dbl_3b"],
                )?,
                self.pooled(name, input, pool, 192)?,
            ],
        })
    }
}
