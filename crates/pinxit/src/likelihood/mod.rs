//! What the models that know probabilities share.
