//! Training on two sets without pairs: Zhu et al. 2017, eq. 1 to 4 and section 5.2 (identity).

use burn::module::Module;
use burn::tensor::Tensor;

use super::knobs::Settings;
use super::model::{Painters, TranslationModel};
use super::nets::{Generator, PatchDiscriminator};
use super::pool::Pool;
use super::sides;
use crate::adversarial::learner::mode;
use crate::adversarial::player::{Bill, Player, load_both, save_both};
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::model::{Learner, Losses, Model, Step};
use crate::nn::ops::{self, Reduction, l1_loss};
use crate::nn::{Mode, params, ramped_decay};
use crate::recipe::TrainRecipe;
use crate::rng::{Purpose, Rng};

/// Two generators that undo each other, and a discriminator of each set. X is what goes in and Y what comes
/// out; the paper's G is the generator of the forward direction and F the other one.
pub struct CycleLearner {
    g: Player<Painters>,
    d: Player<Judges>,
    settings: Settings,
    /// Lambda of eq. 3.
    cycle: f64,
    /// Weight of the identity loss.
    identity: f64,
    /// Fakes of Y and of X.
    pools: [Pool; 2],
    ema: f64,
    /// Holds the averaged weights of the generators.
    model: TranslationModel,
}

/// The discriminators of both sets.
#[derive(Module, Debug)]
struct Judges {
    /// Of what comes out.
    y: PatchDiscriminator,
    /// Of what goes in.
    x: PatchDiscriminator,
}

/// Names of the pools in a checkpoint.
const POOLS: [&str; 2] = ["pool/y", "pool/x"];

impl CycleLearner {
    /// A learner of four networks, which require gradients; `model` keeps the averages of the generators.
    pub(super) fn new(
        (g, [y, x]): (Painters, [PatchDiscriminator; 2]),
        model: TranslationModel,
        settings: Settings,
        ([cycle, identity], pool): ([f64; 2], usize),
        train: &TrainRecipe,
    ) -> Self {
        let (lr, optimizer) = (train.lr.unwrap_or(settings.lr), settings.optimizer());
        Self {
            g: Player::new(g, optimizer, lr, train),
            d: Player::new(Judges { y, x }, optimizer, lr, train),
            settings,
            cycle,
            identity,
            pools: [Pool::new(pool), Pool::new(pool)],
            ema: train.ema,
            model,
        }
    }

    /// One step of both generators, and the fakes `[Y, X]` that it made, without autodiff.
    fn teach_g(&mut self, batch: &Batch, step: &Step) -> Result<(Losses, [Tensor<4>; 2])> {
        let (settings, judges) = (&self.settings, params::frozen(&self.d.network));
        let [cycle_weight, identity_weight] = [self.cycle, self.identity];
        let mut made: [Vec<Tensor<4>>; 2] = Default::default();
        let bill = |g: &Painters, part: &Batch| {
            let ([x, y], mode) = (sides(part)?, mode(part, step));
            let there = Way { out: &g.forward, back: both(g)?, judge: &judges.y };
            let back = Way { out: there.back, back: there.out, judge: &judges.x };
            let mut sums: Option<[Tensor<1>; 3]> = None;
            for ((way, from, to), made) in [(there, &x, &y), (back, &y, &x)].into_iter().zip(&mut made) {
                let (losses, fake) = way.losses(settings, from, (identity_weight > 0.0).then_some(to), &mode);
                made.push(fake.inner());
                sums = Some(match sums {
                    None => losses,
                    Some([a, b, c]) => {
                        let [game, cycle, identity] = losses;
                        [a + game, b + cycle, c + identity]
                    }
                });
            }
            let Some([game, cycle, identity]) = sums else {
                return Err(Error::config("no direction to learn"));
            };
            let loss = game.clone() + cycle.clone() * cycle_weight + identity.clone() * identity_weight;
            Ok(Bill { loss, measures: vec![("g_loss", game), ("cycle", cycle), ("identity", identity)] })
        };
        let (mut losses, norm) = self.g.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("g_grad_norm", norm));
        Ok((Losses(losses), made.map(|parts| Tensor::cat(parts, 0))))
    }

    /// One step of both discriminators on these fakes of Y and X.
    fn teach_d(&mut self, batch: &Batch, fakes: &[Tensor<4>; 2], step: &Step) -> Result<Losses> {
        let settings = &self.settings;
        let bill = |d: &Judges, part: &Batch| {
            let [x, y] = sides(part)?;
            let device = x.device();
            let [fake_y, fake_x] = [&fakes[0], &fakes[1]]
                .map(|fakes| ops::onto(fakes.clone().narrow(0, part.offset, part.len()), &device));
            let loss = |d: &PatchDiscriminator, real, fake| {
                settings.loss.discriminator(d.judge(real), d.judge(fake), 0.0) * settings.weights()[0]
            };
            let (of_y, of_x) = (loss(&d.y, y, fake_y), loss(&d.x, x, fake_x));
            let measures = vec![("d_loss", of_y.clone()), ("d_loss_back", of_x.clone())];
            Ok(Bill { loss: of_y + of_x, measures })
        };
        let (mut losses, norm) = self.d.step(batch, step.accumulate, step.rate, bill)?;
        losses.push(("d_grad_norm", norm));
        Ok(Losses(losses))
    }
}

