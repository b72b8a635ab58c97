//! From a stream of pictures to what scores are made of, in bounded memory.

use rayon::prelude::*;

use super::extract::{Extractor, Features, Identity};
use super::frechet::{Gaussian, Moments};
use super::knn::Rows;
use super::manifold;
use super::pictures::{Fingerprint, Pictures};
use crate::error::{Error, Result};
use crate::image_io::Picture;
use crate::watch::Watch;

/// Pictures that go through the extractor at once. Features don't depend on it.
const BATCH: usize = 16;

/// Pictures that are kept for measures of pictures, about: evenly spread over the set.
const KEPT: usize = 200;

/// Features of a set of pictures.
#[derive(Debug, Clone)]
pub struct Collected {
    /// What made them.
    pub identity: Identity,
    /// Number of pictures.
    pub count: usize,
    /// Identifies the pictures and their order.
    pub fingerprint: String,
    /// Mean and covariance over all pictures; `None` for fewer than two.
    pub gaussian: Option<Gaussian>,
    /// Features of the first pictures, at most [`manifold::MOST`] of them.
    pub features: Features,
    /// Features of a picture.
    pub width: usize,
    /// Logits of a picture; 0 if there are none.
    pub classes: usize,
    /// Some of the pictures, evenly spread over the set; none if nobody asked for them.
    pub pictures: Vec<Picture>,
}

impl Collected {
    /// Features of the pictures that were kept.
    ///
    /// # Errors
    /// Never for what a [`Collector`] made.
    pub fn rows(&self) -> Result<Rows<'_>> {
        Rows::new(&self.features.rows, self.width)
    }

    /// Logits of the pictures that were kept.
    ///
    /// # Errors
    /// [`Error::Config`] if the extractor tells no classes.
    pub fn logits(&self) -> Result<Rows<'_>> {
        match self.classes {
            0 => Err(Error::config("the extractor tells no classes")),
            classes => Rows::new(&self.features.logits, classes),
        }
    }
}

/// Takes up pictures one by one.
pub struct Collector<'a> {
    extractor: &'a dyn Extractor,
    waiting: Vec<Picture>,
    moments: Moments,
    fingerprint: Fingerprint,
    features: Features,
    taken: usize,
    keep_every: Option<usize>,
    pictures: Vec<Picture>,
}

impl<'a> Collector<'a> {
    /// A collector of what `extractor` makes of pictures.
    pub fn new(extractor: &'a dyn Extractor) -> Self {
        Self {
            extractor,
            waiting: Vec::new(),
            moments: Moments::new(extractor.width()),
            fingerprint: Fingerprint::default(),
            features: Features::default(),
            taken: 0,
            keep_every: None,
            pictures: Vec::new(),
        }
    }

    /// Keeps some pictures of a set of `count`.
    pub fn keeping(mut self, count: usize) -> Self {
        self.keep_every = Some(kept_every(count));
        self
    }

    /// Takes up the next picture.
    ///
    /// # Errors
    /// Those of the extractor; [`Error::Config`] if its features are no finite numbers.
    pub fn push(&mut self, picture: Picture) -> Result<()> {
        self.fingerprint.add(&picture);
        if self.keep_every.is_some_and(|every| self.taken.is_multiple_of(every)) {
            self.pictures.push(picture.clone());
        }
        self.taken += 1;
        self.waiting.push(picture);
        if self.waiting.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let features = self.extractor.extract(&self.waiting)?;
        let room = manifold::MOST.saturating_sub(self.moments.count());
        self.moments.add(Rows::new(&features.rows, self.extractor.width())?)?;
        for (kept, new, width) in [
            (&mut self.features.rows, &features.rows, self.extractor.width()),
            (&mut self.features.logits, &features.logits, self.extractor.classes()),
        ] {
            kept.extend_from_slice(&new[..new.len().min(room * width)]);
        }
        self.waiting.clear();
        Ok(())
    }

    /// What was collected.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<Collected> {
        self.flush()?;
        Ok(Collected {
            identity: self.extractor.identity().clone(),
            count: self.moments.count(),
            fingerprint: self.fingerprint.finish(),
            gaussian: self.moments.finish().ok(),
            features: self.features,
            width: self.extractor.width(),
            classes: self.extractor.classes(),
            pictures: self.pictures,
        })
    }
}

/// Of a set of `count` pictures one in so many is kept.
pub(super) fn kept_every(count: usize) -> usize {
    count.div_ceil(KEPT).max(1)
}

/// Features of all `pictures`.
///
/// # Errors
/// [`Error::Config`] if there are no pictures; those of the pictures and of the extractor;
/// [`Error::Interrupted`] when the watcher stops it.
pub fn collect(
    extractor: &dyn Extractor,
    pictures: &dyn Pictures,
    watch: &mut dyn Watch,
) -> Result<Collected> {
    let count = pictures.len();
    if count == 0 {
        return Err(Error::config("there are no pictures to take features of"));
    }
    let mut collector = Collector::new(extractor).keeping(count);
    for start in (0..count).step_by(BATCH) {
        if watch.stopped() {
            return Err(Error::Interrupted);
        }
        let end = (start + BATCH).min(count);
        let read: Vec<Picture> =
            (start..end).into_par_iter().map(|index| pictures.picture(index)).collect::<Result<_>>()?;
        read.into_iter().try_for_each(|picture| collector.push(picture))?;
        watch.progress("looking at pictures", end as u64, count as u64);
    }
    collector.finish()
}
