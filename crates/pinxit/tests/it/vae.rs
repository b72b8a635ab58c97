//! The VAE. Oracle: a linear Gaussian model, whose likelihood and posterior are known (oracle/likelihood.py).

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::checkpoint::{Array, Snapshot};
use pinxit::data::{Batch, DataFacts, ImageShape};
use pinxit::families::{self, vae::FAMILY};
use pinxit::likelihood::levels::Levels;
use pinxit::likelihood::pixel::{Kind, PixelDistribution};
use pinxit::model::Model;
use pinxit::recipe::Recipe;
use pinxit::rng::{Purpose, Rng};
use pinxit::watch::Unwatched;

use crate::golden::{Golden, values};

const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 4 };
const SEED: u64 = 3;

/// x = W z + b + noise of variance exp(ln_var), in f64.
struct Linear {
    /// Columns of W.
    columns: Vec<Vec<f64>>,
    b: Vec<f64>,
    ln_var: f64,
}

impl Linear {
    fn read(golden: &Golden) -> Self {
        let w = golden.array("linear/w");
        let latents = w.shape[1];
        let column = |j| w.values.iter().skip(j).step_by(latents).map(|&w| f64::from(w)).collect();
        Self {
            columns: (0..latents).map(column).collect(),
            b: golden.array("linear/b").values.iter().map(|&b| f64::from(b)).collect(),
            ln_var: golden.array("linear/ln_var").values[0].into(),
        }
    }

    /// `-ln N(x; b, W W^T + s^2 I)` for orthogonal columns (Woodbury's identity).
    fn nats(&self, x: &[f32]) -> f64 {
        let variance = self.ln_var.exp();
        let r: Vec<f64> = x.iter().zip(&self.b).map(|(&x, b)| f64::from(x) - b).collect();
        let mut square: f64 = r.iter().map(|r| r * r).sum();
        let mut ln_det = r.len() as f64 * (self.ln_var + (2.0 * std::f64::consts::PI).ln());
        for column in &self.columns {
            let length: f64 = column.iter().map(|w| w * w).sum();
            let along: f64 = column.iter().zip(&r).map(|(w, r)| w * r).sum();
            square -= along * along / (variance + length);
            ln_det += (length / variance).ln_1p();
        }
        0.5 * (ln_det + square / variance)
    }

    /// A trained `vae` that is this model. Its encoder is the exact posterior, but for a factor on the
    /// mean and a summand on the logarithm of the variance.
    fn as_vae(&self, golden: &Golden, off: (f32, f32), score_samples: usize) -> Box<dyn Model> {
        let facts = DataFacts { shape: SHAPE, classes: vec![], count: 1, inputs: None };
        let mut recipe = Recipe { family: FAMILY.name.into(), ..Recipe::default() };
        for (key, value) in [("layers", "dense"), ("hidden", "[]"), ("latents", "3"), ("decoder", "gaussian")]
        {
            recipe.set(&format!("model.{key}"), value).unwrap();
        }
        recipe.set("model.score_samples", &score_samples.to_string()).unwrap();
        (FAMILY.resolve)(&mut recipe, &facts, None).unwrap();

        let encoder = &golden.array("linear/encoder").values;
        let shift = |row: &[f32]| -> f32 { row.iter().zip(&self.b).map(|(e, b)| -e * *b as f32).sum() };
        let mut weight: Vec<f32> = encoder.iter().map(|e| e * off.0).collect();
        let mut bias: Vec<f32> = encoder.chunks(12).map(|row| off.0 * shift(row)).collect();
        weight.extend([0.0; 36]);
        bias.extend(golden.array("linear/posterior_ln_var").values.iter().map(|v| v + off.1));
        let mut out_weight = golden.array("linear/w").values.clone();
        out_weight.extend([0.0; 36]);
        let mut out_bias: Vec<f32> = self.b.iter().map(|&b| b as f32).collect();
        out_bias.extend([self.ln_var as f32; 12]);
        let tensors = [
            ("encoder.linear.0.weight", vec![6, 12], weight),
            ("encoder.linear.0.bias", vec![6], bias),
            ("decoder.linear.0.weight", vec![24, 3], out_weight),
            ("decoder.linear.0.bias", vec![24], out_bias),
        ];
        let mut snapshot = Snapshot::default();
        for (name, shape, values) in tensors {
            snapshot.tensors.insert(format!("model/{name}"), Array { shape, values });
        }
        (FAMILY.model)(&recipe, &facts, &snapshot, &Device::flex()).unwrap()
    }
}

/// Pictures that the model finds usual, and what it sees of them.
fn pictures(count: usize) -> (Batch, Vec<Vec<f32>>) {
    let mut rng = Rng::new(8, Purpose::Picture, 0, 0);
    let levels = Levels::EIGHT_BITS;
    let pixels: Vec<f32> = (0..count * 12).map(|_| levels.value(rng.below(256) as usize)).collect();
    let images = Tensor::<4>::from_data(TensorData::new(pixels, [count, 1, 3, 4]), &Device::flex());
    let ids: Vec<u32> = (20..20 + count as u32).collect();
    let distribution = PixelDistribution { kind: Kind::Gaussian, levels, mixtures: 1, channels: 1 };
    let streams = ids.iter().map(|&id| Rng::new(SEED, Purpose::Dequantise, 0, id));
    let seen = values(distribution.observed(images.clone(), streams));
    (
        Batch { images, labels: vec![], ids, offset: 0, inputs: None },
        seen.chunks(12).map(<[f32]>::to_vec).collect(),
    )
}

