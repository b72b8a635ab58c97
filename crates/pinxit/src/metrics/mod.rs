//! Measures of what a model paints.

pub mod classes;
pub mod frechet;
pub mod inception_score;
pub mod kernel;
pub mod knn;
pub mod likelihood;
mod linalg;
pub mod manifold;
pub mod numpy;
pub mod pairs;
