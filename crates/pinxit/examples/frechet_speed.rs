//! Seconds from pool3 features to the Fréchet distance. `bench_frechet.py` runs it beside SciPy.

use std::time::Instant;

use pinxit::metrics::frechet::{Gaussian, frechet_distance};
use pinxit::metrics::knn::Rows;

/// Features of the Inception network's pool3.
const WIDTH: usize = 2048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [first, second] = files.as_slice() else { return Err("usage: frechet_speed FIRST SECOND".into()) };
    let read = |file: &String| -> std::io::Result<Vec<f32>> {
        Ok(std::fs::read(file)?.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect())
    };
    let (first, second) = (read(first)?, read(second)?);
    let begin = Instant::now();
    let (a, b) = (Gaussian::of(Rows::new(&first, WIDTH)?)?, Gaussian::of(Rows::new(&second, WIDTH)?)?);
    let moments = begin.elapsed().as_secs_f64();
    let distance = frechet_distance(&a, &b)?;
    println!("{distance} {moments} {}", begin.elapsed().as_secs_f64() - moments);
    Ok(())
}
