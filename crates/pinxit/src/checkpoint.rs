//! Checkpoints: named tensors and a few strings in one safetensors file.

use std::collections::BTreeMap;

/// A tensor on its way to or from a file, f32 in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Size of each dimension.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// The whole state of a learner.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Tensors by name: `model/...` the averaged weights that sample, `train/...` the raw
    /// weights, `adam/...` the optimizer.
    pub tensors: BTreeMap<String, Array>,
    /// Strings by name: the recipe, the step, what the trainer must remember.
    pub notes: BTreeMap<String, String>,
}
