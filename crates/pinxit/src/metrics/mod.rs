//! Measures of what a model paints.

pub mod knn;
