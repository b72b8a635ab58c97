//! From a source to a cache of pictures of one shape.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::cache::{self, CachedPictures, Index, VERSION};
use super::decode::{Decoded, Header};
use super::planes::{Planes, Sample};
use super::report::{ClassCount, Reject, ScanReport, SizeCount, kind};
use super::source::{Loaded, Source, in_order};
use super::survey::{self, Layout, bits_of, nothing_usable};
use super::{ImageShape, Opened, resize};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::watch::Watch;

/// Largest side of a picture that training can be asked for, in pixels.
const MAX_SIDE: usize = 4096;

/// Opens the cache of `source`, or makes it.
pub(super) fn prepare(
    source: &dyn Source,
    recipe: &DataRecipe,
    cache_dir: &Path,
    watch: &mut dyn Watch,
) -> Result<Opened> {
    let started = Instant::now();
    check(recipe)?;
    let path = cache_path(source, recipe, cache_dir);
    if path.exists() {
        match CachedPictures::open(&path, &recipe.source) {
            Ok(pictures) => return Ok(opened(pictures, source, recipe, started, true)),
            Err(reason) => watch.notice(&format!("{}: {reason}; making it again", path.display())),
        }
    }
    let layout = survey::layout(source, recipe, watch)?;
    decode_into(&path, source, recipe, layout, watch)?;
    let pictures = CachedPictures::open(&path, &recipe.source)
        .map_err(|reason| Error::data(&path, format!("the new picture cache can't be read: {reason}")))?;
    Ok(opened(pictures, source, recipe, started, false))
}

/// The pictures and their report, with what may differ from one opening to the next filled in.
fn opened(
    pictures: CachedPictures,
    source: &dyn Source,
    recipe: &DataRecipe,
    started: Instant,
    cached: bool,
) -> Opened {
    let report = ScanReport {
        source: recipe.source.clone(),
        other: source.other().clone(),
        seconds: started.elapsed().as_secs_f64(),
        cached,
        ..pictures.report().clone()
    };
    Opened { dataset: Box::new(pictures), report }
}

/// Refuses sizes and channels that can't be.
///
/// # Errors
/// [`Error::Config`] naming the knob.
pub(super) fn check(recipe: &DataRecipe) -> Result<()> {
    if let Some([height, width]) = recipe.size
        && !((1..=MAX_SIDE).contains(&height) && (1..=MAX_SIDE).contains(&width))
    {
        return Err(Error::config(format!(
            "data.size = [{height}, {width}]: both sides must be 1 to {MAX_SIDE} pixels"
        )));
    }
    match recipe.channels {
        Some(channels) if !(1..=4).contains(&channels) => Err(Error::config(format!(
            "data.channels = {channels}: must be 1 (grey), 2 (grey + alpha), 3 (RGB) or 4 (RGBA)"
        ))),
        _ => Ok(()),
    }
}

/// The name of the cache file says what is in it: the files as the system lists them, and every
/// setting that changes what is stored.
fn cache_path(source: &dyn Source, recipe: &DataRecipe, cache_dir: &Path) -> PathBuf {
    let mut hasher = Sha256::new();
    let settings = (VERSION, recipe.size, recipe.channels, recipe.fit, recipe.background, recipe.labels);
    hasher.update(format!("{settings:?} {:?}", source.classes()));
    source.identify(&mut hasher);
    let key: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    cache_dir.join(format!("{key}.pictures"))
}

/// A picture that is ready for the cache.
struct Ready {
    header: Header,
    hash: u64,
    label: Option<u32>,
    bytes: Vec<u8>,
}

fn ready(source: &dyn Source, index: usize, recipe: &DataRecipe, layout: Layout) -> Result<Ready, String> {
    let Loaded { decoded, hash, label } = source.load(index)?;
    let header = decoded.header;
    let bytes = match layout.bits {
        8 => render::<u8>(&decoded, recipe, layout.shape),
        _ => render::<u16>(&decoded, recipe, layout.shape),
    };
    let bytes = bytes.ok_or("floating-point pictures have no fixed range; save it with 8 or 16 bits")?;
    Ok(Ready { header, hash, label, bytes })
}

