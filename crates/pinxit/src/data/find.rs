//! Picture files as a user names them: one by one, by folder, by pattern.

use std::path::{Path, PathBuf};

use super::folder::Folder;
use crate::error::{Error, Result};

/// The pictures that `named` means: itself, those of a folder and the folders in it, or the files and folders that
/// a pattern with `*`, `?` or `[...]` matches. With each, its place below the folder that was named; of a file its
/// name.
///
/// # Errors
/// [`Error::Data`] if there is nothing of that name, or no picture.
pub fn find_pictures(named: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    if named.exists() {
        return pictures_at(named);
    }
    let text = named.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return Err(Error::data(named, "not found; name a picture, a folder of pictures or a pattern"));
    }
    let matches = glob::glob(&text).map_err(|e| Error::data(named, format!("no pattern of files: {e}")))?;
    let mut found = Vec::new();
    for path in matches {
        let path = path.map_err(|e| Error::data(e.path(), e.error().to_string()))?;
        found.extend(pictures_at(&path)?);
    }
    match found.is_empty() {
        true => Err(Error::data(named, "no file is called like this pattern")),
        false => Ok(found),
    }
}

fn pictures_at(path: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    if !path.is_dir() {
        let name = path.file_name().map_or_else(|| path.into(), PathBuf::from);
        return Ok(vec![(path.into(), name)]);
    }
    let found: Vec<_> = Folder::open(path, false)?.paths().collect();
    match found.is_empty() {
        true => Err(Error::data(path, "there is no picture in this folder")),
        false => Ok(found),
    }
}
