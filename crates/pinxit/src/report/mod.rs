//! A run as one page: what it learned, how it looks, what it is worth, how to go on.
//!
//! The page holds everything in itself, pictures included: it can be sent, printed and archived.

mod gallery;

use crate::error::Result;
use crate::run::Run;
pub use gallery::{Gallery, RealPicture, Sample};
use std::path::PathBuf;
/// Tmp
pub fn write(run: &Run, gallery: Option<&Gallery>) -> Result<PathBuf> {
    let _ = gallery;
    Ok(run.folder().join("report.html"))
}
