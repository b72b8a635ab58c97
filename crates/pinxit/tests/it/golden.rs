//! Golden files that the scripts in `oracle/` wrote.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::checkpoint::Array;
use safetensors::SafeTensors;

/// Tensors of a golden file and the strings in its header.
pub(crate) struct Golden {
    arrays: BTreeMap<String, Array>,
    notes: std::collections::HashMap<String, String>,
}

impl Golden {
    /// Reads `oracle/golden/NAME.safetensors`.
    pub(crate) fn read(name: &str) -> Self {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden"));
        let bytes = std::fs::read(folder.join(name).with_extension("safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let value = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
        let array = |view: safetensors::tensor::TensorView<'_>| Array {
            shape: view.shape().to_vec(),
            values: view.data().chunks_exact(4).map(value).collect(),
        };
        let arrays = file.tensors().into_iter().map(|(name, view)| (name, array(view))).collect();
        Self { arrays, notes: header.metadata().clone().unwrap_or_default() }
    }

    /// A JSON string of the header.
    pub(crate) fn note(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.notes[name]).unwrap()
    }

    /// The array called `name`.
    pub(crate) fn array(&self, name: &str) -> &Array {
        &self.arrays[name]
    }

    /// The array called `name`, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// The array called `name` as a tensor.
    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let array = self.array(name);
        Tensor::from_data(TensorData::new(array.values.clone(), array.shape.clone()), device)
    }

    /// The arrays under `prefix/`, without it.
    pub(crate) fn under(&self, prefix: &str) -> BTreeMap<String, Array> {
        let name = |full: &str| Some(full.strip_prefix(prefix)?.strip_prefix('/')?.to_string());
        self.arrays.iter().filter_map(|(full, array)| Some((name(full)?, array.clone()))).collect()
    }
}

/// Largest difference, relative to the largest expected value.
pub(crate) fn distance(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |m, x| m.max(x.abs()));
    // `f32::max` passes over NaN, which must not pass for 0.
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest);
    differences.fold(0.0, |m, d| if d.is_nan() || d > m { d } else { m })
}

/// The values of a tensor.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}
