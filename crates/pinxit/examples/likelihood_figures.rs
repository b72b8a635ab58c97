//! Bits per dimension of runs on held-out pictures beside two baselines, and what the first run thinks of
//! pictures that it was not trained for.
//!
//! `cargo run --release --example likelihood_figures -- 17 runs/digits-vae runs/digits-pixelcnn ...`
//!
//! The first argument is the number of grey levels of the pictures. Of a model with classes the likelihood
//! is `p(x) = mean_c p(x | c)`, so that it can be compared with models that know no classes.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use pinxit::data::split::{self, Split};
use pinxit::data::{self, Batch, Dataset};
use pinxit::likelihood::bits_per_dim;
use pinxit::likelihood::levels::Levels;
use pinxit::metrics::baselines::{self, GaussianMixture, IndependentPixels};
use pinxit::metrics::likelihood::{mean_and_error, nats_without_class};
use pinxit::recipe::DataRecipe;
use pinxit::rng::{Purpose, Rng};
use pinxit::run::{Record, Run};
use pinxit::sample::Trained;
use pinxit::watch::Unwatched;

/// Held-out pictures at most.
const MOST: usize = 360;

fn main() -> pinxit::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let levels = arguments.next().and_then(|levels| levels.parse().ok()).unwrap_or(17);
    let levels = Levels::new(levels)?;
    let runs: Vec<String> = arguments.collect();
    let open = |folder: &String| Trained::open(&Run::open(Path::new(folder))?, None, &Device::flex());
    let Some(first) = runs.first().map(open).transpose()? else {
        println!("usage: likelihood_figures LEVELS RUN ...");
        return Ok(());
    };
    let recipe = &first.recipe.data;
    let all: Arc<dyn Dataset> =
        data::open(recipe, &data::default_cache_dir(), &mut Unwatched)?.dataset.into();
    let train = split::view(all.clone(), Split::Train, recipe.holdout)?;
    let unseen = split::view(all.clone(), Split::Heldout, recipe.holdout)?;
    let count = unseen.len().min(MOST);
    let dims = all.shape().len();
    println!(
        "{count} held-out pictures, {} training pictures, {} grey levels\n",
        train.len(),
        levels.count()
    );
    println!("{:40} {:>16}  time", "model", "bits/dim");
    let tell = |name: &str, nats: &[f64], time: &str| {
        let bits: Vec<f64> = nats.iter().map(|&nats| bits_per_dim(nats, dims)).collect();
        let (mean, error) = mean_and_error(&bits);
        println!("{name:40} {mean:7.3} +- {error:.3}  {time}");
    };
    let uniform = vec![dims as f64 * (levels.count() as f64).ln(); count];
    tell("uniform", &uniform, "");
    let pictures: Vec<Vec<f32>> = baselines::read(&unseen)?.into_iter().take(count).collect();
    let independent = IndependentPixels::fit(&train, levels)?;
    tell("independent pixels", &pictures.iter().map(|p| independent.nats(p)).collect::<Vec<_>>(), "");
    mixture(&train, &pictures, levels, &tell)?;
    let batch = Batch::read(&unseen, 0..count, &Device::flex());
    for folder in &runs {
        let trained = open(folder)?;
        let seconds = Run::open(Path::new(folder))?.records()?.iter().rev().find_map(|record| match record {
            Record::Measures(measures) => Some(measures.seconds),
            _ => None,
        });
        let time = seconds.map_or(String::new(), |seconds| format!("{:.1} min", seconds / 60.0));
        tell(folder, &nats_without_class(&trained, &batch, 0, &mut Unwatched)?, &time);
    }
    out_of_distribution(&first, &batch)
}

