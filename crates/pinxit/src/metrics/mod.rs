//! Measures of what a model paints.

pub mod baselines;
pub mod classes;
pub mod knn;
pub mod likelihood;
