//! The operations against compositions of Burn's own, which autodiff derives: the oracle of the glue.

use crate::operations::{CAUSAL, Numbers, cases, run};
use burn::tensor::{Device, Tensor, activation, module, ops::ConvOptions, ops::ConvTransposeOptions};
use pinxit_kernels::{Activation, AdamStep, activate, adam, lerp, sum_of_squares};

type Run = fn(&[Numbers], &Device) -> Vec<Numbers>;

fn silu(x: Tensor<4>) -> Tensor<4> {
    activate(x, Activation::Silu)
}

fn burn_conv2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    module::conv2d(x, w, bias, ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1))
}

fn burn_masked_conv2d(x: Tensor<4>, w: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let mask = Tensor::<1>::from_data(CAUSAL.map(|alive| f32::from(u8::from(alive))), &w.device());
    burn_conv2d(x, w * mask.reshape([1, 1, 3, 3]), Some(bias), 1, 1)
}

fn burn_conv_transpose2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    [stride, padding, rest]: [usize; 3],
) -> Tensor<4> {
    let options = ConvTransposeOptions::new([stride; 2], [padding; 2], [rest; 2], [1; 2], 1);
    module::conv_transpose2d(x, w, bias, options)
}

fn burn_group_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, groups: usize) -> Tensor<4> {
    let dims @ [b, c, h, w] = x.dims();
    let x = x.reshape([b, groups, c / groups * h * w]);
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normal = (centred / (variance + 1e-5).sqrt()).reshape(dims);
    normal * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1])
}

fn burn_upsample(x: Tensor<4>) -> Tensor<4> {
    let [b, c, h, w] = x.dims();
    x.reshape([b * c, h, 1, w, 1]).repeat(&[1, 1, 2, 1, 2]).reshape([b, c, 2 * h, 2 * w])
}

/// The operations of [`cases`], in their order, by Burn.
fn by_burn() -> Vec<Run> {
    vec![
        run!(|(x, w, bias)| burn_conv2d(x, w, Some(bias), 1, 1), 4, 4, 1),
        run!(|(x, w, bias)| burn_conv2d(x, w, Some(bias), 1, 1), 4, 4, 1),
        run!(|(x, w)| burn_conv2d(x, w, None, 2, 1), 4, 4),
        run!(|(x, w)| burn_conv2d(x, w, None, 1, 0), 4, 4),
        run!(|(x, w, bias)| burn_masked_conv2d(x, w, bias), 4, 4, 1),
        run!(|(x, w, bias)| burn_conv_transpose2d(x, w, Some(bias), [2, 1, 0]), 4, 4, 1),
        run!(|(x, w)| burn_conv_transpose2d(x, w, None, [3, 2, 2]), 4, 4),
        run!(
            |(x, w, bias): (Tensor<2>, Tensor<2>, Tensor<1>)| x.matmul(w.transpose()) + bias.unsqueeze(),
            2,
            2,
            1
        ),
        run!(|(x, g, h)| burn_group_norm(x, g, h, 4), 4, 1, 1),
        run!(|(x, g, h)| activation::silu(burn_group_norm(x, g, h, 8)), 4, 1, 1),
        run!(|(x,)| activation::silu::<4>(x), 4),
        run!(
            |(q, k, v): (Tensor<4>, Tensor<4>, Tensor<4>)| {
                activation::softmax(q.matmul(k.transpose()) * 0.2, 3).matmul(v)
            },
            4,
            4,
            4
        ),
        run!(|(x,)| burn_upsample(x), 4),
    ]
}

#[track_caller]
fn assert_close(name: &str, got: &Numbers, want: &Numbers) {
    assert_eq!(got.dims, want.dims, "{name}: shape");
    let scale = want.data.iter().fold(0.0_f32, |scale, x| scale.max(x.abs()));
    for (i, (x, y)) in got.data.iter().zip(&want.data).enumerate() {
        assert!((x - y).abs() <= 2e-5 * scale, "{name}: number {i} is {x} instead of {y} of at most {scale}");
    }
}

#[test]
fn outputs_and_gradients_equal_those_of_burn() {
    let device = Device::flex().autodiff();
    for (case, burn) in cases(3).iter().zip(by_burn()) {
        let (got, want) = ((case.run)(&case.inputs, &device), burn(&case.inputs, &device));
        assert_eq!(got.len(), case.inputs.len() + 1);
        for (n, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_close(&format!("{} {n}", case.name), got, want);
        }
    }
}

#[test]
fn no_gradient_flows_to_an_input_that_does_not_require_it() {
    let device = Device::flex().autodiff();
    let x = Numbers::new(&[2, 3, 8, 8], 1).tensor::<4>(&device);
    let weight = Numbers::new(&[4, 3, 3, 3], 2).tensor::<4>(&device).require_grad();
    let grads = pinxit_kernels::conv2d(x.clone(), weight.clone(), None, 1, 1).sum().backward();
    assert!(x.grad(&grads).is_none());
    assert!(weight.grad(&grads).is_some());
}

#[test]
fn a_view_is_read_in_its_own_order() {
    let device = Device::flex();
    let x = Numbers::new(&[2, 8, 6, 3], 1).tensor::<4>(&device).permute([0, 3, 1, 2]);
    let got = Numbers::from_tensor(silu(x.clone().slice([0..2, 1..3, 2..8, 0..5])));
    let want = Numbers::from_tensor(activation::silu(x.slice([0..2, 1..3, 2..8, 0..5])));
    assert_close("silu of a view", &got, &want);
}

#[test]
fn other_types_take_burns_operations() {
    let x = Numbers::new(&[2, 4, 5, 5], 1);
    let device = Device::flex();
    let wide = x.tensor::<4>(&device).cast(burn::tensor::DType::F64);
    let got = pinxit_kernels::upsample_nearest2(silu(wide));
    assert_eq!(got.dtype(), burn::tensor::DType::F64);
    let want = pinxit_kernels::upsample_nearest2(silu(x.tensor::<4>(&device)));
    let got = Numbers::from_tensor(got.cast(burn::tensor::DType::F32));
    assert_close("f64", &got, &Numbers::from_tensor(want));
}

#[test]
fn the_optimizer_leaves_tensors_with_other_owners_alone() {
    let tensor = |seed| Numbers::new(&[1000], seed).tensor::<1>(&Device::flex());
    let (param, zeros) = (tensor(1), tensor(2).zeros_like());
    let step = AdamStep {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-12,
        weight_decay: 0.0,
        step: 1,
        grad_scale: 1.0,
    };
    let (moved, _, _) = adam(param.clone(), tensor(3), zeros.clone(), zeros.clone(), step);
    // The first step moves every weight by the learning rate, against the sign of the gradient.
    let moves = Numbers::from_tensor(moved - param.clone());
    let signs = Numbers::from_tensor(tensor(3).sign() * -0.1);
    assert_close("first step", &moves, &signs);
    assert_eq!(Numbers::from_tensor(param.clone()).data, Numbers::new(&[1000], 1).data);
    assert_eq!(sum_of_squares(zeros), 0.0);
    let average = Numbers::from_tensor(lerp(param.clone(), tensor(3), 0.25));
    assert_close("average", &average, &Numbers::from_tensor(param * 0.75 + tensor(3) * 0.25));
}
