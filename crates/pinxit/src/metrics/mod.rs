//! Measures of what a model paints.
