//! A file as a slice of bytes.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;

/// A file mapped into memory for reading.
///
/// Pages are read when they are first touched and dropped under memory pressure, so a data set larger than
/// the memory is one slice. It is meant for cache files that are written once under a temporary name, renamed
/// into place and never changed afterwards; a file that another program truncates while it is mapped ends the
/// process.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the whole file at `path`.
    ///
    /// # Errors
    /// What the system says when it cannot open or map the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: a map is sound as long as nobody changes the file. The files that Pinxit maps are its own
        // caches, complete before they appear under their name and replaced by renaming, which leaves the
        // mapped file as it was.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_bytes_of_the_file() {
        let path = std::env::temp_dir().join(format!("pinxit-map-{}", std::process::id()));
        std::fs::write(&path, b"pinxit").unwrap();
        let map = MappedFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(map.bytes(), b"pinxit");
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = MappedFile::open(Path::new("no such file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
