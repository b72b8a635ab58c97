//! The Row LSTM: a row's state comes from the row above, all columns at once.

use burn::module::Module;
use burn::tensor::Tensor;

use super::cell::{State, step};
use super::{Recurrent, RecurrentWalk};
use crate::likelihood::autoregressive::Start;
use crate::likelihood::autoregressive::setup::NetworkConfig;
use crate::nn::stepwise::{Taps, Trail};
use crate::nn::{CausalConv2d, Init, MaskType, Tally};

/// A layer (van den Oord et al. 2016, section 3.1): the input of a pixel is its own row up to itself, its
/// state the three pixels above, so that it sees a triangle.
#[derive(Module, Debug)]
pub(super) struct RowLstm {
    input_to_state: CausalConv2d,
    state_to_state: CausalConv2d,
    features: usize,
}

impl RowLstm {
    /// From `width` features to half of them.
    pub(super) fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let features = config.width / 2;
        Self {
            // A 3x1 kernel of type B sees two pixels.
            input_to_state: CausalConv2d::down_right(config.width, 4 * features, [1, 2], init)
                .masked(MaskType::B, config.colours),
            state_to_state: CausalConv2d::down(features, 4 * features, [1, 3], init),
            features,
        }
    }

    /// Counts what a layer costs.
    pub(super) fn count(config: &NetworkConfig, tally: &mut Tally) {
        let features = config.width / 2;
        tally.taps(config.width, 4 * features, 2, config.size);
        tally.taps(features, 4 * features, 3, config.size);
        tally.memory(7 * features, config.size);
    }
}

impl Recurrent for RowLstm {
    fn forward(&self, x: Tensor<4>, _: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = x.dims();
        let input = self.input_to_state.forward(x); // [B, 4F, H, W]
        let zeros = Tensor::zeros([batch, self.features, 1, width], &input.device());
        let mut state = State { hidden: zeros.clone(), cell: zeros };
        let mut rows = Vec::with_capacity(height);
        for row in 0..height {
            let gates = input.clone().narrow(2, row, 1) + self.state_to_state.forward(state.hidden);
            state = step(gates, state.cell); // [B, F, 1, W]
            rows.push(state.hidden.clone());
        }
        Tensor::cat(rows, 2)
    }

    fn walk(&self, start: &Start) -> Box<dyn RecurrentWalk> {
        let trail = |channels| Trail::new(start.batch, channels, 2, &start.device);
        Box::new(RowWalk {
            input_to_state: self.input_to_state.taps(),
            state_to_state: self.state_to_state.taps(),
            input: trail(2 * self.features),
            hidden: trail(self.features),
            cell: trail(self.features),
        })
    }
}

struct RowWalk {
    input_to_state: Taps,
    state_to_state: Taps,
    input: Trail,
    hidden: Trail,
    cell: Trail,
}

impl RecurrentWalk for RowWalk {
    fn step(&mut self, at @ [row, column]: [usize; 2], x: Tensor<2>) -> Tensor<2> {
        self.input.set(at, x);
        let (above, column) = (row as isize - 1, column as isize);
        let state = [-1, 0, 1].map(|right| self.hidden.at(above, column + right));
        let gates =
            self.input_to_state.at(&self.input, at) + self.state_to_state.of(Tensor::cat(state.into(), 1));
        let State { hidden, cell } = step(gates, self.cell.at(above, column));
        self.hidden.set(at, hidden.clone());
        self.cell.set(at, cell);
        hidden
    }
}
