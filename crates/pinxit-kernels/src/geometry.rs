//! Sizes of a convolution and where its numbers lie.
//!
//! The pixel (y, x) of the output sees the input pixels (s y + i - p, s x + j - p) for the taps (i, j) of the
//! kernel, with the stride s and the padding p. With the input padded once, the place of a patch's pixel is a
//! sum of two offsets, one of the output pixel and one of the tap ([`Geometry::pixels`], [`Geometry::taps`]),
//! which is the form that [`crate::gemm`] multiplies directly.

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry<'a> {
    pub(crate) images: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    /// Which taps of the kernel are not zero, row by row; all of them if there is no list.
    pub(crate) alive: Option<&'a [bool]>,
}

impl<'a> Geometry<'a> {
    pub(crate) fn new(x: [usize; 4], weight: [usize; 4], stride: usize, padding: usize) -> Self {
        let ([images, in_channels, h, w], [out_channels, channels, kh, kw]) = (x, weight);
        assert_eq!(in_channels, channels, "conv2d: input {x:?} and weight {weight:?} differ in channels");
        assert!(stride > 0, "conv2d: the stride is 0");
        let fits = kh <= h + 2 * padding && kw <= w + 2 * padding && kh * kw > 0;
        assert!(fits, "conv2d: kernel {weight:?} does not fit into {x:?} padded by {padding}");
        let output = [(h + 2 * padding - kh) / stride + 1, (w + 2 * padding - kw) / stride + 1];
        let (input, kernel) = ([h, w], [kh, kw]);
        Self { images, in_channels, out_channels, input, kernel, output, stride, padding, alive: None }
    }

    /// The same with the taps of a mask only.
    pub(crate) fn masked(self, alive: &'a [bool]) -> Self {
        let [kh, kw] = self.kernel;
        assert_eq!(alive.len(), kh * kw, "conv2d: a mask for a kernel of {kh}x{kw}");
        Self { alive: Some(alive), ..self }
    }

    pub(crate) fn output_dims(&self) -> [usize; 4] {
        [self.images, self.out_channels, self.output[0], self.output[1]]
    }

    pub(crate) fn padded(&self) -> [usize; 2] {
        self.input.map(|size| size + 2 * self.padding)
    }

    pub(crate) fn output_area(&self) -> usize {
        self.output[0] * self.output[1]
    }

    pub(crate) fn input_area(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Numbers of one filter: `C_in K_h K_w`.
    pub(crate) fn filter(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
    }

    /// The taps (i, j) that are not masked, of the rows i and columns j that `phase` says modulo the stride.
    pub(crate) fn phase_taps(&self, phase: [usize; 2]) -> Vec<[usize; 2]> {
        let [kh, kw] = self.kernel;
        let alive = |i: usize, j: usize| self.alive.is_none_or(|alive| alive[i * kw + j]);
        let rows = (phase[0]..kh).step_by(self.stride);
        let taps = rows.flat_map(|i| (phase[1]..kw).step_by(self.stride).map(move |j| [i, j]));
        taps.filter(|&[i, j]| alive(i, j)).collect()
    }

    /// For each input channel and each tap that is not masked, `channel c + i row + j`.
    fn by_tap(&self, channel: usize, row: usize) -> Vec<usize> {
        let one = Self { stride: 1, ..*self };
        let taps = one.phase_taps([0, 0]);
        (0..self.in_channels).flat_map(|c| taps.iter().map(move |[i, j]| c * channel + i * row + j)).collect()
    }

    /// Place of each tap (c, i, j) in the padded input, relative to its patch.
    pub(crate) fn taps(&self) -> Vec<usize> {
        let [h, w] = self.padded();
        self.by_tap(h * w, w)
    }

    /// Place of each tap (c, i, j) in its filter.
    pub(crate) fn weights(&self) -> Vec<usize> {
        let [kh, kw] = self.kernel;
        self.by_tap(kh * kw, kw)
    }

    /// Place of the patch of each output pixel (b, y, x) in the padded input.
    pub(crate) fn pixels(&self) -> Vec<usize> {
        let [h, w] = self.padded();
        let steps = [self.in_channels * h * w, self.stride * w, self.stride];
        grid([self.images, self.output[0], self.output[1]], steps)
    }

    /// Place of each output pixel (b, y, x) of channel 0 in the output.
    pub(crate) fn output_pixels(&self) -> Vec<usize> {
        grid([self.images, 1, self.output_area()], [self.out_channels * self.output_area(), 0, 1])
    }
}

/// Offsets of the points of a grid in row-major order.
pub(crate) fn grid(sizes: [usize; 3], steps: [usize; 3]) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(sizes.iter().product());
    for a in 0..sizes[0] {
        for b in 0..sizes[1] {
            let start = a * steps[0] + b * steps[1];
            offsets.extend((0..sizes[2]).map(|c| start + c * steps[2]));
        }
    }
    offsets
}

/// The plain twin: the definition, summed in f64, forward and backward at once.
#[cfg(test)]
pub(crate) mod twin {
    use super::Geometry;

    /// Calls `f(index of y, of x, of weight)` for each product in the definition.
    fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
        let ([h, w], [kh, kw], [oh, ow]) = (g.input, g.kernel, g.output);
        for b in 0..g.images {
            for (o, c) in (0..g.out_channels).flat_map(|o| (0..g.in_channels).map(move |c| (o, c))) {
                for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    let alive = |i: usize, j: usize| g.alive.is_none_or(|alive| alive[i * kw + j]);
                    let taps = (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j)));
                    for (i, j) in taps.filter(|&(i, j)| alive(i, j)) {
                        let (v, u) = (y * g.stride + i, x * g.stride + j);
                        let inside = |at: usize, size: usize| at >= g.padding && at - g.padding < size;
                        if inside(v, h) && inside(u, w) {
                            f(
                                ((b * g.out_channels + o) * oh + y) * ow + x,
                                ((b * g.in_channels + c) * h + v - g.padding) * w + u - g.padding,
                                ((o * g.in_channels + c) * kh + i) * kw + j,
                            );
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let area = g.output_area();
        let count = g.images * g.out_channels * area;
        let mut out: Vec<f64> = (0..count).map(|i| f64::from(bias[i / area % g.out_channels])).collect();
        products(g, |y, v, w| out[y] += f64::from(x[v]) * f64::from(weight[w]));
        out
    }

    pub(crate) fn backward(g: &Geometry, x: &[f32], weight: &[f32], dy: &[f32]) -> [Vec<f64>; 3] {
        let mut grads = [vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; g.out_channels]];
        products(g, |y, v, w| {
            grads[0][v] += f64::from(dy[y]) * f64::from(weight[w]);
            grads[1][w] += f64::from(dy[y]) * f64::from(x[v]);
        });
        let area = g.output_area();
        dy.iter().enumerate().for_each(|(i, &dy)| grads[2][i / area % g.out_channels] += f64::from(dy));
        grads
    }
}
