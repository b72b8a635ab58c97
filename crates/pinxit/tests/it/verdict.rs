//! What the verdict says of a run that learns its pictures by heart.

use pinxit::recipe::Recipe;
use pinxit::run::{Record, Run};
use pinxit::train::{TrainWatch, train};
use pinxit::watch::Watch;

struct Quiet;

impl Watch for Quiet {}
impl TrainWatch for Quiet {}

/// The last verdict on a PixelCNN of the digits that are not held out.
fn verdict(holdout: f64) -> String {
    let text = format!(
        "family = 'pixelcnn'\n[data]\nsource = 'builtin:digits'\nholdout = {holdout}\n\
         [model]\nlevels = 17\nwidth = 32\nlayers = 4\ndropout = 0.0\n\
         [train]\nsteps = 2400\nbatch = 32\nlr = 2e-3\nwarmup = 30\nema = 0.995\n\
         checkpoint_every = 400\njudge_every = 400\njudge_count = 256"
    );
    let folder = tempfile::tempdir().unwrap();
    let run = Run::create(&folder.path().join("run"), &Recipe::from_toml(&text, "here").unwrap()).unwrap();
    train(&run, &pinxit::device::select(None).unwrap(), &mut Quiet).unwrap();
    let records = run.records().unwrap().into_iter().rev();
    let mut judged = records.filter_map(|record| match record {
        Record::Judged(judged) => Some(judged),
        _ => None,
    });
    judged.next().unwrap().verdict.sentence
}

/// 190 digits are learned by heart in 400 rounds, 1,442 are not in 53.
#[test]
#[ignore = "trains two models for some minutes each; run by `just slow`"]
fn a_run_that_overfits_is_told_so_and_a_healthy_one_is_not() {
    let (overfit, healthy) = (verdict(0.889), verdict(0.2));
    println!("{overfit}\n{healthy}");
    assert!(overfit.starts_with("copies training pictures"), "{overfit}");
    assert!(!healthy.contains("copies") && !healthy.contains("too early"), "{healthy}");
}
