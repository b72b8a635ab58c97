//! Pictures to latents and back: with a trained model, and as files that other programs read.
//!
//! A file is NumPy's `.npy`, or `.safetensors` with the tensor `latents` and, for a model with classes,
//! `labels`.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, serialize_to_file};

use crate::checkpoint::Array;
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::model::Latents;
use crate::sample::Trained;
use crate::watch::Watch;

/// Pictures worked on at once.
const CHUNK: usize = 64;

/// Latents of pictures, and the classes of those.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// `[N, ...]`.
    pub latents: Array,
    /// Class of each; empty if unknown or if there are none.
    pub labels: Vec<u32>,
}

/// The model's way to latents.
fn ability(trained: &Trained) -> Result<&dyn Latents> {
    let name = trained.family.name;
    trained
        .model
        .latents()
        .ok_or_else(|| Error::Unsupported(format!("{name} has no latents that pictures could be encoded as")))
}

/// The latents of the first `count` pictures of `dataset` (all, if it has fewer).
///
/// # Errors
/// [`Error::Unsupported`] if the family has no latents; [`Error::Config`] if there is no picture or the
/// pictures don't fit; [`Error::Interrupted`] when the watcher stops it.
pub fn encode(
    trained: &Trained,
    dataset: &dyn Dataset,
    count: usize,
    watch: &mut dyn Watch,
) -> Result<Encoded> {
    let ability = ability(trained)?;
    let count = count.min(dataset.len());
    if count == 0 {
        return Err(Error::config("there is no picture to encode"));
    }
    let mut latents = Array { shape: [vec![count], ability.shape()].concat(), values: Vec::new() };
    let mut labels = Vec::new();
    for start in (0..count).step_by(CHUNK) {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let end = (start + CHUNK).min(count);
        let batch = Batch::read(dataset, start..end, &Device::flex());
        latents.values.extend(ability.encode(&batch)?.values);
        labels.extend(batch.labels);
        watch.progress("encoding", end as u64, count as u64);
    }
    Ok(Encoded { latents, labels })
}

/// The pictures of latents, each handed to `take` with its number, `[C, H, W]` in `[-1, 1]`. `class` is
/// the class of all of them, by name or number; the latents' own when not given.
///
/// # Errors
/// [`Error::Unsupported`] if the family has no latents; [`Error::Config`] if they or the classes don't
/// fit the model; what `take` returns; [`Error::Interrupted`] when the watcher stops it.
pub fn decode(
    trained: &Trained,
    encoded: &Encoded,
    class: Option<&str>,
    watch: &mut dyn Watch,
    mut take: impl FnMut(usize, Tensor<3>) -> Result<()>,
) -> Result<()> {
    let ability = ability(trained)?;
    let count = encoded.count();
    let names = trained.model.classes();
    let classes = match class {
        Some(class) => vec![crate::model::find_class(class, names)?; count],
        None if names.is_empty() => Vec::new(),
        None if encoded.labels.len() == count => encoded.labels.clone(),
        None => {
            return Err(Error::config(
                "the file doesn't say of which classes the latents are, and the model has classes: say --class",
            ));
        }
    };
    for start in (0..count).step_by(CHUNK) {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let end = (start + CHUNK).min(count);
        let classes = classes.get(start..end).unwrap_or_default();
        let images = ability.decode(&encoded.rows(start..end), classes)?;
        for (offset, image) in images.iter_dim(0).enumerate() {
            take(start + offset, image.squeeze_dim(0))?;
        }
        watch.progress("decoding", end as u64, count as u64);
    }
    Ok(())
}

impl Encoded {
    /// Number of pictures.
    pub fn count(&self) -> usize {
        self.latents.shape.first().copied().unwrap_or(0)
    }

