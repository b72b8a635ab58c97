//! What the models that know probabilities share.

pub mod gaussian;

/// Bits per dimension of pictures of `dims` values: `nats / (dims ln 2)`. A model that finds all 256
/// values of every pixel equally probable has exactly 8.
pub fn bits_per_dim(nats: f64, dims: usize) -> f64 {
    nats / (dims as f64 * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::bits_per_dim;

    #[test]
    fn a_uniform_model_has_exactly_eight_bits() {
        for dims in [1, 64, 784, 3 * 32 * 32] {
            assert_eq!(bits_per_dim(dims as f64 * 256f64.ln(), dims), 8.0);
        }
    }
}