/// Nats of pictures on average, without the constant of their levels.
fn told(model: &dyn Model, batch: &Batch) -> f64 {
    let nats = model.likelihood().unwrap().nats(batch, SEED, &mut Unwatched).unwrap();
    nats.iter().sum::<f64>() / nats.len() as f64 - 12.0 * Levels::EIGHT_BITS.nats_of_density()
}

#[test]
fn bounds_of_a_linear_gaussian_model_close_in_on_its_likelihood() {
    let golden = Golden::read("likelihood");
    let linear = Linear::read(&golden);
    let theirs = &golden.array("linear/nats").values;
    for (x, &nats) in golden.array("linear/x").values.chunks(12).zip(theirs) {
        assert!((linear.nats(x) - f64::from(nats)).abs() < 1e-5, "{nats}");
    }
    let (batch, seen) = pictures(40);
    let exact = seen.iter().map(|x| linear.nats(x)).sum::<f64>() / 40.0;

    // With the exact posterior every sample has the same weight, so one tells the likelihood.
    for samples in [1, 5] {
        let nats = told(linear.as_vae(&golden, (1.0, 0.0), samples).as_ref(), &batch);
        assert!((nats - exact).abs() < 1e-4 * exact, "{nats} is not {exact}");
    }
    // Another posterior is paid for, the less the more samples there are.
    let loose = [1, 8, 512].map(|samples| told(linear.as_vae(&golden, (0.7, 0.5), samples).as_ref(), &batch));
    assert!(loose[0] > loose[1] + 0.2 && loose[1] > loose[2] && loose[2] > exact - 0.02, "{loose:?} {exact}");
    assert!(loose[2] < exact + 0.1, "{loose:?} {exact}");
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    let facts = DataFacts { shape: SHAPE, classes: vec![], count: 1, inputs: None };
    let family = families::find("vae").unwrap();
    for (key, value) in [
        ("model.latents", "0"),
        ("model.levels", "300"),
        ("model.mixtures", "0"),
        ("model.width", "0"),
        ("model.halvings", "11"),
        ("model.beta", "-1.0"),
        ("model.free_bits", "nan"),
        ("model.importance", "0"),
        ("model.score_samples", "0"),
        ("sample.temperature", "-1.0"),
    ] {
        let mut recipe = Recipe { family: "vae".into(), ..Recipe::default() };
        recipe.set(key, value).unwrap();
        let message = (family.resolve)(&mut recipe, &facts, None).unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
    }
}

/// Every kind of decoder, layer and bound, on pictures of odd sizes in colour: a step, and a picture.
#[test]
fn every_kind_of_network_and_decoder_learns_and_paints() {
    let facts = DataFacts {
        shape: ImageShape { channels: 3, height: 7, width: 10 },
        classes: vec!["a".into(), "b".into()],
        count: 4,
        inputs: None,
    };
    let images =
        Tensor::<4>::random([4, 3, 7, 10], burn::tensor::Distribution::Uniform(-1.0, 1.0), &Device::flex());
    let batch = Batch { images, labels: vec![0, 1, 1, 0], ids: vec![0, 1, 2, 3], offset: 0, inputs: None };
    for decoder in ["bernoulli", "gaussian", "softmax", "logistic"] {
        for (layers, importance) in [("dense", "1"), ("conv", "3")] {
            let mut recipe = Recipe { family: "vae".into(), ..Recipe::default() };
            for (key, value) in [
                ("model.decoder", decoder),
                ("model.layers", layers),
                ("model.importance", importance),
                ("model.levels", "9"),
                ("model.latents", "4"),
                ("model.score_samples", "2"),
                ("sample.grain", "true"),
            ] {
                recipe.set(key, value).unwrap();
            }
            (FAMILY.resolve)(&mut recipe, &facts, None).unwrap();
            let mut learner = (FAMILY.learner)(&recipe, &facts, &Device::flex()).unwrap();
            assert_eq!(learner.parameters() as u64, (FAMILY.cost)(&recipe, &facts).unwrap().parameters);
            let step = |number| pinxit::model::Step { number, seed: 1, rate: 1.0, accumulate: 1 };
            let losses: Vec<f64> =
                (0..30).map(|number| learner.step(&batch, &step(number)).unwrap().main()).collect();
            assert!(losses[29] < losses[0], "{decoder} {layers}: {losses:?}");
            let request = pinxit::model::Request {
                seeds: vec![1, 2],
                classes: vec![0, 1],
                options: recipe.sample.clone(),
            };
            let painted = learner.model().generate().unwrap().generate(&request, &mut Unwatched).unwrap();
            assert_eq!(painted.dims(), [2, 3, 7, 10]);
            let nats = learner.model().likelihood().unwrap().nats(&batch, 0, &mut Unwatched).unwrap();
            assert!(nats.iter().all(|nats| nats.is_finite() && *nats > 0.0), "{decoder}: {nats:?}");
        }
    }
}
