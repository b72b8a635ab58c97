//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};

/// Makes the file at `path` appear whole or not at all: `write` fills a temporary file beside it,
/// which is synced and renamed, and then the folder is synced, so that even a power cut leaves the
/// old file or the new one.
///
/// # Errors
/// What `write` returns, or the system's refusal; the temporary file is removed.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Two threads may write the same file at once: the later rename wins.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}-{number}.tmp", std::process::id()));
    let finish = || {
        write(&temporary)?;
        let file = File::options().write(true).open(&temporary).map_err(Error::io(path, "writing"))?;
        file.sync_all().map_err(Error::io(path, "writing to the disk"))?;
        fs::rename(&temporary, path).map_err(Error::io(path, "putting the file in its place"))?;
        sync_folder(folder)
    };
    finish().inspect_err(|_| {
        let _ = fs::remove_file(&temporary); // the first error is the one to tell
    })
}

/// Removes temporary files in `folder` that are older than `age`: what a killed process left half
/// written. One that can't be removed is left: it does no harm.
pub fn remove_leftovers(folder: &Path, age: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let is_old = modified.and_then(|time| time.elapsed().ok()).is_some_and(|since| since >= age);
        if is_old && entry.path().extension().is_some_and(|extension| extension == "tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes renames and new names in `folder` last through a power cut.
///
/// # Errors
/// The system's refusal.
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let handle = File::open(folder).map_err(Error::io(folder, "opening the folder"))?;
        handle.sync_all().map_err(Error::io(folder, "writing the folder to the disk"))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        fs::write(&path, "old").unwrap();
        let failed = write_whole(&path, |temporary| {
            fs::write(temporary, "ne").unwrap();
            Err(Error::config("disk full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
