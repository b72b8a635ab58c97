//! Two networks in training: the one learner of every adversarial family.

use burn::tensor::{Device, Tensor, TensorData};

use super::augment::{self, DiffAugment};
use super::knobs::Settings;
use super::model::GanModel;
use super::nets::Pair;
use super::player::{Bill, Player, load_both, save_both};
use super::{Condition, Discriminator, Generator, Verdict};
use crate::checkpoint::Snapshot;
use crate::data::{Batch, ImageShape};
use crate::error::Result;
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::{Mode, ops, params, ramped_decay};
use crate::recipe::TrainRecipe;
use crate::rng::{Purpose, Rng};

/// A generator and a discriminator that learn from each other.
///
/// A step is one turn of both: D takes `d_steps` steps, each on its part of the batch, then G takes
/// one. Fakes claim the classes of the real pictures that they stand beside.
pub struct GanLearner<P: Pair> {
    g: Player<P::G>,
    d: Player<P::D>,
    game: Game,
    ema: f64,
    /// Holds the averaged weights of G.
    model: GanModel<P::G>,
}

/// The rules.
pub(super) struct Game {
    pub(super) settings: Settings,
    augment: DiffAugment,
    /// Steps of the whole run, over which instance noise falls; it stays where they are unknown.
    pub(super) steps: Option<u32>,
}

/// Whose verdict is asked, by which player: part of the key of random numbers.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
enum Seen {
    RealByD = 0,
    FakeByD = 1,
    FakeByG = 2,
    RealByG = 3,
}

impl<P: Pair> GanLearner<P> {
    /// A learner of two networks, which require gradients; `model` keeps the averages of the first.
    pub(super) fn new(
        (g, d): (P::G, P::D),
        model: GanModel<P::G>,
        settings: Settings,
        train: &TrainRecipe,
    ) -> Self {
        let lr = train.lr.unwrap_or(settings.lr);
        let augment = DiffAugment {
            transforms: settings.augment.clone().unwrap_or_default(),
            strength: settings.augment_strength,
        };
        let game = Game { augment, steps: train.steps, settings };
        let optimizer = game.settings.optimizer();
        Self {
            g: Player::new(g, optimizer, lr, train),
            d: Player::new(d, optimizer, game.settings.d_lr.unwrap_or(lr), train),
            game,
            ema: train.ema,
            model,
        }
    }

    /// One step of D.
    fn teach_d(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (game, model, generator) = (&self.game, &self.model, params::frozen(&self.g.network));
        let bill = |d: &P::D, part: &Batch| game.bill_of_d(d, &generator, &model.shown(part), part, step);
        let (mut losses, norm) = self.d.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("d_grad_norm", norm));
        if game.settings.weight_clip > 0.0 {
            self.d.network = params::clamped(self.d.network.clone(), game.settings.weight_clip);
        }
        Ok(Losses(losses))
    }

    /// One step of G.
    fn teach_g(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (game, model, discriminator) = (&self.game, &self.model, params::frozen(&self.d.network));
        let bill = |g: &P::G, part: &Batch| game.bill_of_g(g, &discriminator, &model.shown(part), part, step);
        let (mut losses, norm) = self.g.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("g_grad_norm", norm));
        Ok(Losses(losses))
    }
}

impl Game {
    /// What D has to pay: taking real pictures for fake ones and fakes for real ones.
    fn bill_of_d<D: Discriminator>(
        &self,
        d: &D,
        g: &impl Generator,
        condition: &Condition<'_>,
        part: &Batch,
        step: &Step,
    ) -> Result<Bill> {
        let device = part.images.device().autodiff();
        let mode = mode(part, step);
        let z = latents(g.latent(), part, step, Seen::FakeByD, &device);
        let fake = g.paint(z, condition, &mode).detach();
        let real = self.shown(ops::onto(part.images.clone(), &device), part, step, Seen::RealByD);
        let fake = self.shown(fake, part, step, Seen::FakeByD);
        let of_real = d.judge(real.clone().into(), condition, &mode);
        let of_fake = d.judge(fake.clone().into(), condition, &mode);

        let smoothing = self.settings.label_smoothing;
        let mut loss = self
            .sum(&of_real, &of_fake, |real, fake| self.settings.loss.discriminator(real, fake, smoothing));
        loss = loss + named(&of_real, condition.classes) + named(&of_fake, condition.classes);
        let mut measures = vec![("d_loss", loss.clone())];
        measures.extend(self.right(&of_real, &of_fake));
        let pictures = [real.clone(), fake.clone()];
        let cuts = self
            .cuts(step)
            .then(|| self.bill_of_cuts(d, pictures, [&of_real, &of_fake], condition, part, step));
        if let Some(cuts) = cuts.flatten() {
            loss = loss + cuts;
        }
        let mix = mixes(part, step, &device);
        let weight = self.settings.penalty_weight;
        if let Some(penalty) = self.settings.penalty.of(d, weight, real, fake, mix, condition) {
            measures.push(("d_penalty", penalty.clone()));
            loss = loss + penalty;
        }
        Ok(Bill { loss, measures })
    }

