//! What opening a source found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Dataset, ImageShape};

/// What was found in a source of pictures, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanReport {
    /// As the recipe names it.
    pub source: String,
    /// Number of pictures found, usable or not.
    pub found: usize,
    /// Number of usable pictures.
    pub usable: usize,
    /// Shape to which every picture was brought.
    pub shape: ImageShape,
    /// Bits of a value in the cache: 8, or 16 if some picture has 16.
    pub bits: u32,
    /// Usable pictures of each class, in the order of the classes; empty without labels.
    pub classes: Vec<ClassCount>,
    /// Usable pictures by size before scaling, the most frequent first.
    pub sizes: Vec<SizeCount>,
    /// Usable pictures by channels and depth, such as `RGB 8-bit`.
    pub kinds: BTreeMap<String, usize>,
    /// Usable pictures by file format.
    pub formats: BTreeMap<String, usize>,
    /// Pictures that can't be used, with the reason.
    pub rejects: Vec<Reject>,
    /// Files that are no pictures, by extension.
    pub other: BTreeMap<String, usize>,
    /// Seconds that opening took.
    pub seconds: f64,
    /// Whether the pictures were already in the cache.
    pub cached: bool,
}

/// Number of pictures of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Name of the class.
    pub name: String,
    /// Number of its pictures.
    pub count: usize,
}

/// Number of pictures of one size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeCount {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Number of pictures.
    pub count: usize,
}

/// A picture that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Its path below the source.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl ScanReport {
    /// The report on a set that was not scanned, such as a built-in one.
    pub fn of(dataset: &dyn Dataset, source: &str) -> Self {
        let (shape, count) = (dataset.shape(), dataset.len());
        let size = SizeCount { width: shape.width as u32, height: shape.height as u32, count };
        Self {
            source: source.into(),
            found: count,
            usable: count,
            shape,
            bits: 8,
            classes: count_classes(dataset),
            sizes: vec![size],
            kinds: BTreeMap::from([(kind(shape.channels, 8), count)]),
            formats: BTreeMap::new(),
            rejects: Vec::new(),
            other: BTreeMap::new(),
            seconds: 0.0,
            cached: false,
        }
    }
}

/// Number of pictures of each class; empty without labels.
pub fn count_classes(dataset: &dyn Dataset) -> Vec<ClassCount> {
    let names = dataset.classes().iter();
    let mut counts: Vec<ClassCount> = names.map(|name| ClassCount { name: name.clone(), count: 0 }).collect();
    for index in 0..dataset.len() {
        if let Some(class) = counts.get_mut(dataset.label(index) as usize) {
            class.count += 1;
        }
    }
    counts
}

/// Channels and depth in words.
pub(super) fn kind(channels: usize, bits: u32) -> String {
    let channels = match channels {
        1 => "grey",
        2 => "grey + alpha",
        3 => "RGB",
        _ => "RGBA",
    };
    format!("{channels} {bits}-bit")
}
