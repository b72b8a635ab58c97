//! Decoded pictures in one file that is mapped into memory.
//!
//! Layout: a prologue of 64 bytes (magic, version, place, length and SHA-256 of the index), the
//! pictures one after the other as planar `[C, H, W]` values of 8 or 16 bits (little-endian), and
//! the index as JSON. The prologue is written last, so that a file that was cut short never opens.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pinxit_kernels::MappedFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::report::ScanReport;
use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::files;

/// Longer than any writing takes: what is older was left by a killed process.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MAGIC: &[u8] = b"PINXITpx";
/// Raised whenever the layout, or what decoding does to a picture, changes.
pub(super) const VERSION: u32 = 2;
const PROLOGUE: usize = 64;
const WRITING: &str = "writing the picture cache (set PINXIT_CACHE to a folder with room)";

/// Everything about the pictures but their pixels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) classes: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) labels: Vec<u32>,
    pub(super) hashes: Vec<u64>,
    pub(super) report: ScanReport,
}

/// The pictures of a cache file.
pub(super) struct CachedPictures {
    file: MappedFile,
    index: Index,
    /// As the user named the source; begins the names of the pictures.
    source: String,
}

impl CachedPictures {
    /// Opens a finished cache file; `Err` is the reason why it must be made again.
    pub(super) fn open(path: &Path, source: &str) -> Result<Self, String> {
        let file = MappedFile::open(path).map_err(|error| error.to_string())?;
        let index = read_index(file.bytes())?;
        Ok(Self { file, index, source: source.into() })
    }

    pub(super) fn report(&self) -> &ScanReport {
        &self.index.report
    }
}

/// Checks prologue, lengths and checksum, and reads the index.
fn read_index(bytes: &[u8]) -> Result<Index, String> {
    let prologue = bytes.get(..PROLOGUE).ok_or("it is too short")?;
    let word =
        |at: usize| prologue[at..at + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    if !prologue.starts_with(MAGIC) {
        return Err("it is no picture cache".into());
    }
    if word(8) != u64::from(VERSION) {
        return Err(format!("it has version {}, this is version {VERSION}", word(8)));
    }
    let (start, length) = (word(16), word(24));
    if start.checked_add(length) != Some(bytes.len() as u64) || start < PROLOGUE as u64 {
        return Err("it is cut off".into());
    }
    let json = &bytes[start as usize..];
    if Sha256::digest(json)[..] != prologue[32..] {
        return Err("its checksum does not match".into());
    }
    let index: Index = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let report = &index.report;
    let values = index.names.len() * report.shape.len() * (report.bits / 8) as usize;
    let counts = [index.names.len(), index.labels.len(), index.hashes.len()];
    if counts != [report.usable; 3] || values as u64 != start - PROLOGUE as u64 {
        return Err("its parts do not fit together".into());
    }
    Ok(index)
}

impl CachedPictures {
    /// Value number `start` of all pictures and those that follow.
    fn read_from(&self, start: usize, out: &mut [f32]) {
        let pixels = &self.file.bytes()[PROLOGUE..];
        if self.index.report.bits == 16 {
            let pairs = pixels[start * 2..].chunks_exact(2);
            let level = |pair: &[u8]| f32::from(u16::from_le_bytes([pair[0], pair[1]]));
            out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = level(pair) / 32_767.5 - 1.0);
        } else {
            let bytes = &pixels[start..];
            out.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = f32::from(byte) / 127.5 - 1.0);
        }
    }
}

impl Dataset for CachedPictures {
    fn shape(&self) -> ImageShape {
        self.index.report.shape
    }

    fn len(&self) -> usize {
        self.index.names.len()
    }

    fn classes(&self) -> &[String] {
        &self.index.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.index.labels[index]
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        self.read_from(index * self.shape().len(), out);
    }

    fn read_part(&self, index: usize, [top, left]: [usize; 2], [height, width]: [usize; 2], out: &mut [f32]) {
        let whole = self.shape();
        let rows = (0..whole.channels * height).map(|row| (row / height, row % height));
        for ((channel, y), out) in rows.zip(out.chunks_exact_mut(width)) {
            let row = (index * whole.channels + channel) * whole.height + top + y;
            self.read_from(row * whole.width + left, out);
        }
    }

    fn name(&self, index: usize) -> String {
        Path::new(&self.source).join(&self.index.names[index]).display().to_string()
    }

    fn content_hash(&self, index: usize) -> u64 {
        self.index.hashes[index]
    }
}

/// Makes the cache file at `target`: `fill` appends the values of the pictures with the function
/// that it is given, and returns the index. The file appears whole or not at all.
///
/// # Errors
/// What `fill` returns, or [`Error::Io`] if the file can't be written.
pub(super) fn write(
    target: &Path,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Index>,
) -> Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder, WRITING))?;
    files::remove_leftovers(folder, DAY);
    let failed = || Error::io(target, WRITING);
    files::write_whole(target, |temporary| {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(temporary).map_err(failed())?);
        file.write_all(&[0; PROLOGUE]).map_err(failed())?;
        let index = fill(&mut |bytes| file.write_all(bytes).map_err(failed()))?;
        let json = serde_json::to_vec(&index)
            .map_err(|error| Error::data(target, format!("the index can't be written: {error}")))?;
        let start = file.stream_position().map_err(failed())?;
        file.write_all(&json).map_err(failed())?;
        file.seek(SeekFrom::Start(0)).map_err(failed())?;
        file.write_all(&prologue(start, &json)).map_err(failed())?;
        file.flush().map_err(failed())
    })
}

fn prologue(start: u64, json: &[u8]) -> Vec<u8> {
    let words = [u64::from(VERSION), start, json.len() as u64];
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    [MAGIC, &words[..], &Sha256::digest(json)[..]].concat()
}

/// Where decoded pictures are kept when nothing else is said: `PINXIT_CACHE`, or `pinxit` in the
/// platform's folder for caches. Its files can be deleted at any time.
pub fn default_cache_dir() -> PathBuf {
    cache_dir(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn cache_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let platform = || {
        if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Caches"))
        } else {
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
        }
    };
    variable("PINXIT_CACHE").unwrap_or_else(|| platform().unwrap_or_else(std::env::temp_dir).join("pinxit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_cache_lies_where_the_environment_says() {
        let with = |set: &[(&str, &str)]| {
            cache_dir(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let (home, xdg, own) = (("HOME", "/home/a"), ("XDG_CACHE_HOME", "/x"), ("PINXIT_CACHE", "/p"));
        assert_eq!(with(&[home]), Path::new("/home/a/.cache/pinxit"));
        assert_eq!(with(&[home, xdg]), Path::new("/x/pinxit"));
        assert_eq!(with(&[home, xdg, own]), Path::new("/p"));
        assert_eq!(with(&[]), std::env::temp_dir().join("pinxit"));
    }
}
