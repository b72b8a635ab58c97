//! Where pictures come from before they are brought to one shape.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::decode::{Decoded, Header};
use super::report::Reject;
use crate::error::{Error, Result};
use crate::watch::Watch;

/// A numbered list of pictures that can be decoded in any order, from any thread.
pub(super) trait Source: Send + Sync {
    /// Number of pictures, usable or not.
    fn len(&self) -> usize;

    /// Name of picture `index` below the source.
    fn name(&self, index: usize) -> String;

    /// Names of the classes; empty if there are no labels at all.
    fn classes(&self) -> &[String];

    /// What the head of picture `index` says; the error is the reason why it can't be used.
    fn header(&self, index: usize) -> Result<Header, String>;

    /// Picture `index`; the error is the reason why it can't be used.
    fn load(&self, index: usize) -> Result<Loaded, String>;

    /// Feeds `hasher` everything that changes when the source does, without reading pixels.
    fn identify(&self, hasher: &mut Sha256);

    /// What the search had to leave out: unreadable folders, links to nowhere.
    fn rejects(&self) -> &[Reject] {
        &[]
    }

    /// Files that are no pictures, by extension.
    fn other(&self) -> &BTreeMap<String, usize> {
        static NONE: BTreeMap<String, usize> = BTreeMap::new();
        &NONE
    }
}

/// One picture of a source.
pub(super) struct Loaded {
    pub(super) decoded: Decoded,
    /// [`content_hash`] of its bytes before decoding.
    pub(super) hash: u64,
    /// Its class, an index into [`Source::classes`], if it has one.
    pub(super) label: Option<u32>,
}

/// Calls `work` on `0..count` in parallel and `take` on the results in order, a handful at a time
/// so that memory stays bounded and a watcher can stop it.
pub(super) fn in_order<T: Send>(
    task: &str,
    count: usize,
    watch: &mut dyn Watch,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let handful = 8 * rayon::current_num_threads();
    for start in (0..count).step_by(handful) {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let end = (start + handful).min(count);
        let results: Vec<T> = (start..end).into_par_iter().map(&work).collect();
        for (index, result) in (start..end).zip(results) {
            take(index, result)?;
        }
        watch.progress(task, end as u64, count as u64);
    }
    Ok(())
}

/// Part of a file of fixed-size records; the error is the reason why it can't be had.
pub(super) fn read_record(path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, String> {
    let mut record = vec![0; length];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(&mut record)
    });
    read.map(|()| record).map_err(|error| format!("it can't be read: {error}"))
}

/// The first eight bytes of the SHA-256 of `bytes`.
pub(super) fn content_hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// Feeds `hasher` what the system says of a file: path, length and time of the last change.
pub(super) fn identify_file(hasher: &mut Sha256, path: &Path, metadata: &Metadata) {
    let modified = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let path = path.as_os_str().as_encoded_bytes();
    hasher.update((path.len() as u64).to_le_bytes());
    hasher.update(path);
    hasher.update(metadata.len().to_le_bytes());
    hasher.update(modified.map_or(0, |t| t.as_nanos()).to_le_bytes());
}
