//! The batch of any step, as a pure function of the step.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::augment::Augment;
use super::{Batch, Dataset, Inputs};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::rng::{Purpose, Rng};

/// Makes batches of shuffled, augmented pictures.
///
/// The pictures of all steps form one endless row: a random order of the whole set, then another
/// one, and so on; step s takes places s B to s B + B - 1 of the row. Nothing has to be remembered between
/// steps, so that a resumed run sees the same pictures.
///
/// What goes into a model of pictures to pictures comes with them: the partner of each picture, moved and mirrored
/// as it is, or the next ones of another such row.
pub struct Loader {
    pictures: Row,
    inputs: Option<Row>,
    /// Whether what goes in belongs to the pictures one by one.
    paired: bool,
    batch: usize,
    seed: u64,
    device: Device,
}

/// The endless row of a data set's pictures.
struct Row {
    dataset: Arc<dyn Dataset>,
    augment: Augment,
    /// Of the order, of the part that is seen, of the augmentation.
    purposes: [Purpose; 3],
    /// The orders of the last epochs that were asked for: a copy for speed, never a state.
    orders: Mutex<Vec<(u32, Arc<[u32]>)>>,
}

/// The random numbers of the pictures.
const OF_PICTURES: [Purpose; 3] = [Purpose::Shuffle, Purpose::Crop, Purpose::Augment];
/// The random numbers of pictures that go in and belong to none that come out.
const OF_INPUTS: [Purpose; 3] = [Purpose::ShuffleInputs, Purpose::CropInputs, Purpose::AugmentInputs];

impl Loader {
    /// Batches of `batch` pictures of `dataset` on `device`.
    ///
    /// # Errors
    /// [`Error::Config`] if `batch` is 0, if the set is empty or if an augmentation can't be.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        recipe: &DataRecipe,
        batch: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        if batch == 0 {
            return Err(Error::config("train.batch = 0: must be at least 1"));
        }
        if dataset.is_empty() {
            return Err(Error::config("there is no picture to make batches of"));
        }
        let row = |dataset: Arc<dyn Dataset>, purposes| -> Result<Row> {
            let augment = Augment::new(recipe, dataset.shape())?;
            Ok(Row { dataset, augment, purposes, orders: Mutex::default() })
        };
        let (inputs, paired) = match dataset.inputs() {
            Some(Inputs { dataset, paired: true }) => {
                let row = row(dataset, OF_PICTURES)?;
                (Some(Row { augment: row.augment.of_place(), ..row }), true)
            }
            Some(Inputs { dataset, paired: false }) if dataset.is_empty() => {
                return Err(Error::config("there is no picture that goes in to make batches of"));
            }
            Some(Inputs { dataset, paired: false }) => (Some(row(dataset, OF_INPUTS)?), false),
            None => (None, false),
        };
        let pictures = row(dataset, OF_PICTURES)?;
        Ok(Self { pictures, inputs, paired, batch, seed, device: device.clone() })
    }

    /// The pictures that the batches are made of.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.pictures.dataset
    }

    /// The batch of step `step`.
    pub fn batch(&self, step: u32) -> Batch {
        let ids = self.pictures.ids(self.seed, step, self.batch);
        let inputs = self.inputs.as_ref().map(|row| match self.paired {
            true => row.read(&ids, self.seed, step, &self.device),
            false => row.read(&row.ids(self.seed, step, self.batch), self.seed, step, &self.device),
        });
        let dataset = self.dataset();
        let labelled = !dataset.classes().is_empty();
        Batch {
            images: self.pictures.read(&ids, self.seed, step, &self.device),
            inputs,
            labels: if labelled {
                ids.iter().map(|&id| dataset.label(id as usize)).collect()
            } else {
                Vec::new()
            },
            ids,
            offset: 0,
        }
    }
}

impl Row {
    /// The pictures `ids` as step `step` sees them: `[B, C, H, W]`.
    fn read(&self, ids: &[u32], seed: u64, step: u32, device: &Device) -> Tensor<4> {
        let shape = self.dataset.shape();
        let room = self.dataset.room();
        let [_, of_part, of_change] = self.purposes;
        let mut values = vec![0.0f32; ids.len() * shape.len()];
        values.par_chunks_exact_mut(shape.len()).zip(ids).enumerate().for_each(|(place, (pixels, &id))| {
            if room == [0, 0] {
                self.dataset.read(id as usize, pixels);
            } else {
                let mut rng = Rng::new(seed, of_part, step, place as u32);
                let offset = room.map(|room| rng.below(room as u32 + 1) as usize);
                self.dataset.read_at(id as usize, offset, pixels);
            }
            let mut rng = Rng::new(seed, of_change, step, place as u32);
            self.augment.apply(pixels, shape, &mut rng);
        });
        let data = TensorData::new(values, [ids.len(), shape.channels, shape.height, shape.width]);
        Tensor::from_data(data, device)
    }

    /// Which pictures step `step` sees.
    fn ids(&self, seed: u64, step: u32, batch: usize) -> Vec<u32> {
        let count = self.dataset.len() as u64;
        let first = u64::from(step) * batch as u64;
        let mut ids = Vec::with_capacity(batch);
        while ids.len() < batch {
            let place = first + ids.len() as u64;
            let order = self.order(seed, (place / count) as u32);
            let rest = &order[(place % count) as usize..];
            ids.extend_from_slice(&rest[..rest.len().min(batch - ids.len())]);
        }
        ids
    }

    /// The order of the pictures in an epoch.
    fn order(&self, seed: u64, epoch: u32) -> Arc<[u32]> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = orders.iter().find(|(known, _)| *known == epoch) {
            return Arc::clone(order);
        }
        let mut rng = Rng::new(seed, self.purposes[0], epoch, 0);
        let order: Arc<[u32]> = rng.permutation(self.dataset.len() as u32).into();
        orders.truncate(1);
        orders.insert(0, (epoch, Arc::clone(&order)));
        order
    }
}
