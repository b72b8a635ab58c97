//! Files read through the page cache instead of the heap.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file mapped read-only into memory.
///
/// The file must not be changed while it is mapped: write a new one and rename it instead, as
/// the picture cache does.
#[derive(Debug)]
pub struct MappedFile(memmap2::Mmap);

impl MappedFile {
    /// Maps the whole file.
    ///
    /// # Errors
    /// If the file can't be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is read-only and lives in this value. What remains of the contract
        // of `map`, that nobody shortens the file meanwhile, is the documented duty of the caller.
        unsafe { memmap2::Mmap::map(&file) }.map(Self)
    }

    /// The content of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
