//! A sheet that shows what is in a data set.

use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::image_io::{Picture, grid};

/// Fewest pictures of a class that make a row of their own.
const SHORTEST_ROW: usize = 4;

/// The first pictures of each class, a row a class, at most `count` pictures in all. With too many
/// classes for that, one picture of each in class order, in a nearly square sheet; without labels,
/// pictures from all over the set.
///
/// # Errors
/// [`Error::Config`] if there is nothing to show.
pub fn contact_sheet(dataset: &dyn Dataset, count: usize) -> Result<Picture> {
    if dataset.is_empty() || count == 0 {
        return Err(Error::config("a contact sheet needs at least one picture"));
    }
    let rows = match dataset.classes().len() {
        0 => square(&spread(dataset.len(), count)),
        classes if count / classes < SHORTEST_ROW => square(&by_class(dataset, 1, count).concat()),
        classes => by_class(dataset, count / classes, count),
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
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

/// These indices in nearly as many rows as columns.
fn square(indices: &[usize]) -> Vec<Vec<usize>> {
    let columns = (indices.len() as f64).sqrt().ceil() as usize;
    indices.chunks(columns.max(1)).map(<[usize]>::to_vec).collect()
}

/// The first `each` pictures of the first `most` classes that have any.
fn by_class(dataset: &dyn Dataset, each: usize, most: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); dataset.classes().len()];
    for index in 0..dataset.len() {
        if let Some(row) = rows.get_mut(dataset.label(index) as usize)
            && row.len() < each
        {
            row.push(index);
        }
    }
    rows.retain(|row| !row.is_empty());
    rows.truncate(most);
    rows
}

fn picture(dataset: &dyn Dataset, index: usize) -> Picture {
    let shape: ImageShape = dataset.shape();
    let mut values = vec![0.0; shape.len()];
    dataset.read(index, &mut values);
    Picture::from_planar(&values, shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_a_nearly_square_sheet() {
        let rows = square(&(0..62).collect::<Vec<_>>());
        assert_eq!((rows.len(), rows[0].len(), rows[7].len()), (8, 8, 6));
        assert_eq!(rows[7][5], 61);
        assert!(square(&[]).is_empty());
    }
}
