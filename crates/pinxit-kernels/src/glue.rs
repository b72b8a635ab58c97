//! The way from Burn's tensors to slices and back, forward and backward, written once for all operations.
//!
//! A kernel becomes a differentiable operation on Burn tensors by implementing [`Operation`] over contiguous
//! `f32` arrays. It runs when the tensors live on Burn's CPU backend `Flex` in `f32` ([`supported`]); on
//! every other device and type the public functions of this crate compose Burn's own operations instead.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Tensor, TensorData};
use std::fmt::Debug;

/// A contiguous `f32` array in row-major order.
#[derive(Clone, Debug)]
pub(crate) struct Array(FlexTensor);

impl Array {
    /// Takes `data` as an array of the shape `dims`.
    pub(crate) fn new(data: Vec<f32>, dims: impl Into<Vec<usize>>) -> Self {
        Self(FlexTensor::from_data(TensorData::new(data, dims.into())))
    }

    fn from_tensor(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    /// The same elements in another shape.
    pub(crate) fn reshaped(self, dims: impl Into<Vec<usize>>) -> Self {
        Self(self.0.reshape(Shape::from(dims.into())))
    }

    /// An array of this shape that holds one element, for operations that ask for no more.
    fn shape_only(self) -> Self {
        let shape = self.0.shape();
        let one = FlexTensor::from_data(TensorData::new(vec![0.0_f32], vec![1; shape.num_dims()]));
        Self(Flex::float_expand(one, shape))
    }

    /// As Burn's CPU backend holds it.
    pub(crate) fn into_flex(self) -> FlexTensor {
        self.0
    }

    pub(crate) fn data(&self) -> &[f32] {
        self.0.storage()
    }

    /// The elements for writing: in place when nothing else holds them, else in a copy of our own.
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        self.0.storage_mut()
    }

    /// The shape, which has `D` dimensions.
    pub(crate) fn dims<const D: usize>(&self) -> [usize; D] {
        let shape = self.0.shape();
        std::array::from_fn(|i| shape[i])
    }
}

/// An operation with one output and up to four inputs.
pub(crate) trait Operation: Clone + Debug + Send + Sync + 'static {
    fn forward(&self, inputs: &[Array]) -> Array;

    /// Whether the backward pass looks at the elements of the inputs, not at their shapes alone: if not, they are
    /// free as soon as nothing else needs them.
    fn keeps_inputs(&self) -> bool {
        true
    }

    /// Whether [`Operation::backward`] gets the output after the inputs.
    fn keeps_output(&self) -> bool {
        false
    }

    /// Gradients with respect to the inputs for which `wanted` is true, given the one of the output.
    fn backward(&self, inputs: &[Array], grad: &Array, wanted: &[bool]) -> Vec<Option<Array>>;
}

/// Whether the kernels handle this tensor.
pub(crate) fn supported<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Whether the kernels handle the tensors of a layer.
pub(crate) fn supported_layer<const D: usize>(
    x: &Tensor<D>,
    weight: &Tensor<D>,
    bias: Option<&Tensor<1>>,
) -> bool {
    supported(x) && supported(weight) && bias.is_none_or(supported)
}

/// The elements of a [`supported`] tensor, without its history.
///
/// The storage moves, so an array whose tensor had no other owner is written in place.
pub(crate) fn into_array<const D: usize>(x: Tensor<D>) -> Array {
    match x.inner().try_into_primitive::<Flex>() {
        Ok(tensor) => Array::from_tensor(tensor),
        Err(error) => unreachable!("a tensor that is supported is on Flex: {error:?}"),
    }
}

/// An array as a tensor of Burn.
pub(crate) fn into_tensor<const D: usize>(array: Array) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(array.0)
}

/// `op(a)`.
pub(crate) fn apply1<const D: usize, const E: usize>(op: impl Operation, a: Tensor<D>) -> Tensor<E> {
    Tensor::from_dispatch(Dispatch::unary(op, a.into_dispatch()))
}

/// `op(a, b)`.
pub(crate) fn apply2<const D: usize, const E: usize, const F: usize>(
    op: impl Operation,
    a: Tensor<D>,
    b: Tensor<E>,
) -> Tensor<F> {
    Tensor::from_dispatch(Dispatch::binary(op, a.into_dispatch(), b.into_dispatch()))
}

/// `op(a, b, c)`.
pub(crate) fn apply3<const D: usize, const E: usize, const F: usize, const G: usize>(
    op: impl Operation,
    a: Tensor<D>,
    b: Tensor<E>,
    c: Tensor<F>,
) -> Tensor<G> {
    Tensor::from_dispatch(Dispatch::ternary(op, a.into_dispatch(), b.into_dispatch(), c.into_dispatch()))
}

