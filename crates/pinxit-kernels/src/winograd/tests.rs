//! Winograd's algorithm against the definition in f64 ([`geometry::twin`](crate::geometry::twin)).

#![allow(clippy::unwrap_used)]

use super::lanes::levels;
use super::*;
use crate::conv2d;
use crate::geometry::twin;
use crate::testing::{assert_close, numbers};

/// Input [B, C, H, W], weight [O, C, K, K], stride, padding.
type Case = ([usize; 4], [usize; 4], usize, usize);

const CASES: [Case; 17] = [
    ([1, 1, 1, 1], [1, 1, 3, 3], 1, 1),
    ([1, 16, 3, 3], [16, 16, 3, 3], 1, 0),
    ([3, 5, 7, 9], [4, 5, 3, 3], 1, 1),
    ([2, 16, 5, 6], [40, 16, 3, 3], 1, 2),
    ([5, 17, 4, 4], [33, 17, 3, 3], 1, 1),
    ([2, 33, 16, 16], [20, 33, 3, 3], 1, 1),
    ([1, 16, 3, 41], [16, 16, 3, 3], 1, 1),
    ([1, 32, 66, 70], [16, 32, 3, 3], 1, 1),
    ([9, 32, 8, 8], [64, 32, 3, 3], 1, 1),
    ([1, 1, 2, 2], [1, 1, 4, 4], 2, 1),
    ([2, 4, 8, 8], [6, 4, 4, 4], 2, 1),
    ([2, 16, 9, 7], [20, 16, 4, 4], 2, 1),
    ([3, 17, 10, 14], [16, 17, 4, 4], 2, 0),
    ([2, 16, 5, 4], [16, 16, 4, 4], 2, 2),
    ([2, 16, 5, 6], [16, 16, 4, 4], 2, 3),
    ([9, 32, 16, 16], [64, 32, 4, 4], 2, 1),
    ([1, 16, 64, 66], [32, 16, 4, 4], 2, 1),
];

struct Example {
    g: Geometry<'static>,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Example {
    fn new((x, weight, stride, padding): Case) -> Self {
        let g = Geometry::new(x, weight, stride, padding);
        Self {
            g,
            x: numbers(x.iter().product(), 1),
            weight: numbers(weight.iter().product(), 2),
            bias: numbers(weight[0], 3),
            dy: numbers(g.output_dims().iter().product(), 4),
        }
    }

    /// Output and gradients of input and weights.
    fn run(&self, level: Level) -> [Vec<f32>; 3] {
        let g = &self.g;
        let algorithm = fitting(g).unwrap();
        [
            run(algorithm, level, &Pass::forward(g), &self.x, &self.weight, Some(&self.bias)),
            run(algorithm, level, &Pass::backward_x(g), &self.dy, &self.weight, None),
            weight_grad(algorithm, level, g, &self.x, &self.dy),
        ]
    }

    fn twin(&self) -> [Vec<f64>; 3] {
        let [dx, dw, _] = twin::backward(&self.g, &self.x, &self.weight, &self.dy);
        [twin::forward(&self.g, &self.x, &self.weight, &self.bias), dx, dw]
    }

