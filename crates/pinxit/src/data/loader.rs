//! The batch of any step, as a pure function of the step.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::augment::Augment;
use super::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::recipe::DataRecipe;
use crate::rng::{Purpose, Rng};

/// Makes batches of shuffled, augmented pictures.
///
/// The pictures of all steps form one endless row: a random order of the whole set, then another
/// one, and so on; step s takes places s B to s B + B - 1 of the row. Nothing has to be remembered between
/// steps, so that a resumed run sees the same pictures.
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    augment: Augment,
    batch: usize,
    seed: u64,
    device: Device,
    /// The orders of the last epochs that were asked for: a copy for speed, never a state.
    orders: Mutex<Vec<(u32, Arc<[u32]>)>>,
}

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
        let augment = Augment::new(recipe, dataset.shape())?;
        let device = device.clone();
        Ok(Self { dataset, augment, batch, seed, device, orders: Mutex::default() })
    }

    /// The pictures that the batches are made of.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.dataset
    }

    /// The batch of step `step`.
    pub fn batch(&self, step: u32) -> Batch {
        let shape = self.dataset.shape();
        let ids = self.ids(step);
        let mut values = vec![0.0f32; ids.len() * shape.len()];
        values.par_chunks_exact_mut(shape.len()).zip(&ids).enumerate().for_each(|(place, (pixels, &id))| {
            self.dataset.read(id as usize, pixels);
            let mut rng = Rng::new(self.seed, Purpose::Augment, step, place as u32);
            self.augment.apply(pixels, shape, &mut rng);
        });
        let data = TensorData::new(values, [ids.len(), shape.channels, shape.height, shape.width]);
        let labelled = !self.dataset.classes().is_empty();
        Batch {
            images: Tensor::from_data(data, &self.device),
            labels: if labelled {
                ids.iter().map(|&id| self.dataset.label(id as usize)).collect()
            } else {
                Vec::new()
            },
            ids,
            offset: 0,
        }
    }

    /// Which pictures step `step` sees.
    fn ids(&self, step: u32) -> Vec<u32> {
        let count = self.dataset.len() as u64;
        let first = u64::from(step) * self.batch as u64;
        let mut ids = Vec::with_capacity(self.batch);
        while ids.len() < self.batch {
            let place = first + ids.len() as u64;
            let order = self.order((place / count) as u32);
            let rest = &order[(place % count) as usize..];
            ids.extend_from_slice(&rest[..rest.len().min(self.batch - ids.len())]);
        }
        ids
    }

    /// The order of the pictures in an epoch.
    fn order(&self, epoch: u32) -> Arc<[u32]> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = orders.iter().find(|(known, _)| *known == epoch) {
            return Arc::clone(order);
        }
        let mut rng = Rng::new(self.seed, Purpose::Shuffle, epoch, 0);
        let order: Arc<[u32]> = rng.permutation(self.dataset.len() as u32).into();
        orders.truncate(1);
        orders.insert(0, (epoch, Arc::clone(&order)));
        order
    }
}
