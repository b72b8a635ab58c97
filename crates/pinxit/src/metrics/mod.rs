//! Measures of what a model paints.

pub mod augmentation;
pub mod baselines;
pub mod card;
pub mod classes;
pub mod collapse;
pub mod collect;
pub mod detect;
pub mod diversity;
pub mod extract;
pub mod frechet;
pub mod inception_score;
pub mod judge;
pub mod kernel;
pub mod knn;
pub mod likelihood;
pub mod likeness;
mod linalg;
pub mod manifold;
pub mod memorisation;
pub mod numpy;
pub mod pairs;
pub mod pictures;
pub mod ranks;
pub mod record;
pub mod spectrum;
pub mod verdict;
