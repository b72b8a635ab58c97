//! One error type, grouped by who must act.

use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do about it.
///
/// The variants say who must act: the one who wrote the recipe or the flags (`Config`,
/// `Unsupported`), the one who owns the pictures (`Data`), the one who owns the run
/// (`Checkpoint`, `Diverged`, `Interrupted`) or the machine (`Io`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe, flag or option that can't be used as written.
    #[error("{0}")]
    Config(String),
    /// A picture, label file or folder that can't be used.
    #[error("{}: {message}", path.display())]
    Data {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A checkpoint or run folder that can't be used.
    #[error("{}: {message}", path.display())]
    Checkpoint {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// Something that this family or build can't do.
    #[error("{0}")]
    Unsupported(String),
    /// Training broke down and could not be rescued.
    #[error("training diverged at step {step}: {message}")]
    Diverged {
        /// The step at which the loss or the gradient stopped being finite.
        step: u32,
        /// What was tried and what to do.
        message: String,
    },
    /// The watcher asked to stop.
    #[error("stopped")]
    Interrupted,
    /// The machine refused a file operation.
    #[error("{}: {message}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        message: &'static str,
        /// The system's own word.
        source: std::io::Error,
    },
}

impl Error {
    /// A [`Error::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// A [`Error::Data`] about `path`.
    pub fn data(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Data { path: path.as_ref().into(), message: message.into() }
    }

    /// A [`Error::Checkpoint`] about `path`.
    pub fn checkpoint(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.as_ref().into(), message: message.into() }
    }

    /// For `map_err` on file operations: `fs::read(p).map_err(Error::io(p, "reading"))`.
    pub fn io(path: impl AsRef<Path>, message: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, message, source }
    }
}
