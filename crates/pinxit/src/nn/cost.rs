//! Counting what a network costs, layer by layer.

/// What training one picture costs, for the estimates before a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Cost {
    /// Trainable values.
    pub parameters: u64,
    /// Multiply-adds of one forward pass for one picture.
    pub forward_macs: u64,
    /// Bytes that the forward pass of one picture keeps for the backward pass.
    pub activation_bytes: u64,
}

/// Multiply-adds that the machine can do in the time that a run has; `None` for a run that was given
/// a number of steps instead of a time.
pub type Budget = Option<f64>;

/// Adds up the cost of layers for one picture.
///
/// Bytes are those of the f32 tensors that the backward pass needs: the input of every
/// convolution, linear layer and normalisation, and queries, keys, values and weights of attention.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally(Cost);

impl Tally {
    /// What was counted so far.
    pub fn cost(self) -> Cost {
        self.0
    }

    /// A [`Conv2d`](super::Conv2d) that makes `height x width` pixels; `stride` as it was built.
    pub fn conv2d(
        &mut self,
        input: usize,
        output: usize,
        kernel: usize,
        stride: usize,
        [height, width]: [usize; 2],
    ) {
        let weights = input * output * kernel * kernel;
        self.add(weights + output, weights * height * width, input * height * width * stride * stride);
    }

    /// A convolution with a kernel of `taps` places, such as a [`CausalConv2d`](super::CausalConv2d), that
    /// makes `height x width` pixels.
    pub fn taps(&mut self, input: usize, output: usize, taps: usize, [height, width]: [usize; 2]) {
        let weights = input * output * taps;
        self.add(weights + output, weights * height * width, input * height * width);
    }

    /// A [`Linear`](super::Linear) layer on `rows` vectors.
    pub fn linear(&mut self, input: usize, output: usize, rows: usize) {
        self.add(input * output + output, input * output * rows, input * rows);
    }

    /// A [`GroupNorm`](super::GroupNorm) of `height x width` pixels.
    pub fn group_norm(&mut self, channels: usize, [height, width]: [usize; 2]) {
        self.add(2 * channels, 0, channels * height * width);
    }

    /// The gains of a weight of `output` outputs that is [normalised](super::weight_norm).
    pub fn gains(&mut self, output: usize) {
        self.add(output, 0, 0);
    }

    /// An [`Embedding`](super::Embedding).
    pub fn embedding(&mut self, classes: usize, dim: usize) {
        self.add(classes * dim, 0, 0);
    }

    /// [`attention`](super::ops::attention) between `tokens` of `channels` in `heads`.
    pub fn attention(&mut self, channels: usize, heads: usize, tokens: usize) {
        self.add(0, 2 * tokens * tokens * channels, 3 * channels * tokens + heads * tokens * tokens);
    }

    /// `values` a pixel that only the backward pass needs, such as the gates of a recurrent layer.
    pub fn memory(&mut self, values: usize, [height, width]: [usize; 2]) {
        self.add(0, 0, values * height * width);
    }

    fn add(&mut self, parameters: usize, macs: usize, floats: usize) {
        self.0.parameters += parameters as u64;
        self.0.forward_macs += macs as u64;
        self.0.activation_bytes += 4 * floats as u64;
    }
}
