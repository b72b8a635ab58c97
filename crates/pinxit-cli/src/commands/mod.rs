//! The commands, one file each. A command resolves its options, calls the library and shows what
//! came of it.

pub(crate) mod audit;
pub(crate) mod augment;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod families;
pub(crate) mod latents;
pub(crate) mod recipes;
pub(crate) mod runs;
pub(crate) mod sample;
pub(crate) mod score;
pub(crate) mod train;
