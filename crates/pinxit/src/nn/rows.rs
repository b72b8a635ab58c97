//! Rows of a tensor on the host.

use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};

/// The rows of a tensor `[N, width]`.
///
/// # Errors
/// If it can't be read from its device.
pub fn rows(tensor: Tensor<2>) -> Result<Vec<Vec<f32>>> {
    let width = tensor.dims()[1].max(1);
    let values = tensor.into_data().convert::<f32>().try_into_vec::<f32>();
    let values = values.map_err(|e| Error::Unsupported(format!("a tensor can't be read: {e:?}")))?;
    Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
}

/// Rows as a tensor `[N, width]` where `like` is, and as wide.
pub fn from_rows(rows: &[Vec<f32>], like: &Tensor<2>) -> Tensor<2> {
    let data = TensorData::new(rows.concat(), [rows.len(), like.dims()[1]]);
    Tensor::from_data(data, &like.device())
}
