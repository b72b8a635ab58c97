//! Operations whose backward pass is the caller's: what gradient checkpointing of whole blocks is made of.
//!
//! Burn records every operation of a block with what its backward pass needs. A deferred operation takes the
//! place of all of them: it holds a function that is asked for the gradients when they are due, and may compute
//! them by running the block again (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
//! arXiv:1604.06174).

use crate::glue::{self, Array, Operation};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// Inputs that a deferred operation may have.
const INPUTS: usize = 4;

type Tracked = FloatTensor<Autodiff<Flex>>;

/// Where the gradient of a tensor goes. It does not keep the tensor alive.
#[derive(Clone, Copy, Debug)]
pub struct Leaf(NodeId);

impl Leaf {
    /// The place of a tensor that takes part in autodiff on the CPU; `None` for others.
    pub fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let tracked = glue::supported(tensor) && tensor.is_tracked();
        tracked.then(|| primitive(tensor).map(|tensor| Self(tensor.id()))).flatten()
    }
}

/// What the backward pass of a deferred operation finds: gradients without autodiff.
#[derive(Debug, Default)]
pub struct Found {
    /// Those of the inputs, in their order; `None` where an input has none.
    pub inputs: Vec<Option<Tensor<4>>>,
    /// Those of other tensors, flat, with the shapes of the tensors.
    pub leaves: Vec<(Leaf, Vec<usize>, Tensor<1>)>,
}

/// A tensor with the values of `output`, which has no autodiff, that is a function of `inputs`: the backward
/// pass calls `gradients` with the gradient of the output.
///
/// `None` where it can't be done: if no input is tracked, there are more than four or none, or not all are `f32`
/// on the CPU under Burn's plain autodiff.
pub fn deferred(
    inputs: &[Tensor<4>],
    output: Tensor<4>,
    gradients: impl Fn(Tensor<4>) -> Found + Send + Sync + 'static,
) -> Option<Tensor<4>> {
    if !can_defer(inputs) {
        return None;
    }
    let inputs: Vec<Tracked> = inputs.iter().map(primitive).collect::<Option<_>>()?;
    // The places that are left are taken by the first input, which may be a parent more than once.
    let nodes = std::array::from_fn(|i| inputs.get(i).unwrap_or(&inputs[0]).node());
    let state = State { inputs: inputs.len(), gradients: Arc::new(gradients) };
    let output = output.try_into_primitive::<Flex>().ok()?;
    let prepared = Deferred.prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    Some(Tensor::from_primitive::<Autodiff<Flex>>(match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }))
}

/// Whether [`deferred`] works with these inputs.
pub fn can_defer(inputs: &[Tensor<4>]) -> bool {
    (1..=INPUTS).contains(&inputs.len())
        && inputs.iter().any(Tensor::is_tracked)
        && inputs.iter().all(|x| glue::supported(x) && primitive(x).is_some())
}

fn primitive<const D: usize>(tensor: &Tensor<D>) -> Option<Tracked> {
    tensor.clone().try_into_primitive::<Autodiff<Flex>>().ok()
}

#[derive(Clone)]
struct State {
    inputs: usize,
    gradients: Arc<dyn Fn(Tensor<4>) -> Found + Send + Sync>,
}

impl Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Deferred;

impl Backward<Flex, INPUTS> for Deferred {
    type State = State;

    fn backward(self, ops: Ops<State, INPUTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let found = (ops.state.gradients)(Tensor::from_primitive::<Flex>(grad));
        for (parent, grad) in ops.parents.iter().take(ops.state.inputs).zip(found.inputs) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, glue::into_array(grad).into_flex());
            }
        }
        for (Leaf(id), shape, grad) in found.leaves {
            grads.register::<Flex>(id, glue::into_array(grad).reshaped(shape).into_flex());
        }
    }
}

/// `x` itself, as an operation of its own: what is made of the result adds up its gradients before they meet
/// those of other uses of `x`, as behind a [`deferred`] operation.
pub fn identity(x: Tensor<4>) -> Tensor<4> {
    if glue::supported(&x) && x.is_tracked() { glue::apply1(Identity, x) } else { x }
}

#[derive(Clone, Debug)]
struct Identity;

impl Operation for Identity {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, inputs: &[Array]) -> Array {
        inputs[0].clone()
    }

    fn backward(&self, _inputs: &[Array], grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        vec![Some(grad.clone())]
    }
}

/// A number whose gradient with respect to `y` is `grad`: its backward pass is that of `y` from there.
pub fn root(y: Tensor<4>, grad: Tensor<4>) -> Tensor<1> {
    if glue::supported(&y) && glue::supported(&grad) {
        return glue::apply1(Root(glue::into_array(grad)), y);
    }
    (y * grad).sum()
}

#[derive(Clone, Debug)]
struct Root(Array);

impl Operation for Root {
    fn keeps_inputs(&self) -> bool {
        false
    }

    fn forward(&self, _inputs: &[Array]) -> Array {
        Array::new(vec![0.0], [1])
    }

    fn backward(&self, _inputs: &[Array], _grad: &Array, _wanted: &[bool]) -> Vec<Option<Array>> {
        vec![Some(self.0.clone())]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn tensor(values: [f32; 2]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 2, 1, 1]), &Device::flex())
    }

    fn values(tensor: Option<Tensor<4>>) -> Vec<f32> {
        tensor.unwrap().into_data().try_into_vec().unwrap()
    }

    /// `y = 3 x w` with the gradients written out.
    #[test]
    fn gradients_reach_inputs_and_leaves_beside_those_of_other_operations() {
        let (x, w) = (tensor([2.0, 3.0]), tensor([5.0, 7.0]));
        let [tracked_x, tracked_w] = [&x, &w].map(|t| t.clone().autodiff().require_grad());
        let leaf = Leaf::of(&tracked_w).unwrap();
        let output = x.clone() * w.clone() * 3.0;
        let gradients = move |grad: Tensor<4>| Found {
            inputs: vec![Some(grad.clone() * w.clone() * 3.0)],
            leaves: vec![(leaf, vec![1, 2, 1, 1], (grad * x.clone() * 3.0).flatten(0, 3))],
        };
        let y = deferred(std::slice::from_ref(&tracked_x), output, gradients).unwrap();
        let found = (y.sum() + (tracked_x.clone() * tracked_w.clone()).sum()).backward();
        assert_eq!(values(tracked_x.grad(&found)), [20.0, 28.0]);
        assert_eq!(values(tracked_w.grad(&found)), [8.0, 12.0]);
    }

    #[test]
    fn without_a_tracked_input_nothing_is_deferred() {
        let x = tensor([1.0, 2.0]);
        assert!(deferred(std::slice::from_ref(&x), x.clone(), |_| Found::default()).is_none());
        assert!(deferred(&[], x.clone(), |_| Found::default()).is_none());
        assert!(Leaf::of(&x).is_none());
    }

    #[test]
    fn the_root_begins_with_the_given_gradient() {
        let x = tensor([1.0, 2.0]).autodiff().require_grad();
        let y = identity(x.clone()) * 2.0;
        let gradients = root(y, tensor([10.0, 20.0])).backward();
        assert_eq!(values(x.grad(&gradients)), [20.0, 40.0]);
    }
}
