//! A first look at all pictures: to which shape and depth they are brought.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ImageShape;
use super::decode::Header;
use super::planes::Planes;
use super::report::Reject;
use super::source::{Source, in_order};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::watch::Watch;

/// Shape and depth to which every picture is brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) shape: ImageShape,
    pub(super) bits: u32,
}

/// Chooses shape and depth from the heads of the pictures, as far as the recipe leaves them open.
///
/// Size: the median short side, rounded to a multiple of 8, 8 to 64, square. Channels: grey if all
/// are grey, alpha if a picture really has a pixel that is not opaque. Depth: 16 bits if any has them.
pub(super) fn layout(source: &dyn Source, recipe: &DataRecipe, watch: &mut dyn Watch) -> Result<Layout> {
    let mut short_sides = Vec::new();
    let mut with_alpha = Vec::new();
    let (mut colour, mut bits, mut first_reject) = (false, 8, None);
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
            Err(reason) => _ = first_reject.get_or_insert(Reject { path: source.name(index), reason }),
        }
        Ok(())
    })?;
    if short_sides.is_empty() {
        return Err(nothing_usable(source, recipe, first_reject));
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

/// Bits of one value as decoded: 8, 16, or 32 of a floating-point picture.
pub(super) fn bits_of(header: &Header) -> u32 {
    u32::from(header.color.bits_per_pixel() / u16::from(header.color.channel_count()))
}

/// Decodes pictures with an alpha channel until one is found that is not opaque.
fn some_use_alpha(source: &dyn Source, with_alpha: &[usize], watch: &mut dyn Watch) -> Result<bool> {
    let found = AtomicBool::new(false);
    let look = |place: usize| {
        if !found.load(Ordering::Relaxed) && uses_alpha(source, with_alpha[place]) {
            found.store(true, Ordering::Relaxed);
        }
    };
    in_order("looking for transparency", with_alpha.len(), watch, look, |_, ()| Ok(()))?;
    Ok(found.into_inner())
}

fn uses_alpha(source: &dyn Source, index: usize) -> bool {
    let loaded = source.load(index).ok();
    loaded.and_then(|loaded| Planes::<u8>::from_image(&loaded.decoded.image)).is_some_and(|p| p.uses_alpha())
}

/// Why there is nothing to open; `first` is the first picture that can't be used.
pub(super) fn nothing_usable(source: &dyn Source, recipe: &DataRecipe, first: Option<Reject>) -> Error {
    let looked_for = "looked for PNG, JPEG, WebP, GIF, BMP and TIFF pictures in it and its subfolders";
    let message = match first {
        Some(Reject { path, reason }) => {
            format!("none of its {} pictures can be used; the first one, {path}: {reason}", source.len())
        }
        None => format!("no picture found: {looked_for}{}", others(source.other())),
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