    /// What G has to pay: fakes that D does not take for real.
    fn bill_of_g<G: Generator>(
        &self,
        g: &G,
        d: &impl Discriminator,
        condition: &Condition<'_>,
        part: &Batch,
        step: &Step,
    ) -> Result<Bill> {
        let device = part.images.device().autodiff();
        let mode = mode(part, step);
        let z = latents(g.latent(), part, step, Seen::FakeByG, &device);
        let fake = self.shown(g.paint(z, condition, &mode), part, step, Seen::FakeByG);
        let of_real = self.settings.loss.compares().then(|| {
            let real = self.shown(ops::onto(part.images.clone(), &device), part, step, Seen::RealByG);
            d.judge(real.into(), condition, &mode)
        });
        let of_fake = d.judge(fake.into(), condition, &mode);
        let game = |real: Option<Tensor<1>>, fake| self.settings.loss.generator(real, fake);
        let mut loss = game(of_real.as_ref().map(|v| v.image.value.clone()), of_fake.image.value.clone());
        if let Some(pixels) = &of_fake.pixels {
            let real = of_real.as_ref().and_then(|v| v.pixels.clone());
            loss = loss + game(real.map(|p| p.value.flatten(0, 3)), pixels.value.clone().flatten(0, 3));
        }
        loss = loss + named(&of_fake, condition.classes);
        Ok(Bill { measures: vec![("g_loss", loss.clone())], loss })
    }

    /// The loss of the verdicts on pictures, and of those on pixels where there are some.
    fn sum(
        &self,
        real: &Verdict,
        fake: &Verdict,
        loss: impl Fn(Tensor<1>, Tensor<1>) -> Tensor<1>,
    ) -> Tensor<1> {
        let image = loss(real.image.value.clone(), fake.image.value.clone());
        match (&real.pixels, &fake.pixels) {
            (Some(real), Some(fake)) => {
                image + loss(real.value.clone().flatten(0, 3), fake.value.clone().flatten(0, 3))
            }
            _ => image,
        }
    }

    /// The shares of real and of fake pictures that D takes for what they are. Where the loss fixes no
    /// threshold, the share of pairs in which the real one has the higher verdict.
    fn right(&self, real: &Verdict, fake: &Verdict) -> Vec<(&'static str, Tensor<1>)> {
        let [real, fake] = [real, fake].map(|verdict| verdict.image.value.clone().detach());
        match self.settings.loss.threshold() {
            Some(threshold) => vec![
                ("d_right_real", real.greater_elem(threshold).float().mean()),
                ("d_right_fake", fake.lower_equal_elem(threshold).float().mean()),
            ],
            None => vec![("d_right_pairs", real.greater(fake).float().mean())],
        }
    }

    /// Pictures as D sees them: augmented, and noisy (Arjovsky and Bottou 2017, section 3).
    fn shown(&self, images: Tensor<4>, part: &Batch, step: &Step, seen: Seen) -> Tensor<4> {
        let [_, channels, height, width] = images.dims();
        let shape = ImageShape { channels, height, width };
        let mut images = images;
        if !self.augment.is_off() {
            let streams = streams(Purpose::DiffAugment, part, step, seen);
            let changes: Vec<_> =
                streams.into_iter().map(|mut stream| self.augment.draw(shape, &mut stream)).collect();
            images = augment::apply(images, &changes);
        }
        let done = self.steps.map_or(0.0, |steps| f64::from(step.number) / f64::from(steps.max(1)));
        let deviation = self.settings.instance_noise * (1.0 - done).max(0.0);
        if deviation > 0.0 {
            let streams = streams(Purpose::InstanceNoise, part, step, seen);
            let noise: Tensor<2> = normals(streams, shape.len(), &images.device());
            images = images.clone() + noise.reshape(images.dims()) * deviation;
        }
        images
    }
}

