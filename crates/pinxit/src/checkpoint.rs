//! Checkpoints: named tensors and a few strings in one safetensors file.
//!
//! A file is written beside its final name, synced and renamed, so that a reader sees all of it or
//! none. Notes (recipe, step, what the trainer remembers) are one JSON string in the header, and
//! equal snapshots make equal bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View, serialize_to_file};

use crate::error::{Error, Result};
use crate::files::write_whole;

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

/// The key of the file header under which the notes stand.
const NOTES: &str = "pinxit";

impl Snapshot {
    /// The tensors whose names begin with `prefix`, under the rest of their names.
    pub fn part(&self, prefix: &str) -> BTreeMap<String, Array> {
        let named = self.tensors.iter();
        named
            .filter_map(|(name, array)| Some((name.strip_prefix(prefix)?.to_string(), array.clone())))
            .collect()
    }

    /// Adds `tensors` under `prefix`.
    pub fn add_part(&mut self, prefix: &str, tensors: BTreeMap<String, Array>) {
        self.tensors.extend(tensors.into_iter().map(|(name, array)| (format!("{prefix}{name}"), array)));
    }

    /// Writes the file at `path`, whole or not at all.
    ///
    /// # Errors
    /// If the disk refuses (full, read-only); a file that stood at `path` is then untouched.
    pub fn write(&self, path: &Path) -> Result<()> {
        let notes = serde_json::to_string(&self.notes)
            .map_err(|e| Error::checkpoint(path, format!("the notes have no JSON form: {e}")))?;
        let header = HashMap::from([(NOTES.to_string(), notes)]);
        write_whole(path, |temporary| {
            serialize_to_file(&self.tensors, Some(header), temporary)
                .map_err(|e| Error::checkpoint(path, format!("writing the checkpoint failed: {e}")))
        })
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file that is cut off, is no safetensors file, wasn't written by
    /// Pinxit or holds anything but f32.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io(path, "reading the checkpoint"))?;
        let damaged = |e: &dyn std::fmt::Display| {
            Error::checkpoint(path, format!("the checkpoint is damaged or no safetensors file ({e})"))
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let notes = header
            .metadata()
            .as_ref()
            .and_then(|strings| strings.get(NOTES))
            .ok_or_else(|| Error::checkpoint(path, "a safetensors file, but no checkpoint of Pinxit"))?;
        let notes = serde_json::from_str(notes).map_err(|e| damaged(&e))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(Error::checkpoint(path, format!("tensor {name} is {:?}, not F32", view.dtype())));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            tensors.insert(name.to_string(), Array { shape: view.shape().to_vec(), values });
        }
        Ok(Self { tensors, notes })
    }

    /// The note called `name`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] at `path` if it is missing.
    pub fn note(&self, name: &str, path: &Path) -> Result<&str> {
        let note = self.notes.get(name).map(String::as_str);
        note.ok_or_else(|| Error::checkpoint(path, format!("the checkpoint lacks its note \"{name}\"")))
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, n) in [("model/b", 6), ("model/a", 2), ("adam/a", 0)] {
            let values = (0..n).map(|i| i as f32 * 0.1 - 0.3).collect();
            snapshot.tensors.insert(name.into(), Array { shape: vec![n / 2, 2], values });
        }
        for i in 0..20 {
            snapshot.notes.insert(format!("note {i}"), format!("line\n\"{i}\""));
        }
        snapshot
    }

    #[test]
    fn comes_back_as_it_was_and_equal_snapshots_are_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));
        snapshot().write(&one).unwrap();
        snapshot().write(&two).unwrap();
        assert_eq!(Snapshot::read(&one).unwrap(), snapshot());
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn every_truncation_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        snapshot().write(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let message = Snapshot::read(&path).unwrap_err().to_string();
            assert!(message.contains("half.safetensors"), "{message}");
        }
    }
}
