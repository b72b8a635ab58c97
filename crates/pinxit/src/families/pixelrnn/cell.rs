//! The memory cell of both networks.

use burn::tensor::{Tensor, activation};

/// Hidden and cell state.
#[derive(Debug, Clone)]
pub(super) struct State<const D: usize> {
    /// h `[B, F, ...]`.
    pub(super) hidden: Tensor<D>,
    /// c `[B, F, ...]`.
    pub(super) cell: Tensor<D>,
}

/// One step of an LSTM (van den Oord et al. 2016, "Pixel Recurrent Neural Networks", eq. 3), from what
/// input and state give the gates `[B, 4F, ...]`, in the order output, forget, input, content.
pub(super) fn step<const D: usize>(gates: Tensor<D>, cell: Tensor<D>) -> State<D> {
    let features = gates.dims()[1] / 4;
    let gate = |number: usize| gates.clone().narrow(1, number * features, features);
    let [output, forget, input] = [0, 1, 2].map(|number| activation::sigmoid(gate(number)));
    let cell = forget * cell + input * gate(3).tanh();
    State { hidden: output * cell.clone().tanh(), cell }
}