    /// Those of the first `count` pictures (all, if they are fewer).
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.count());
        Self { latents: self.rows(0..count), labels: self.labels.get(..count).unwrap_or_default().to_vec() }
    }

    /// Some of the latents.
    fn rows(&self, rows: Range<usize>) -> Array {
        let shape = self.latents.shape.get(1..).unwrap_or_default();
        let size: usize = shape.iter().product();
        let values = self.latents.values.get(rows.start * size..rows.end * size).unwrap_or_default();
        Array { shape: [vec![rows.len()], shape.to_vec()].concat(), values: values.to_vec() }
    }

    /// Writes the file at `path`, whole or not at all, in the format that its ending names.
    ///
    /// # Errors
    /// [`Error::Config`] for another ending, or if the file exists; [`Error::Io`] if the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        if path.exists() {
            return Err(Error::config(format!("{} exists and is not overwritten", path.display())));
        }
        match Format::of(path)? {
            Format::Npy => write_whole(path, |temporary| {
                fs::write(temporary, npy(&self.latents)).map_err(Error::io(path, "writing the latents"))
            }),
            Format::Safetensors => {
                let mut tensors = BTreeMap::from([("latents", &self.latents)]);
                let labels = Array {
                    shape: vec![self.labels.len()],
                    values: self.labels.iter().map(|&label| label as f32).collect(),
                };
                if !self.labels.is_empty() {
                    tensors.insert("labels", &labels);
                }
                write_whole(path, |temporary| {
                    serialize_to_file(tensors, None, temporary)
                        .map_err(|e| Error::config(format!("{}: {e}", path.display())))
                })
            }
        }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Config`] for another ending; [`Error::Data`] for a file that holds no such numbers.
    pub fn read(path: &Path) -> Result<Self> {
        let format = Format::of(path)?;
        let bytes = fs::read(path).map_err(Error::io(path, "reading the latents"))?;
        let read = match format {
            Format::Npy => from_npy(&bytes).map(|latents| Self { latents, labels: Vec::new() }),
            Format::Safetensors => from_safetensors(&bytes),
        };
        read.map_err(|reason| Error::data(path, reason))
    }
}

enum Format {
    Npy,
    Safetensors,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => Err(Error::config(format!(
                "{}: latents are kept in files that end in .npy or .safetensors",
                path.display()
            ))),
        }
    }
}

/// How a NumPy file begins; version 1.0 follows.
const NPY: &[u8] = b"\x93NUMPY\x01\x00";

/// The bytes of a NumPy file (NEP 1, "A simple file format for NumPy arrays", version 1.0).
fn npy(array: &Array) -> Vec<u8> {
    let shape: Vec<String> = array.shape.iter().map(|size| format!("{size},")).collect();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape.join(" ")).into_bytes();
    let full = (NPY.len() + 2 + header.len() + 1).next_multiple_of(64);
    header.resize(full - NPY.len() - 3, b' ');
    header.push(b'\n');
    let mut bytes = NPY.to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend(array.values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The array of a NumPy file of 32- or 64-bit floats in row-major order.
fn from_npy(bytes: &[u8]) -> Result<Array, String> {
    let no_file = || "no NumPy file of version 1.0 (written by numpy.save)".to_string();
    let rest = bytes.strip_prefix(NPY).ok_or_else(no_file)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(no_file)?;
    let (header, data) = rest.split_at_checked(u16::from_le_bytes(*length).into()).ok_or_else(no_file)?;
    let header = std::str::from_utf8(header).map_err(|_| no_file())?;
    if !header.contains("'fortran_order': False") {
        return Err("the array is in column-major order; save numpy.ascontiguousarray(it)".into());
    }
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
    let (shape, _) = shape.ok_or_else(no_file)?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse);
    let shape: Vec<usize> = sizes.collect::<Result<_, _>>().map_err(|_| no_file())?;
    let values: Vec<f32> = if header.contains("'<f4'") {
        data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
    } else if header.contains("'<f8'") {
        data.as_chunks::<8>().0.iter().map(|word| f64::from_le_bytes(*word) as f32).collect()
    } else {
        return Err("the numbers are not 32- or 64-bit floats; save it.astype('float32')".into());
    };
    whole(Array { shape, values })
}

fn from_safetensors(bytes: &[u8]) -> Result<Encoded, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("no safetensors file ({e})"))?;
    let array = |name: &str| -> Result<Array, String> {
        let view = file.tensor(name).map_err(|_| format!("there is no tensor \"{name}\" in it"))?;
        if view.dtype() != Dtype::F32 {
            return Err(format!("tensor {name} is {:?}, not F32", view.dtype()));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        whole(Array { shape: view.shape().to_vec(), values })
    };
    let labels = match file.names().contains(&"labels") {
        true => array("labels")?.values.into_iter().map(|label| label as u32).collect(),
        false => Vec::new(),
    };
    Ok(Encoded { latents: array("latents")?, labels })
}

/// Refuses an array that is cut off, or holds what is no number.
fn whole(array: Array) -> Result<Array, String> {
    let expected = array.shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    if expected != Some(array.values.len()) {
        return Err(format!("an array of {:?} with {} values", array.shape, array.values.len()));
    }
    match array.values.iter().all(|value| value.is_finite()) {
        true => Ok(array),
        false => Err("some of the values are not finite".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn encoded() -> Encoded {
        let values = (0..12).map(|i| i as f32 * 0.3 - 1.0).collect();
        Encoded { latents: Array { shape: vec![2, 3, 2], values }, labels: vec![4, 1] }
    }

    #[test]
    fn latents_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        for (name, labels) in [("a.npy", vec![]), ("a.safetensors", vec![4, 1])] {
            let path = folder.path().join(name);
            encoded().write(&path).unwrap();
            assert_eq!(Encoded::read(&path).unwrap(), Encoded { labels, ..encoded() });
            assert!(encoded().write(&path).unwrap_err().to_string().contains(name));
            let whole = fs::read(&path).unwrap();
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                assert!(Encoded::read(&path).unwrap_err().to_string().contains(name));
            }
        }
        assert!(encoded().write(&folder.path().join("a.csv")).unwrap_err().to_string().contains(".npy"));
    }

    /// Oracle: NumPy 2.4, `numpy.save` of `numpy.arange(3, dtype="float64")[None]`.
    #[test]
    fn a_file_of_numpy_is_read() {
        let mut bytes =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3), }".to_vec();
        bytes.resize(127, b' ');
        bytes.push(b'\n');
        bytes.extend([0.0f64, 1.0, 2.0].iter().flat_map(|value| value.to_le_bytes()));
        assert_eq!(from_npy(&bytes).unwrap(), Array { shape: vec![1, 3], values: vec![0.0, 1.0, 2.0] });
        let ours = npy(&Array { shape: vec![1, 3], values: vec![0.0; 3] });
        assert_eq!(
            ours[..60],
            bytes[..60].iter().map(|&b| if b == b'8' { b'4' } else { b }).collect::<Vec<_>>()
        );
        assert_eq!(ours.len(), 128 + 12);
    }
}
