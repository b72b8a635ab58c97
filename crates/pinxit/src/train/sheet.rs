//! Sheets of pictures of fixed seeds, or of what a model makes of fixed pictures.

use burn::tensor::{Device, Tensor};

use crate::data::{Batch, Dataset};
use crate::error::Result;
use crate::image_io::{self, Picture};
use crate::model::{Example, Generate, Model, Request, Translate};
use crate::watch::Unwatched;

/// Rows of a sample sheet.
pub const SHEET_ROWS: usize = 4;
/// Columns of one without classes.
const COLUMNS: usize = 8;
/// Most columns of one with classes.
const MOST_CLASSES: usize = 10;

/// The sheet of a model; `None` if it makes no pictures. The pictures that go in are the first ones of the first of
/// `sets` that has any.
///
/// A stop request is served by the loop, after the sheet: a sheet is short.
///
/// # Errors
/// Those of the model.
pub(super) fn paint(
    model: &dyn Model,
    options: &toml::Table,
    sets: [&dyn Dataset; 2],
) -> Result<Option<Picture>> {
    if let Some(generator) = model.generate() {
        return of_seeds(model, generator, options).map(Some);
    }
    let (Some(translator), Some(set)) = (model.translate(), sets.into_iter().find(|set| !set.is_empty()))
    else {
        return Ok(None);
    };
    of_pictures(translator, options, set).map(Some)
}

/// One column a class.
fn of_seeds(model: &dyn Model, generator: &dyn Generate, options: &toml::Table) -> Result<Picture> {
    let columns = match model.classes().len() {
        0 => COLUMNS,
        classes => classes.min(MOST_CLASSES),
    };
    let count = SHEET_ROWS * columns;
    let classes =
        if model.classes().is_empty() { vec![] } else { (0..count).map(|i| (i % columns) as u32).collect() };
    let request = Request { seeds: (0..count as u64).collect(), classes, options: options.clone() };
    let images = generator.generate(&request, &mut Unwatched)?;
    Ok(image_io::grid(&image_io::pictures(images)?, columns, 1))
}

/// One column a picture: what goes in, what comes out, and below it the truth where that is known; then the same of
/// the other direction, if there is one.
fn of_pictures(translator: &dyn Translate, options: &toml::Table, set: &dyn Dataset) -> Result<Picture> {
    let count = set.len().min(COLUMNS);
    let batch = Batch::read(set, 0..count, &Device::flex());
    let mut rows: Vec<Tensor<4>> = Vec::new();
    for options in translator.directions(options) {
        let scale = translator.canvas(&options)?.scale;
        let Example { inputs, truth } = translator.example(&batch, &options)?;
        let request = Request { seeds: (0..count as u64).collect(), classes: vec![], options };
        let made = translator.translate(inputs.clone(), &request, &mut Unwatched)?;
        rows.extend([image_io::magnified(inputs, scale)?, made]);
        rows.extend(truth);
    }
    let channels = rows.iter().map(|row| row.dims()[1]).max().unwrap_or(1);
    let rows = rows.into_iter().map(|row| image_io::in_channels(row, channels)).collect();
    Ok(image_io::grid(&image_io::pictures(Tensor::cat(rows, 0))?, count, 1))
}
