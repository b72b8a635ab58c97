//! A folder of pictures; one folder per class gives labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::decode::{self, Header, MAX_FILE};
use super::report::Reject;
use super::source::{Loaded, Source, content_hash, identify_file};
use crate::error::{Error, Result};

/// The picture files below a folder, in the order of their paths.
pub(super) struct Folder {
    root: PathBuf,
    files: Vec<PictureFile>,
    classes: Vec<String>,
    rejects: Vec<Reject>,
    other: BTreeMap<String, usize>,
}

struct PictureFile {
    path: PathBuf,
    /// Path below the root, with `/` on every system.
    name: String,
    metadata: Metadata,
}

impl Folder {
    /// Finds the pictures below `root`: every file that has the extension of a picture or begins
    /// like one. Hidden files and folders are left out; links are followed, but no folder is read twice.
    ///
    /// # Errors
    /// If `root` can't be read.
    pub(super) fn open(root: &Path, labels: bool) -> Result<Self> {
        let root = fs::canonicalize(root).map_err(Error::io(root, "opening the folder"))?;
        let mut folder = Self {
            root,
            files: Vec::new(),
            classes: Vec::new(),
            rejects: Vec::new(),
            other: BTreeMap::new(),
        };
        folder.walk()?;
        folder.files.sort_unstable_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        folder.rejects.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        if labels {
            let classes: BTreeSet<&str> = folder.files.iter().filter_map(|file| file.class()).collect();
            folder.classes = classes.into_iter().map(str::to_owned).collect();
        }
        Ok(folder)
    }

    /// Every picture, with its place below the folder.
    pub(super) fn paths(self) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        self.files.into_iter().map(|file| (file.path, PathBuf::from(file.name)))
    }

    /// Real folders first and links to folders afterwards, so that a folder which is found both
    /// ways has its own path. A folder that was read under any path is not read again, which also
    /// ends loops.
    fn walk(&mut self) -> Result<()> {
        let root = self.root.clone();
        let mut seen = BTreeSet::new();
        let mut folders = vec![root.clone()];
        let mut links = BTreeSet::new();
        while let Some(path) = folders.pop().or_else(|| links.pop_first()) {
            if let Err(source) = self.read_folder(&path, &mut seen, &mut folders, &mut links) {
                if path == root {
                    return Err(Error::Io { path, message: "reading the folder", source });
                }
                self.reject(&path, format!("the folder can't be read: {source}"));
            }
        }
        Ok(())
    }

    fn read_folder(
        &mut self,
        folder: &Path,
        seen: &mut BTreeSet<PathBuf>,
        folders: &mut Vec<PathBuf>,
        links: &mut BTreeSet<PathBuf>,
    ) -> std::io::Result<()> {
        if !seen.insert(fs::canonicalize(folder)?) {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(metadata) if !metadata.is_dir() => self.add_file(path, metadata),
                Ok(_) if entry.file_type()?.is_symlink() => _ = links.insert(path),
                Ok(_) => folders.push(path),
                Err(error) if has_picture_extension(&path) => {
                    self.reject(&path, format!("it can't be opened: {error}"));
                }
                Err(_) => self.count_other(&path),
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: PathBuf, metadata: Metadata) {
        if metadata.is_file() && (has_picture_extension(&path) || begins_like_a_picture(&path)) {
            let name = self.name_of(&path);
            self.files.push(PictureFile { path, name, metadata });
        } else {
            self.count_other(&path);
        }
    }

    fn count_other(&mut self, path: &Path) {
        let extension =
            path.extension().map_or_else(String::new, |e| e.to_string_lossy().to_ascii_lowercase());
        *self.other.entry(extension).or_default() += 1;
    }

    fn reject(&mut self, path: &Path, reason: String) {
        let path = self.name_of(path);
        self.rejects.push(Reject { path, reason });
    }

    fn name_of(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }
}

impl PictureFile {
    /// The first folder below the root.
    fn class(&self) -> Option<&str> {
        self.name.split_once('/').map(|(class, _)| class)
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        if self.metadata.len() > MAX_FILE {
            return Err(format!("the file is too large: more than {MAX_FILE} bytes"));
        }
        fs::read(&self.path).map_err(|error| format!("it can't be read: {error}"))
    }
}

impl Source for Folder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> String {
        self.files[index].name.clone()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn header(&self, index: usize) -> Result<Header, String> {
        decode::header(&self.files[index].read()?)
    }

    fn load(&self, index: usize) -> Result<Loaded, String> {
        let file = &self.files[index];
        let bytes = file.read()?;
        let label = file.class().and_then(|class| self.classes.iter().position(|name| name == class));
        Ok(Loaded {
            decoded: decode::decode(&bytes)?,
            hash: content_hash(&bytes),
            label: label.map(|label| label as u32),
        })
    }

    fn identify(&self, hasher: &mut Sha256) {
        for file in &self.files {
            identify_file(hasher, &file.path, &file.metadata);
        }
        for reject in &self.rejects {
            hasher.update(format!("{reject:?}"));
        }
    }

    fn rejects(&self) -> &[Reject] {
        &self.rejects
    }

    fn other(&self) -> &BTreeMap<String, usize> {
        &self.other
    }
}

fn has_picture_extension(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(decode::is_picture_extension)
}

fn begins_like_a_picture(path: &Path) -> bool {
    let mut head = Vec::with_capacity(16);
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
    read.is_ok() && decode::sniff(&head).is_some()
}