/// The mean cross-entropy of the classes that D names, 0 where it names none.
fn named(verdict: &Verdict, classes: &[u32]) -> Tensor<1> {
    let Some(logits) = &verdict.classes else { return verdict.image.value.zeros_like().mean() };
    let [pictures, known] = logits.dims();
    let labels: Vec<i64> = classes.iter().map(|&class| class.into()).collect();
    let data = TensorData::new(labels, [pictures, 1, 1]);
    ops::cross_entropy(
        logits.clone().reshape([pictures, known, 1, 1]),
        Tensor::from_data(data, &logits.device()),
    )
}

/// Training, with the random numbers of this part of this step's batch.
pub(crate) fn mode(part: &Batch, step: &Step) -> Mode {
    Mode::Train { seed: step.seed, step: step.number, offset: part.offset as u32 }
}

/// A stream of random numbers for each picture of a part of a batch.
fn streams(purpose: Purpose, part: &Batch, step: &Step, seen: Seen) -> Vec<Rng> {
    let place = |i: usize| (seen as u32) << 30 | (part.offset + i) as u32;
    (0..part.len()).map(|i| Rng::new(step.seed, purpose, step.number, place(i))).collect()
}

/// Latent vectors `[B, latent]`, standard normal.
fn latents(latent: usize, part: &Batch, step: &Step, seen: Seen, device: &Device) -> Tensor<2> {
    normals(streams(Purpose::TrainLatent, part, step, seen), latent, device)
}

/// A row of standard normals from each stream: `[streams, width]`.
pub(super) fn normals(streams: Vec<Rng>, width: usize, device: &Device) -> Tensor<2> {
    let mut values = vec![0.0; streams.len() * width];
    let dims = [streams.len(), width];
    streams.into_iter().zip(values.chunks_mut(width.max(1))).for_each(|(mut s, row)| s.fill_normal(row));
    Tensor::from_data(TensorData::new(values, dims), device)
}

/// How much of each real picture is in the point between real and fake: `[B]` in `[0, 1)`.
fn mixes(part: &Batch, step: &Step, device: &Device) -> Tensor<1> {
    let mut streams = streams(Purpose::Mix, part, step, Seen::RealByD);
    let values: Vec<f32> = streams.iter_mut().map(|stream| stream.uniform() as f32).collect();
    Tensor::from_data(TensorData::new(values, [part.len()]), device)
}

impl<P: Pair> Learner for GanLearner<P> {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let turns = batch.split(self.game.settings.d_steps);
        let mut losses: Vec<Losses> = Vec::with_capacity(turns.len() + 1);
        for turn in &turns {
            losses.push(self.teach_d(turn, step)?);
        }
        let mut all = mean(&losses);
        if let Some(last) = turns.last() {
            all.0.extend(self.teach_g(last, step)?.0);
        }
        self.model.network.update(&self.g.network, ramped_decay(self.ema, step.number));
        self.model.remember(batch)?;
        Ok(all)
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn descends(&self) -> bool {
        false
    }

    fn watched(&self) -> bool {
        true
    }

    fn parameters(&self) -> usize {
        params::count(&self.g.network) + params::count(&self.d.network)
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.model.save(to)?;
        save_both(&self.g, &self.d, to)
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        let (g, d) = load_both(&self.g, &self.d, from)?;
        self.model.load(from)?;
        (self.g, self.d) = (g, d);
        Ok(())
    }
}

/// The mean of each value.
fn mean(losses: &[Losses]) -> Losses {
    let Some(first) = losses.first() else { return Losses::default() };
    let mean = |i: usize| {
        losses.iter().filter_map(|l| l.0.get(i)).map(|(_, v)| v).sum::<f64>() / losses.len() as f64
    };
    Losses(first.0.iter().enumerate().map(|(i, &(name, _))| (name, mean(i))).collect())
}
