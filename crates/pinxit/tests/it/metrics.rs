//! Scores of features and of pairs of pictures against the libraries of the field.

use std::path::Path;

use pinxit::data::ImageShape;
use pinxit::image_io::Picture;
use pinxit::metrics::frechet::{Gaussian, frechet_distance};
use pinxit::metrics::inception_score::inception_score;
use pinxit::metrics::kernel::{Subsets, kernel_distance};
use pinxit::metrics::knn::Rows;
use pinxit::metrics::manifold::{density_coverage, precision_recall};
use pinxit::metrics::numpy::RandomState;
use pinxit::metrics::pairs::{ms_ssim, psnr, scales, ssim};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    seed: u32,
    generated: usize,
    real: usize,
    width: usize,
    scale: f64,
    shift: f64,
    subset_size: usize,
    subsets: usize,
    fid: [f64; 2],
    isc: [f64; 2],
    kid: [[f64; 2]; 2],
    prc: [f64; 2],
    prdc: [f64; 4],
}

fn golden<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../oracle/golden"));
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

impl Case {
    /// The generated and the real features.
    fn features(&self) -> [Vec<f32>; 2] {
        let mut state = RandomState::new(self.seed);
        let generated = state.normals(self.generated * self.width);
        let real = state.normals(self.real * self.width);
        let real = real.into_iter().map(|value| value * self.scale + self.shift);
        [generated.into_iter().map(|value| value as f32).collect(), real.map(|value| value as f32).collect()]
    }
}

fn assert_close(case: &Case, what: &str, found: f64, expected: f64, relative: f64) {
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(
        found == expected || error <= relative,
        "{}: {what} {found}, expected {expected}: {error:e}",
        case.name
    );
}

/// Oracle: oracle/metrics.py, with torch-fidelity 0.4.0, SciPy 1.17.1 and prdc 0.2.
#[test]
fn scores_are_those_of_the_published_code() {
    for case in golden::<Vec<Case>>("metrics.json") {
        let [generated, real] = case.features();
        let generated = Rows::new(&generated, case.width).unwrap();
        let real = Rows::new(&real, case.width).unwrap();

        let fid = frechet_distance(&Gaussian::of(generated).unwrap(), &Gaussian::of(real).unwrap()).unwrap();
        assert_close(&case, "FID", fid, case.fid[0], 1e-6);
        assert_close(&case, "FID by sqrtm", fid, case.fid[1], 1e-6);

        let isc = inception_score(generated, 2020).unwrap();
        assert_close(&case, "IS", isc.mean, case.isc[0], 1e-9);
        assert_close(&case, "IS deviation", isc.deviation, case.isc[1], 1e-9);

        let subsets = Subsets { count: case.subsets, size: case.subset_size, seed: 2020 };
        let kid = kernel_distance(generated, real, subsets).unwrap();
        let [single, double] = case.kid;
        for (what, found, single, double) in
            [("KID", kid.mean, single[0], double[0]), ("KID deviation", kid.deviation, single[1], double[1])]
        {
            assert_close(&case, what, found, double, 1e-8);
            // As near to the code as it is, in single precision, as it is to itself in double.
            let noise = ((single - double) / double).abs();
            assert_close(&case, what, found, single, 1e-6f64.max(1.1 * noise));
        }

        let prc = precision_recall(generated, real, 3).unwrap();
        assert_close(&case, "precision", prc.precision, case.prc[0], 1e-7);
        assert_close(&case, "recall", prc.recall, case.prc[1], 1e-7);
        let prdc = density_coverage(generated, real, 5).unwrap();
        assert_close(&case, "density", prdc.density, case.prdc[2], 1e-12);
        assert_close(&case, "coverage", prdc.coverage, case.prdc[3], 1e-12);
    }
}

#[derive(Deserialize)]
struct Pair {
    shape: [usize; 3],
    scales: usize,
    psnr: f64,
    ssim: [f64; 2],
    ms_ssim: f64,
}

impl Pair {
    /// `pair` of oracle/pairs.py.
    fn pictures(&self) -> [Picture; 2] {
        let [height, width, channels] = self.shape;
        let shape = ImageShape { channels, height, width };
        let level = |i: usize| {
            let (y, x, c) = (i / channels / width, i / channels % width, i % channels);
            (x * x + 3 * x * y + 40 * y + 700 * c) / 16 % 256
        };
        let noisy = |i: usize| {
            let noise = ((i as u32).wrapping_mul(2_654_435_761) >> 20) % 25;
            (level(i) * 4 / 5 + 8 + noise as usize).min(255)
        };
        let picture = |level: &dyn Fn(usize) -> usize| Picture {
            shape,
            pixels: (0..shape.len()).map(|i| level(i) as u8).collect(),
        };
        [picture(&level), picture(&noisy)]
    }
}

/// Oracle: oracle/pairs.py, with scikit-image 0.26.0 and pytorch-msssim 1.0.0, whose window is of single precision.
#[test]
fn likeness_of_pairs_is_that_of_the_published_code() {
    for pair in golden::<Vec<Pair>>("pairs.json") {
        let [a, b] = pair.pictures();
        let close = |found: f64, expected: f64, error: f64| {
            assert!((found - expected).abs() < error, "{:?}: {found}, expected {expected}", pair.shape);
        };
        assert_eq!(scales(a.shape), pair.scales);
        close(psnr(&a, &b).unwrap(), pair.psnr, 1e-9);
        close(ssim(&a, &b).unwrap(), pair.ssim[0], 1e-9);
        close(ssim(&a, &b).unwrap(), pair.ssim[1], 1e-5);
        close(ms_ssim(&a, &b).unwrap(), pair.ms_ssim, 1e-5);
    }
}
