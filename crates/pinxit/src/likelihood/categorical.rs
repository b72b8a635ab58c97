//! A softmax over grey levels (van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3).

use burn::tensor::{Tensor, activation};

use super::levels::Levels;
use super::sum_of_each;
use crate::rng::Rng;

/// `-ln p(x)` of each picture: logits `[B, C n, H, W]`, the n of channel 0 first; x `[B, C, H, W]` -> `[B]`.
pub fn nats(logits: Tensor<4>, x: Tensor<4>, levels: Levels) -> Tensor<1> {
    let [batch, channels, height, width] = x.dims();
    let logits = logits.reshape([batch, channels, levels.count(), height, width]);
    let index = levels.indices(x).reshape([batch, channels, 1, height, width]);
    let chosen = activation::log_softmax(logits, 2).gather(2, index);
    sum_of_each(chosen.reshape([batch, channels, height, width])).neg()
}

/// The mean of each value: logits `[B, C n, H, W]` -> `[B, C, H, W]` in `[-1, 1]`.
pub fn mean(logits: Tensor<4>, channels: usize, levels: Levels) -> Tensor<4> {
    let [batch, _, height, width] = logits.dims();
    let n = levels.count();
    let values: Vec<f32> = (0..n).map(|k| levels.value(k)).collect();
    let values = Tensor::<1>::from_floats(values.as_slice(), &logits.device()).reshape([1, 1, n, 1, 1]);
    let probabilities = activation::softmax(logits.reshape([batch, channels, n, height, width]), 2);
    (probabilities * values).sum_dim(2).reshape([batch, channels, height, width])
}

/// One index drawn from `softmax(logits / temperature)`; temperature 0 takes the most probable.
pub fn draw(logits: &[f32], temperature: f64, rng: &mut Rng) -> usize {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |&logit: &f32| {
        let below = f64::from(logit) - f64::from(largest);
        if below == 0.0 { 1.0 } else { libm::exp(below / temperature) } // 0 / 0 at temperature 0
    };
    let total: f64 = logits.iter().map(weight).sum();
    let mut left = rng.uniform() * total;
    for (index, logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left < 0.0 {
            return index;
        }
    }
    logits.len().saturating_sub(1) // what rounding left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    #[test]
    fn indices_are_drawn_as_often_as_they_are_probable() {
        let logits = [0.5f32, -1.0, 2.0, 0.0];
        let weights = logits.map(|l| f64::from(l / 0.8).exp());
        let mut rng = Rng::new(1, Purpose::SampleStep, 0, 0);
        let mut counts = [0.0; 4];
        for _ in 0..20_000 {
            counts[draw(&logits, 0.8, &mut rng)] += 1.0 / 20_000.0;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let expected = weight / weights.iter().sum::<f64>();
            assert!((count - expected).abs() < 0.015, "{counts:?}");
        }
        assert!((0..99).all(|_| draw(&logits, 0.0, &mut rng) == 2));
    }
}