/// Of several numbers of Gaussians, the best one on a tenth of the training pictures.
fn mixture(
    train: &dyn Dataset,
    unseen: &[Vec<f32>],
    levels: Levels,
    tell: &dyn Fn(&str, &[f64], &str),
) -> pinxit::Result<()> {
    let rows = baselines::dequantised(&baselines::read(train)?, levels, 0);
    let (validation, learned) = rows.split_at(rows.len() / 10);
    let score = |mixture: &GaussianMixture, rows: &[Vec<f64>]| {
        rows.iter().map(|row| -mixture.ln_density(row)).sum::<f64>() / rows.len() as f64
    };
    let mut best: Option<(f64, usize, f64)> = None;
    for (components, ridge) in
        [1, 3, 10, 20].into_iter().flat_map(|k| [0.0003, 0.001, 0.003, 0.01].map(|r| (k, r)))
    {
        let nats = score(&GaussianMixture::fit(learned, components, ridge, 0)?, validation);
        if best.is_none_or(|(least, ..)| nats < least) {
            best = Some((nats, components, ridge));
        }
    }
    let Some((_, components, ridge)) = best else { return Ok(()) };
    let mixture = GaussianMixture::fit(&rows, components, ridge, 0)?;
    let unseen = baselines::dequantised(unseen, levels, 1);
    let constant = unseen.first().map_or(0.0, |row| row.len() as f64) * levels.nats_of_density();
    let nats: Vec<f64> = unseen.iter().map(|row| constant - mixture.ln_density(row)).collect();
    tell(&format!("{components} Gaussians with full covariance"), &nats, "");
    Ok(())
}

/// What a model of some pictures thinks of others of the same shape.
fn out_of_distribution(trained: &Trained, held_out: &Batch) -> pinxit::Result<()> {
    let shape = trained.model.shape();
    let dims = shape.len();
    println!("\nwhat {} thinks of other pictures, bits/dim:", trained.family.name);
    let tell = |name: &str, batch: &Batch| -> pinxit::Result<()> {
        let nats = nats_without_class(trained, batch, 0, &mut Unwatched)?;
        let bits: Vec<f64> = nats.iter().map(|&nats| bits_per_dim(nats, dims)).collect();
        let (mean, error) = mean_and_error(&bits);
        println!("{name:40} {mean:7.3} +- {error:.3}");
        Ok(())
    };
    tell("held-out pictures", held_out)?;
    tell("the same upside down", &Batch { images: held_out.images.clone().flip([2]), ..held_out.clone() })?;
    let glyphs = DataRecipe {
        source: "builtin:glyphs".into(),
        size: Some([shape.height, shape.width]),
        channels: Some(shape.channels),
        count: 200,
        ..DataRecipe::default()
    };
    let glyphs = data::open(&glyphs, &data::default_cache_dir(), &mut Unwatched)?.dataset;
    tell("letters and digits of fonts", &Batch::read(&*glyphs, 0..200, &Device::flex()))?;
    let mut rng = Rng::new(0, Purpose::Picture, 0, 0);
    let mut made = |value: &mut dyn FnMut(&mut Rng, usize) -> f32| {
        let pictures: Vec<Vec<f32>> =
            (0..100).map(|_| (0..dims).map(|i| value(&mut rng, i)).collect()).collect();
        let data = TensorData::new(pictures.concat(), [100, shape.channels, shape.height, shape.width]);
        let images = Tensor::from_data(data, &Device::flex());
        Batch { images, labels: Vec::new(), ids: (0..100).collect(), offset: 0, inputs: None }
    };
    tell("noise", &made(&mut |rng, _| rng.range(-1.0, 1.0) as f32))?;
    let mut level = 0.0;
    tell(
        "one grey level each",
        &made(&mut |rng, i| {
            if i == 0 {
                level = rng.range(-1.0, 1.0) as f32;
            }
            level
        }),
    )?;
    tell("nothing at all", &made(&mut |_, _| -1.0))?;
    println!(
        "\nA likelihood is no test of belonging: plain pictures can be more probable than any picture of the \
         training set\n(Nalisnick et al. 2019, \"Do Deep Generative Models Know What They Don't Know?\")."
    );
    Ok(())
}
