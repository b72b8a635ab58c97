//! Pictures of which a part is seen.

use std::sync::Arc;

use super::{Dataset, ImageShape, Inputs};
use crate::error::{Error, Result};

/// The middle of each picture, or the part at an offset.
struct Cropped {
    dataset: Arc<dyn Dataset>,
    sides: [usize; 2],
}

/// The parts of `sides` rows and columns of the pictures, and of what goes in.
///
/// # Errors
/// [`Error::Config`] if the pictures are smaller.
pub(super) fn crop(dataset: Arc<dyn Dataset>, sides: [usize; 2]) -> Result<Box<dyn Dataset>> {
    let [rows, columns] = sides;
    let ImageShape { height, width, .. } = dataset.shape();
    if !(1..=height).contains(&rows) || !(1..=width).contains(&columns) {
        return Err(Error::config(format!(
            "data.crop = [{rows}, {columns}]: the pictures have {height}x{width} pixels, and a part of them must be \
             1x1 to that; set data.size, or leave data.crop away"
        )));
    }
    Ok(Box::new(Cropped { dataset, sides }))
}

impl Dataset for Cropped {
    fn shape(&self) -> ImageShape {
        let [height, width] = self.sides;
        ImageShape { channels: self.dataset.shape().channels, height, width }
    }

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.dataset.label(index)
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        self.read_at(index, self.room().map(|room| room / 2), out);
    }

    fn name(&self, index: usize) -> String {
        self.dataset.name(index)
    }

    fn content_hash(&self, index: usize) -> u64 {
        self.dataset.content_hash(index)
    }

    fn group(&self, index: usize) -> u64 {
        self.dataset.group(index)
    }

    fn inputs(&self) -> Option<Inputs> {
        let Inputs { dataset, paired } = self.dataset.inputs()?;
        Some(Inputs { dataset: Arc::new(Self { dataset, sides: self.sides }), paired })
    }

    fn room(&self) -> [usize; 2] {
        let ImageShape { height, width, .. } = self.dataset.shape();
        [height - self.sides[0], width - self.sides[1]]
    }

    fn read_at(&self, index: usize, offset: [usize; 2], out: &mut [f32]) {
        self.dataset.read_part(index, offset, self.sides, out);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::builtin;
    use crate::recipe::DataRecipe;

    /// Analytic case: the parts are cut out of the whole picture.
    #[test]
    fn a_part_is_what_lies_there() {
        let recipe = DataRecipe { count: 3, ..DataRecipe::default() };
        let whole: Arc<dyn Dataset> = builtin::open("sprites", &recipe).unwrap().into();
        let parts = crop(whole.clone(), [5, 7]).unwrap();
        assert_eq!((parts.room(), parts.shape().len()), ([27, 25], 3 * 5 * 7));
        let (mut all, mut part, mut middle) = (vec![0.0; 3 * 32 * 32], vec![0.0; 105], vec![0.0; 105]);
        whole.read(1, &mut all);
        parts.read_at(1, [13, 12], &mut part);
        parts.read(1, &mut middle);
        assert_eq!(part, middle);
        for (i, value) in part.into_iter().enumerate() {
            let (channel, y, x) = (i / 35, i / 7 % 5, i % 7);
            assert_eq!(value, all[(channel * 32 + 13 + y) * 32 + 12 + x]);
        }
        let message = crop(whole, [33, 5]).err().unwrap().to_string();
        assert!(message.contains("data.crop") && message.contains("32x32"), "{message}");
    }
}
