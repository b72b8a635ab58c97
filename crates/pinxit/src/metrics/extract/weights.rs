//! Files of weights: safetensors, or PyTorch's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use sha2::{Digest, Sha256};

use super::torch_file;
use crate::checkpoint::Array;
use crate::error::{Error, Result};

/// Largest file that is read, in bytes: the Inception network takes 96 MB.
const MOST: u64 = 1 << 32;

/// The tensors of a file by name, and the SHA-256 of the file.
///
/// # Errors
/// [`Error::Checkpoint`] if it is neither kind of file, or damaged; [`Error::Io`] if it can't be read.
pub(super) fn read(file: &Path) -> Result<(BTreeMap<String, Array>, String)> {
    let reading = "reading the weights";
    let length = fs::metadata(file).map_err(Error::io(file, reading))?.len();
    if length > MOST {
        return Err(Error::checkpoint(file, format!("{length} bytes are no file of weights")));
    }
    let bytes = fs::read(file).map_err(Error::io(file, reading))?;
    let tensors = match is_safetensors(&bytes) {
        true => read_safetensors(&bytes),
        false => torch_file::read(&bytes),
    };
    let tensors =
        tensors.map_err(|reason| Error::checkpoint(file, format!("the weights can't be used: {reason}")))?;
    Ok((tensors, hexadecimal(&bytes)))
}

/// The SHA-256 of `bytes` in hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Safetensors begin with the length of a JSON object, and that object.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

fn read_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|e| format!("it is no whole safetensors file ({e})"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let values = match view.dtype() {
            Dtype::F32 => {
                view.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
            }
            // Counters of batches, which nothing reads.
            _ => continue,
        };
        tensors.insert(name.to_string(), Array { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}
