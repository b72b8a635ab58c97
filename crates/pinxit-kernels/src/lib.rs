//! The only unsafe code of Pinxit.

mod map;

pub use map::MappedFile;
