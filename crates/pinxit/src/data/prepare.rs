//! From a source to a cache of pictures of one shape: survey, decode, write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::cache::{self, CachedPictures, Index, VERSION};
use super::decode::{Decoded, Header};
use super::planes::{Planes, Sample};
use super::report::{ClassCount, Reject, ScanReport, SizeCount, kind};
use super::source::{Loaded, Source};
use super::{ImageShape, Opened, resize};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::watch::Watch;

/// Largest side of a picture that training can be asked for, in pixels.
const MAX_SIDE: usize = 4096;

/// Shape and depth to which every picture is brought.
#[derive(Debug, Clone, Copy)]
struct Layout {
    shape: ImageShape,
    bits: u32,
}

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
            Ok(pictures) => return Ok(opened(pictures, started, true)),
            Err(reason) => watch.notice(&format!("{}: {reason}; making it again", path.display())),
        }
    }
    let layout = survey(source, recipe, watch)?;
    decode_into(&path, source, recipe, layout, watch)?;
    let pictures = CachedPictures::open(&path, &recipe.source)
        .map_err(|reason| Error::data(&path, format!("the new picture cache can't be read: {reason}")))?;
    Ok(opened(pictures, started, false))
}

fn opened(pictures: CachedPictures, started: Instant, cached: bool) -> Opened {
    let mut report = pictures.report().clone();
    (report.seconds, report.cached) = (started.elapsed().as_secs_f64(), cached);
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
    hasher.update(format!("{settings:?}"));
    source.identify(&mut hasher);
    let key: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    cache_dir.join(format!("{key}.pictures"))
}

/// Calls `work` on `0..count` in parallel and `take` on the results in order, a handful at a time
/// so that memory stays bounded and a watcher can stop it.
fn in_order<T: Send>(
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

/// Chooses shape and depth from the heads of the pictures, as far as the recipe leaves them open.
///
/// Size: the median short side, rounded to a multiple of 8, 8 to 64, square. Channels: grey if all
/// are grey, alpha if a picture really has a pixel that is not opaque. Depth: 16 bits if any has them.
fn survey(source: &dyn Source, recipe: &DataRecipe, watch: &mut dyn Watch) -> Result<Layout> {
    let mut short_sides = Vec::new();
    let mut with_alpha = Vec::new();
    let (mut colour, mut bits, mut first_reason) = (false, 8, None);
    let look = |index| source.header(index);
    in_order("looking at pictures", source.len(), watch, look, |index, header| {
        match header {
            Ok(header) => {
                short_sides.push(header.width.min(header.height));
                colour |= header.color.has_color();
                bits = if bits_of(&header) == 16 { 16 } else { bits };
                if header.color.has_alpha() {
                    with_alpha.push(index);
                }
            }
            Err(reason) => _ = first_reason.get_or_insert_with(|| (index, reason)),
        }
        Ok(())
    })?;
    if short_sides.is_empty() {
        return Err(nothing_usable(source, recipe, first_reason));
    }
    let channels = match recipe.channels {
        Some(channels) => channels,
        None => 1 + 2 * usize::from(colour) + usize::from(some_use_alpha(source, &with_alpha, watch)?),
    };
    let [height, width] = recipe.size.unwrap_or_else(|| [default_side(&mut short_sides); 2]);
    Ok(Layout { shape: ImageShape { channels, height, width }, bits })
}

fn default_side(short_sides: &mut [u32]) -> usize {
    short_sides.sort_unstable();
    let median = short_sides[short_sides.len() / 2] as usize;
    ((median + 4) / 8 * 8).clamp(8, 64)
}

fn bits_of(header: &Header) -> u32 {
    u32::from(header.color.bits_per_pixel() / u16::from(header.color.channel_count()))
}

/// Decodes pictures with an alpha channel until one is found that is not opaque.
fn some_use_alpha(source: &dyn Source, with_alpha: &[usize], watch: &mut dyn Watch) -> Result<bool> {
    let handful = 8 * rayon::current_num_threads();
    let uses_alpha = |&index: &usize| {
        let loaded = source.load(index).ok();
        loaded.and_then(|l| Planes::<u8>::from_image(&l.decoded.image)).is_some_and(|p| p.uses_alpha())
    };
    for (chunk, indices) in with_alpha.chunks(handful).enumerate() {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        if indices.par_iter().any(uses_alpha) {
            return Ok(true);
        }
        watch.progress("looking for transparency", (chunk * handful) as u64, with_alpha.len() as u64);
    }
    Ok(false)
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
            let first = found.rejects.into_iter().next().map(|reject| (0, reject.reason));
            return Err(nothing_usable(source, recipe, first));
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
            other: source.other(),
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

fn nothing_usable(source: &dyn Source, recipe: &DataRecipe, first: Option<(usize, String)>) -> Error {
    let looked_for = "looked for PNG, JPEG, WebP, GIF, BMP and TIFF pictures in it and its subfolders";
    let message = match first {
        Some((index, reason)) => format!(
            "none of its {} pictures can be used; the first one, {}: {reason}",
            source.len(),
            source.name(index)
        ),
        None => format!("no picture found: {looked_for}{}", others(&source.other())),
    };
    Error::data(&recipe.source, message)
}

/// What is there instead of pictures, the most frequent first.
fn others(other: &BTreeMap<String, usize>) -> String {
    let mut counts: Vec<_> = other.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown: Vec<String> = counts
        .iter()
        .take(5)
        .map(|(extension, count)| match extension.as_str() {
            "" => format!("{count} without extension"),
            extension => format!("{count} .{extension}"),
        })
        .collect();
    if shown.is_empty() { String::new() } else { format!("; found only {}", shown.join(", ")) }
}
