//! The Diagonal BiLSTM: states run along the diagonals, from both upper corners.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;

use super::cell::{State, step};
use super::{Recurrent, RecurrentWalk};
use crate::likelihood::autoregressive::Start;
use crate::likelihood::autoregressive::setup::NetworkConfig;
use crate::nn::stepwise::{Taps, Trail};
use crate::nn::{CausalConv2d, Init, MaskType, MaskedConv2d, Tally};

/// A layer (van den Oord et al. 2016, section 3.2): one LSTM from the left, one from the right, whose
/// output moves down a row so that no pixel sees those after it; together they see all pixels before.
#[derive(Module, Debug)]
pub(super) struct DiagonalBiLstm {
    left: DiagonalLstm,
    right: DiagonalLstm,
}

/// An LSTM from the upper left: the state of a pixel comes from its left and its upper neighbour.
#[derive(Module, Debug)]
struct DiagonalLstm {
    input_to_state: MaskedConv2d,
    /// Two rows of the previous diagonal.
    state_to_state: CausalConv2d,
    features: usize,
}

impl DiagonalBiLstm {
    /// From `width` features to half of them.
    pub(super) fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        Self { left: DiagonalLstm::new(config, init), right: DiagonalLstm::new(config, init) }
    }

    /// Counts what a layer costs.
    pub(super) fn count(config: &NetworkConfig, tally: &mut Tally) {
        let features = config.width / 2;
        for _ in ["left", "right"] {
            tally.taps(config.width, 4 * features, 1, config.size);
            tally.taps(features, 4 * features, 2, config.size);
            tally.memory(9 * features, config.size);
        }
    }
}

impl DiagonalLstm {
    fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let features = config.width / 2;
        Self {
            input_to_state: MaskedConv2d::new(MaskType::B, config.width, 4 * features, 1, init)
                .with_colours(config.colours),
            state_to_state: CausalConv2d::down_right(features, 4 * features, [2, 1], init),
            features,
        }
    }

    /// `[B, 2F, H, W]` -> `[B, F, H, W]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = x.dims();
        let input = skew(self.input_to_state.forward(x)); // [B, 4F, H, W + H - 1]
        let zeros = Tensor::<4>::zeros([batch, self.features, height, 1], &input.device());
        let inside = skew(Tensor::<4>::ones([1, 1, height, width], &input.device()));
        let mut state = State { hidden: zeros.clone(), cell: zeros };
        let mut diagonals = Vec::with_capacity(width + height);
        for diagonal in 0..width + height - 1 {
            let gates = input.clone().narrow(3, diagonal, 1) + self.state_to_state.forward(state.hidden);
            // A skewed row begins and ends inside of the map: no state comes from beyond the picture.
            let inside = inside.clone().narrow(3, diagonal, 1);
            let State { hidden, cell } = step(gates, state.cell);
            state = State { hidden: hidden * inside.clone(), cell: cell * inside }; // [B, F, H, 1]
            diagonals.push(state.hidden.clone());
        }
        unskew(Tensor::cat(diagonals, 3), width)
    }
}

/// Row r moved r pixels to the right: `[B, C, H, W]` -> `[B, C, H, W + H - 1]` (figure 3).
fn skew(x: Tensor<4>) -> Tensor<4> {
    let height = x.dims()[2];
    let row = |row: usize| {
        x.clone().narrow(2, row, 1).pad([(0, 0), (row, height - 1 - row)], PadMode::Constant(0.0))
    };
    Tensor::cat((0..height).map(row).collect(), 2)
}

/// Back again.
fn unskew(x: Tensor<4>, width: usize) -> Tensor<4> {
    let row = |row: usize| x.clone().narrow(2, row, 1).narrow(3, row, width);
    Tensor::cat((0..x.dims()[2]).map(row).collect(), 2)
}

impl Recurrent for DiagonalBiLstm {
    fn forward(&self, x: Tensor<4>, right: Tensor<4>) -> Tensor<4> {
        let height = x.dims()[2];
        let left = self.left.forward(x);
        let right = self.right.forward(right.flip([3])).flip([3]);
        left + right.pad([(1, 0), (0, 0)], PadMode::Constant(0.0)).narrow(2, 0, height)
    }

    fn walk(&self, start: &Start) -> Box<dyn RecurrentWalk> {
        let side = |lstm: &DiagonalLstm| SideWalk {
            input_to_state: lstm.input_to_state.taps(),
            state_to_state: lstm.state_to_state.taps(),
            hidden: Trail::new(start.batch, lstm.features, 2, &start.device),
            cell: Trail::new(start.batch, lstm.features, 2, &start.device),
        };
        Box::new(DiagonalWalk {
            left: side(&self.left),
            right: side(&self.right),
            input: Trail::new(start.batch, 2 * self.left.features, 2, &start.device),
            width: start.width,
        })
    }
}

struct DiagonalWalk {
    left: SideWalk,
    /// In columns counted from the right; a row behind.
    right: SideWalk,
    /// What the right one sees.
    input: Trail,
    width: usize,
}

/// One of the two LSTMs on its way.
struct SideWalk {
    input_to_state: Taps,
    state_to_state: Taps,
    hidden: Trail,
    cell: Trail,
}

impl SideWalk {
    fn step(&mut self, at @ [row, column]: [usize; 2], x: Tensor<2>) -> Tensor<2> {
        // The previous diagonal holds the upper neighbour in the row above and the left one in this row.
        let (above, left) = ([row as isize - 1, column as isize], [row as isize, column as isize - 1]);
        let hidden = [above, left].map(|[row, column]| self.hidden.at(row, column));
        let gates = self.input_to_state.of(x) + self.state_to_state.of(Tensor::cat(hidden.into(), 1));
        let State { hidden, cell } = step(gates, self.cell.at(left[0], left[1]));
        self.hidden.set(at, hidden.clone());
        self.cell.set(at, cell);
        hidden
    }
}

impl RecurrentWalk for DiagonalWalk {
    fn step(&mut self, at @ [row, column]: [usize; 2], x: Tensor<2>) -> Tensor<2> {
        if let (0, Some(above)) = (column, row.checked_sub(1)) {
            for from_right in 0..self.width {
                let x = self.input.at(above as isize, (self.width - 1 - from_right) as isize);
                self.right.step([above, from_right], x);
            }
        }
        self.input.set(at, x.clone());
        let right = self.right.hidden.at(row as isize - 1, (self.width - 1 - column) as isize);
        self.left.step(at, x) + right
    }

    fn see_right(&mut self, row: usize, right: Tensor<2>) {
        self.input.set_row(row, right);
    }
}