    /// The part of one image.
    fn image(&self, index: usize) -> Self {
        let mut g = self.g;
        let part = |all: &[f32]| all.chunks_exact(all.len() / self.g.images).nth(index).unwrap().to_vec();
        g.images = 1;
        let (x, dy) = (part(&self.x), part(&self.dy));
        Self { g, x, weight: self.weight.clone(), bias: self.bias.clone(), dy }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn every_level_equals_the_definition_forward_and_backward() {
    for case in CASES {
        let example = Example::new(case);
        let want = example.twin();
        for level in levels() {
            for (got, want) in example.run(level).iter().zip(&want) {
                assert_close(got, want, 1e-5);
            }
        }
    }
}

#[test]
fn taps_that_a_mask_removes_get_no_gradient_and_give_none() {
    let alive = [true, true, true, true, true, false, false, false, false];
    let example = Example::new(([3, 17, 7, 8], [20, 17, 3, 3], 1, 1));
    let g = example.g.masked(&alive);
    let [want_x, want, _] = twin::backward(&g, &example.x, &example.weight, &example.dy);
    for level in levels() {
        let dx = run(Algorithm::F4x3, level, &Pass::backward_x(&g), &example.dy, &example.weight, None);
        assert_close(&dx, &want_x, 1e-5);
        let dw = weight_grad(Algorithm::F4x3, level, &g, &example.x, &example.dy);
        assert_close(&dw, &want, 1e-5);
        assert!(dw.chunks_exact(9).all(|taps| taps[5..] == [0.0; 4]));
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    for case in CASES {
        let example = Example::new(case);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| example.run(simd::level()).map(|x| bits(&x)))
        };
        let one = with(1);
        assert!([2, 3, 16].into_iter().all(|threads| with(threads) == one), "{case:?}");
    }
}

#[test]
fn an_image_is_the_same_alone() {
    for case in CASES {
        let example = Example::new(case);
        let [y, dx, _] = example.run(simd::level());
        for index in 0..example.g.images {
            let alone = example.image(index).run(simd::level());
            for (all, alone) in [&y, &dx].into_iter().zip(&alone) {
                assert!(bits(&all[index * alone.len()..][..alone.len()]) == bits(alone), "{case:?}");
            }
        }
    }
}

#[test]
fn small_pictures_and_few_channels_go_the_direct_way() {
    let serves = |x, weight, stride| {
        let example = Example::new((x, weight, stride, 1));
        let Example { g, x, weight, dy, .. } = &example;
        let found = [forward(g, x, weight, None), backward_x(g, weight, dy, None), backward_weight(g, x, dy)];
        found.map(|found| found.is_some())
    };
    assert_eq!(serves([1, 16, 4, 4], [16, 16, 3, 3], 1), [true; 3]);
    assert_eq!(serves([1, 16, 2, 2], [16, 16, 3, 3], 1), [false; 3]);
    assert_eq!(serves([1, 16, 8, 8], [16, 16, 4, 4], 2), [true; 3]);
    assert_eq!(serves([1, 16, 4, 4], [16, 16, 4, 4], 2), [false; 3]);
    assert_eq!(serves([1, 3, 8, 8], [16, 3, 3, 3], 1), [false, false, true]);
    assert_eq!(serves([1, 16, 8, 8], [16, 16, 1, 1], 1), [false; 3]);
}

#[test]
fn exact_mode_multiplies_every_tap() {
    let example = Example::new(([2, 32, 8, 8], [32, 32, 3, 3], 1, 1));
    let Example { g, x, weight, dy, .. } = &example;
    assert!(forward(g, x, weight, None).is_some());
    set_exact(true);
    assert!(exact());
    let none = [forward(g, x, weight, None), backward_x(g, weight, dy, None), backward_weight(g, x, dy)];
    set_exact(false);
    assert_eq!(none, [None, None, None]);
}

/// Prints the largest errors beside those of the direct way.
#[test]
#[ignore = "a table for the documentation"]
fn errors() {
    let shapes = [
        ([2, 64, 32, 32], [64, 64, 3, 3], 1, 1),
        ([2, 128, 16, 16], [128, 128, 3, 3], 1, 1),
        ([2, 256, 8, 8], [256, 256, 3, 3], 1, 1),
        ([2, 64, 32, 32], [128, 64, 4, 4], 2, 1),
        ([2, 128, 16, 16], [256, 128, 4, 4], 2, 1),
    ];
    for case in shapes {
        let example = Example::new(case);
        let Example { g, x, weight, bias, dy } = &example;
        set_exact(true);
        let direct = [
            conv2d::forward(g, x, weight, Some(bias)),
            conv2d::backward_x(g, weight, dy, None),
            conv2d::backward_weight(g, x, dy),
        ];
        set_exact(false);
        let error = |got: &[f32], want: &[f64]| {
            let largest = want.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
            got.iter().zip(want).map(|(&x, y)| (f64::from(x) - y).abs() / largest).fold(0.0, f64::max)
        };
        println!("{case:?}");
        for ((got, direct), want) in example.run(simd::level()).iter().zip(&direct).zip(&example.twin()) {
            println!("  {:.1e} direct {:.1e}", error(got, want), error(direct, want));
        }
    }
}
