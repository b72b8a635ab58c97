//! How well a run paints the classes it was asked for, against its own training and held-out pictures, or, if it
//! was told none, how often it paints each; and, for a family that knows it, how probable the held-out pictures are.
//!
//! `cargo run --release --example class_figures -- runs/demo`

use std::path::Path;
use std::sync::Arc;

use pinxit::data::split::{self, Split};
use pinxit::data::{self, Dataset};
use pinxit::metrics::classes::Labelled;
use pinxit::metrics::likelihood::bits_per_dim;
use pinxit::run::Run;
use pinxit::sample::Trained;
use pinxit::watch::Unwatched;

fn main() -> pinxit::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "runs/demo".into());
    let run = Run::open(Path::new(&folder))?;
    let trained = Trained::open(&run, None, &pinxit::device::select(None)?)?;
    let recipe = &trained.recipe.data;
    let all: Arc<dyn Dataset> =
        data::open(recipe, &data::default_cache_dir(), &mut Unwatched)?.dataset.into();
    let read = |part| split::view(all.clone(), part, recipe.holdout).map(|view| Labelled::read(&view));
    let (train, held_out) = (read(Split::Train)?, read(Split::Heldout)?);
    if trained.model.likelihood().is_some() {
        let unseen = split::view(all.clone(), Split::Heldout, recipe.holdout)?;
        let bits = bits_per_dim(&trained, &unseen, 64, &mut Unwatched)?;
        println!(
            "bits per dimension of {} held-out pictures: {:.3} +- {:.3}",
            bits.count, bits.mean, bits.error
        );
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    println!("{folder}, step {}", trained.step);
    let classes = trained.model.classes().len();
    if classes == 0 {
        let painted = Labelled::paint_and_name(&trained, 10_000, &train, &mut Unwatched)?;
        let (named, real) = (painted.shares(all.classes().len()), train.shares(all.classes().len()));
        println!("shares of the classes among 10,000 painted pictures, and among real ones");
        for ((name, share), real) in all.classes().iter().zip(named).zip(real) {
            println!("  {name}   {}   {}", percent(share), percent(real));
        }
        return Ok(());
    }
    let right = Labelled::paint(&trained, 100 * classes, 0, &mut Unwatched)?;
    let teacher =
        Labelled::paint(&trained, train.labels.len() + held_out.labels.len(), 1_000_000, &mut Unwatched)?;
    println!("real held-out pictures, learned from real ones   {}", percent(held_out.recognised_by(&train)?));
    println!("painted pictures, learned from real ones         {}", percent(right.recognised_by(&train)?));
    println!(
        "real held-out pictures, learned from painted     {}",
        percent(held_out.recognised_by(&teacher)?)
    );
    Ok(())
}