/// The generator of the way back.
fn both(painters: &Painters) -> Result<&Generator> {
    painters.backward.as_ref().ok_or_else(|| Error::config("a cycle needs a generator of each direction"))
}

/// One direction.
struct Way<'a> {
    out: &'a Generator,
    back: &'a Generator,
    judge: &'a PatchDiscriminator,
}

impl Way<'_> {
    /// The losses of the game, the cycle and the identity (0 without `like`, pictures that are as what comes
    /// out), and the fakes.
    fn losses(
        &self,
        settings: &Settings,
        from: &Tensor<4>,
        like: Option<&Tensor<4>>,
        mode: &Mode,
    ) -> ([Tensor<1>; 3], Tensor<4>) {
        let fake = self.out.paint(from.clone(), mode);
        let game = settings.loss.generator(None, self.judge.judge(fake.clone())) * settings.weights()[1];
        let cycle = l1_loss(self.back.paint(fake.clone(), mode), from.clone(), Reduction::Mean);
        let identity = match like {
            Some(like) => l1_loss(self.out.paint(like.clone(), mode), like.clone(), Reduction::Mean),
            None => game.zeros_like(),
        };
        ([game, cycle, identity], fake)
    }
}

impl Learner for CycleLearner {
    fn step(&mut self, batch: &Batch, step: &Step) -> Result<Losses> {
        let (mut losses, [fake_y, fake_x]) = self.teach_g(batch, step)?;
        let streams = |domain: u32| {
            let index = move |i: usize| domain << 31 | i as u32;
            let stream = move |i| Rng::new(step.seed, Purpose::Pool, step.number, index(i));
            (0..batch.len()).map(stream)
        };
        let mut pools = self.pools.clone();
        let shown = [pools[0].exchange(fake_y, streams(0))?, pools[1].exchange(fake_x, streams(1))?];
        losses.0.extend(self.teach_d(batch, &shown, step)?.0);
        self.pools = pools;
        self.model.network.update(&self.g.network, ramped_decay(self.ema, step.number));
        Ok(losses)
    }

    fn model(&self) -> &dyn Model {
        &self.model
    }

    fn descends(&self) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        params::count(&self.g.network) + params::count(&self.d.network)
    }

    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.model.network.save("model", to)?;
        save_both(&self.g, &self.d, to)?;
        self.pools.iter().zip(POOLS).for_each(|(pool, name)| pool.save(name, to));
        Ok(())
    }

    fn load(&mut self, from: &Snapshot) -> Result<()> {
        let (g, d) = load_both(&self.g, &self.d, from)?;
        let [y, x] = &self.pools;
        let pools = [y.loaded(POOLS[0], from)?, x.loaded(POOLS[1], from)?];
        self.model.load(from)?;
        (self.g, self.d, self.pools) = (g, d, pools);
        Ok(())
    }
}
