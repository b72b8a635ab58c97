//! Gradient checkpointing of whole blocks: memory for time.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::ops::{self, Found, Leaf};
use super::params::{self, Path};

/// `forward(block, inputs)`, a function of `inputs` and the parameters of `block` and of nothing that changes.
///
/// When `on`, a block in training keeps only its inputs, and `forward` runs once more in the backward pass (Chen
/// et al. 2016, arXiv:1604.06174): about a third more time for the memory of what a block computes inside.
/// Gradients are the same to the bit either way, if an input is used by two operations at most. `forward` must do the same both times, as ours do, whose
/// random numbers are keyed; batch normalisation, which counts its batches, must stay outside. It is done for up to four inputs on the CPU, and elsewhere the block runs as usual.
pub fn checkpoint<M: Module + Sync + 'static>(
    on: bool,
    block: &M,
    inputs: Vec<Tensor<4>>,
    forward: impl Fn(&M, Vec<Tensor<4>>) -> Tensor<4> + Send + Sync + 'static,
) -> Tensor<4> {
    if !on || !ops::can_defer(&inputs) {
        // The gradients of an input's uses within the block are summed before they meet those of its uses
        // elsewhere, as below.
        return forward(block, inputs.into_iter().map(ops::identity).collect());
    }
    let leaves = leaves(block);
    let block = block.valid();
    let values: Vec<Tensor<4>> = inputs.iter().map(|input| input.clone().inner()).collect();
    let output = forward(&block, values.clone());
    let tracked: Vec<bool> = inputs.iter().map(Tensor::is_tracked).collect();
    let kept = output.clone();
    let deferred = ops::deferred(&inputs, output, move |grad| {
        let fresh = block.clone().map(&mut Fresh);
        let again: Vec<Tensor<4>> = values
            .iter()
            .zip(&tracked)
            .map(|(input, &tracked)| input.clone().autodiff().set_require_grad(tracked))
            .collect();
        let mut gradients = ops::root(forward(&fresh, again.clone()), grad).backward();
        let found = again.iter().map(|input| input.grad_remove(&mut gradients)).collect();
        let mut parameters = params::gradients(&fresh, &mut gradients);
        let beside = |(name, leaf): &(String, Leaf)| {
            parameters.remove(name).map(|grad| (*leaf, grad.shape, grad.values))
        };
        Found { inputs: found, leaves: leaves.iter().filter_map(beside).collect() }
    });
    deferred.unwrap_or(kept)
}

/// Where the gradients of the parameters that want one go, by name.
fn leaves<M: Module>(block: &M) -> Vec<(String, Leaf)> {
    struct Collect {
        path: Path,
        found: Vec<(String, Leaf)>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(leaf) = Leaf::of(&param.val()) {
                self.found.push((self.path.name(), leaf));
            }
        }
    }
    let mut collect = Collect { path: Path::default(), found: Vec::new() };
    block.visit(&mut collect);
    collect.found
}

/// Makes every parameter a leaf of a graph of its own.
struct Fresh;

impl ModuleMapper for Fresh {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| value.autodiff().require_grad())
    }
}
