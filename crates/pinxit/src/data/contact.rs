//! A sheet that shows what is in a data set.

use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::image_io::{Picture, grid};

/// The first pictures of each class, a row a class, at most `count` pictures in all; without
/// labels, pictures from all over the set in a nearly square sheet.
///
/// # Errors
/// [`Error::Config`] if there is nothing to show.
pub fn contact_sheet(dataset: &dyn Dataset, count: usize) -> Result<Picture> {
    if dataset.is_empty() || count == 0 {
        return Err(Error::config("a contact sheet needs at least one picture"));
    }
    let classes = dataset.classes().len();
    let rows = if classes == 0 { vec![spread(dataset.len(), count)] } else { by_class(dataset, count) };
    let columns = match classes {
        0 => (rows[0].len() as f64).sqrt().ceil() as usize,
        _ => rows.iter().map(Vec::len).max().unwrap_or(1),
    };
    let blank = Picture::blank(dataset.shape());
    let mut pictures = Vec::new();
    for row in rows {
        let places = row.len().next_multiple_of(columns);
        pictures.extend(row.iter().map(|&index| picture(dataset, index)));
        pictures.resize(pictures.len() + places - row.len(), blank.clone());
    }
    Ok(grid(&pictures, columns, 1))
}

/// `count` indices, evenly spread over `0..len`.
fn spread(len: usize, count: usize) -> Vec<usize> {
    let count = count.min(len);
    (0..count).map(|i| i * len / count).collect()
}

/// As many pictures of each class as fit into `count`, at least one.
fn by_class(dataset: &dyn Dataset, count: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); dataset.classes().len()];
    let each = (count / rows.len()).max(1);
    for index in 0..dataset.len() {
        if let Some(row) = rows.get_mut(dataset.label(index) as usize)
            && row.len() < each
        {
            row.push(index);
        }
    }
    rows.retain(|row| !row.is_empty());
    rows.truncate(count);
    rows
}

fn picture(dataset: &dyn Dataset, index: usize) -> Picture {
    let shape: ImageShape = dataset.shape();
    let mut values = vec![0.0; shape.len()];
    dataset.read(index, &mut values);
    Picture::from_planar(&values, shape)
}