/// `op(x, weight, bias)`, or `op(x, weight)` without bias.
pub(crate) fn apply_layer<const D: usize>(
    op: impl Operation,
    x: Tensor<D>,
    weight: Tensor<D>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    match bias {
        Some(bias) => apply3(op, x, weight, bias),
        None => apply2(op, x, weight),
    }
}

/// The gradients of a layer that are wanted, of its input, its weight, and its bias if it has one.
pub(crate) fn layer_grads(
    wanted: &[bool],
    dx: impl FnOnce() -> Array,
    dweight: impl FnOnce() -> Array,
    dbias: impl FnOnce() -> Array,
) -> Vec<Option<Array>> {
    let mut grads = vec![wanted[0].then(dx), wanted[1].then(dweight)];
    if let Some(&wanted) = wanted.get(2) {
        grads.push(wanted.then(dbias));
    }
    grads
}

/// `op(a, b, c, d)`.
pub(crate) fn apply4<const D: usize, const E: usize, const F: usize, const G: usize, const H: usize>(
    op: impl Operation,
    (a, b): (Tensor<D>, Tensor<E>),
    (c, d): (Tensor<F>, Tensor<G>),
) -> Tensor<H> {
    let ([a, b], [c, d]) = ([a.into_dispatch(), b.into_dispatch()], [c.into_dispatch(), d.into_dispatch()]);
    Tensor::from_dispatch(Dispatch::quaternary(op, a, b, c, d))
}

/// The extension of Burn's backends: run any [`Operation`].
#[backend_extension(Flex, Autodiff)]
trait Apply: Backend {
    fn unary<O: Operation>(op: O, a: FloatTensor<Self>) -> FloatTensor<Self>;
    fn binary<O: Operation>(op: O, a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    fn ternary<O: Operation>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn quaternary<O: Operation>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Apply for Flex {
    fn unary<O: Operation>(op: O, a: FlexTensor) -> FlexTensor {
        forward(&op, [a]).0
    }

    fn binary<O: Operation>(op: O, a: FlexTensor, b: FlexTensor) -> FlexTensor {
        forward(&op, [a, b]).0
    }

    fn ternary<O: Operation>(op: O, a: FlexTensor, b: FlexTensor, c: FlexTensor) -> FlexTensor {
        forward(&op, [a, b, c]).0
    }

    fn quaternary<O: Operation>(
        op: O,
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
    ) -> FlexTensor {
        forward(&op, [a, b, c, d]).0
    }
}

impl<C: CheckpointStrategy> Apply for Autodiff<Flex, C> {
    fn unary<O: Operation>(op: O, a: FloatTensor<Self>) -> FloatTensor<Self> {
        tracked::<C, O, 1>(op, [a])
    }

    fn binary<O: Operation>(op: O, a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        tracked::<C, O, 2>(op, [a, b])
    }

    fn ternary<O: Operation>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        tracked::<C, O, 3>(op, [a, b, c])
    }

    fn quaternary<O: Operation>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        tracked::<C, O, 4>(op, [a, b, c, d])
    }
}

fn forward<O: Operation, const N: usize>(op: &O, inputs: [FlexTensor; N]) -> Array {
    op.forward(&inputs.map(Array::from_tensor))
}

/// Runs `op` and records it for the backward pass, which gets the inputs again.
fn tracked<C: CheckpointStrategy, O: Operation, const N: usize>(
    op: O,
    inputs: [FloatTensor<Autodiff<Flex>>; N],
) -> FloatTensor<Autodiff<Flex>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| Array::from_tensor(input.into_primitive()));
    let output = op.forward(&inputs);
    let keeps_inputs = op.keeps_inputs();
    let kept = op.keeps_output().then(|| output.clone());
    match Step(op).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let inputs = if keeps_inputs { inputs } else { inputs.map(Array::shape_only) };
            prep.finish(inputs.into_iter().chain(kept).collect(), output.0)
        }
        OpsKind::UnTracked(prep) => prep.finish(output.0),
    }
}

/// The backward step of an operation; its state are the inputs, and the output if it is kept.
#[derive(Debug)]
struct Step<O>(O);

impl<O: Operation, const N: usize> Backward<Flex, N> for Step<O> {
    type State = Vec<Array>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = Array::from_tensor(grads.consume::<Flex>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.backward(&ops.state, &grad, &wanted);
        for (node, grad) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(grad)) = (node, grad) {
                grads.register::<Flex>(node.id, grad.0);
            }
        }
    }
}
