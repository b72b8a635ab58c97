//! Results depend neither on the number of threads nor on the batch.

use crate::operations::{Case, Numbers, cases};
use burn::tensor::{DType, Device, Tensor};
use pinxit_kernels::{AdamStep, Descent, Optimized, adam, global_norm, lerp, threads};
use rayon::ThreadPoolBuilder;

fn with_threads<R: Send>(count: usize, f: impl FnOnce() -> R + Send) -> R {
    let pool = ThreadPoolBuilder::new().num_threads(count).build().unwrap();
    pool.install(|| {
        assert_eq!(threads::count(), count);
        f()
    })
}

fn bits(numbers: &Numbers) -> Vec<u32> {
    numbers.data.iter().map(|x| x.to_bits()).collect()
}

fn run(case: &Case) -> Vec<Vec<u32>> {
    (case.run)(&case.inputs, &Device::flex().autodiff(), DType::F32).iter().map(bits).collect()
}

#[test]
fn outputs_and_gradients_are_the_same_bits_on_one_two_and_three_threads() {
    for case in cases(5) {
        let one = with_threads(1, || run(&case));
        for count in [2, 3] {
            assert!(one == with_threads(count, || run(&case)), "{} on {count} threads", case.name);
        }
    }
}

#[test]
fn an_image_of_a_batch_is_the_same_bits_as_alone() {
    let device = Device::flex().autodiff();
    for case in cases(5).iter().filter(|case| case.images > 0) {
        let together = (case.run)(&case.inputs, &device, DType::F32);
        for index in 0..5 {
            let mut inputs = case.inputs.clone();
            inputs[..case.images].iter_mut().for_each(|input| *input = input.image(index));
            let alone = (case.run)(&inputs, &device, DType::F32);
            assert!(bits(&together[0].image(index)) == bits(&alone[0]), "{} of image {index}", case.name);
        }
    }
}

#[test]
fn optimizer_passes_are_the_same_bits_on_one_and_two_threads() {
    let passes = || {
        let tensor = |seed| Numbers::new(&[100_003], seed).tensor::<1>(&Device::flex());
        let positive = |seed| tensor(seed).abs();
        let step = AdamStep {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            step: 3,
            grad_scale: 1.0,
        };
        let descent = Descent { grad: tensor(2), m: tensor(3), v: positive(4) };
        let one = Optimized { param: tensor(1), descent: Some(descent), ema: Some(tensor(5)) };
        let Optimized { param, descent, ema } = adam(vec![one], step, 0.01).remove(0);
        let Descent { m, v, .. } = descent.unwrap();
        let average: Tensor<1> = lerp(tensor(5), tensor(6), 0.01);
        let numbers = [param, m, v, ema.unwrap(), average].map(|x| bits(&Numbers::from_tensor(x)));
        (numbers, global_norm(vec![tensor(7), tensor(8)]).to_bits())
    };
    assert!(with_threads(1, passes) == with_threads(2, passes));
}