fn render<T: Sample>(decoded: &Decoded, recipe: &DataRecipe, shape: ImageShape) -> Option<Vec<u8>> {
    let planes = Planes::<T>::from_image(&decoded.image)?.into_channels(shape.channels, recipe.background);
    Some(resize::fit(planes, shape.height, shape.width, recipe.fit, recipe.background).to_bytes())
}

/// Decodes every picture into the cache file at `path`.
fn decode_into(
    path: &Path,
    source: &dyn Source,
    recipe: &DataRecipe,
    layout: Layout,
    watch: &mut dyn Watch,
) -> Result<()> {
    cache::write(path, |write| {
        let mut found = Found::default();
        let work = |index| ready(source, index, recipe, layout);
        in_order("reading pictures", source.len(), watch, work, |index, picture| match picture {
            Ok(picture) => {
                found.add(source, index, &picture);
                write(&picture.bytes)
            }
            Err(reason) => {
                found.rejects.push(Reject { path: source.name(index), reason });
                Ok(())
            }
        })?;
        if found.names.is_empty() {
            return Err(nothing_usable(source, recipe, found.rejects.into_iter().next()));
        }
        Ok(found.into_index(source, recipe, layout))
    })
}

/// What is gathered on the way through the pictures.
#[derive(Default)]
struct Found {
    names: Vec<String>,
    labels: Vec<Option<u32>>,
    hashes: Vec<u64>,
    sizes: BTreeMap<(u32, u32), usize>,
    kinds: BTreeMap<String, usize>,
    formats: BTreeMap<String, usize>,
    rejects: Vec<Reject>,
}

impl Found {
    fn add(&mut self, source: &dyn Source, index: usize, picture: &Ready) {
        let header = &picture.header;
        self.names.push(source.name(index));
        self.labels.push(picture.label);
        self.hashes.push(picture.hash);
        let kind = kind(usize::from(header.color.channel_count()), bits_of(header));
        *self.sizes.entry((header.width, header.height)).or_default() += 1;
        *self.kinds.entry(kind).or_default() += 1;
        *self.formats.entry(header.format.into()).or_default() += 1;
    }

    fn into_index(mut self, source: &dyn Source, recipe: &DataRecipe, layout: Layout) -> Index {
        let (classes, labels) = used_classes(source.classes(), &self.labels);
        self.rejects.extend_from_slice(source.rejects());
        self.rejects.sort_by(|a, b| a.path.cmp(&b.path));
        let mut sizes: Vec<SizeCount> = self
            .sizes
            .into_iter()
            .map(|((width, height), count)| SizeCount { width, height, count })
            .collect();
        sizes.sort_by_key(|size| std::cmp::Reverse(size.count));
        let report = ScanReport {
            source: recipe.source.clone(),
            found: self.names.len() + self.rejects.len(),
            usable: self.names.len(),
            shape: layout.shape,
            bits: layout.bits,
            classes: classes.clone(),
            sizes,
            kinds: self.kinds,
            formats: self.formats,
            rejects: self.rejects,
            other: source.other().clone(),
            seconds: 0.0,
            cached: false,
        };
        let classes = classes.into_iter().map(|class| class.name).collect();
        Index { classes, names: self.names, labels, hashes: self.hashes, report }
    }
}

/// The classes that have pictures, and the label of each picture among them. There are no labels
/// at all if a picture has none, or if there is only one class.
fn used_classes(names: &[String], labels: &[Option<u32>]) -> (Vec<ClassCount>, Vec<u32>) {
    let mut counts = vec![0; names.len()];
    for label in labels {
        match label.and_then(|label| counts.get_mut(label as usize)) {
            Some(count) => *count += 1,
            None => return (Vec::new(), vec![0; labels.len()]),
        }
    }
    let mut classes = Vec::new();
    let mut renumbered = vec![0; names.len()];
    for (old, (name, &count)) in names.iter().zip(&counts).enumerate() {
        if count > 0 {
            renumbered[old] = classes.len() as u32;
            classes.push(ClassCount { name: name.clone(), count });
        }
    }
    if classes.len() < 2 {
        return (Vec::new(), vec![0; labels.len()]);
    }
    (classes, labels.iter().flatten().map(|&label| renumbered[label as usize]).collect())
}
