//! What a discriminator and a generator want: the losses of the field, on raw verdicts (logits).

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, relu};
use serde::{Deserialize, Serialize};

/// The game that the two networks play. D is the discriminator's verdict without a sigmoid, high for
/// what it takes for real; x is real and x~ is fake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Goodfellow et al. 2014, eq. 1: G lowers log(1 - sigmoid(D(x~))), whose gradient vanishes when D wins.
    Minimax,
    /// Goodfellow et al. 2014, section 3: G raises log(sigmoid(D(x~))).
    NonSaturating,
    /// Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17.
    Hinge,
    /// Mao et al. 2017, eq. 9: a = 0, b = c = 1.
    LeastSquares,
    /// Arjovsky et al. 2017, eq. 2: needs a D of bounded slope.
    Wasserstein,
    /// Jolicoeur-Martineau 2019, eq. 5, with the loss of Huang et al. 2024 (R3GAN), eq. 2: each fake
    /// is compared with one real picture.
    Relativistic,
}

impl Loss {
    /// The discriminator's loss for verdicts on real and on fake pictures, `[N]` each, as a mean over
    /// them. `smoothing` takes the target of real pictures from 1 to `1 - smoothing` (one-sided,
    /// Salimans et al. 2016, section 3.4) where the loss has a target.
    pub fn discriminator(self, real: Tensor<1>, fake: Tensor<1>, smoothing: f64) -> Tensor<1> {
        match self {
            Self::Relativistic => surprise(real - fake).mean(),
            _ => self.of_real(real, smoothing).mean() + self.of_fake(fake).mean(),
        }
    }

    /// What D has to pay for each real picture's (or pixel's) verdict, `[N]`; not for the relativistic
    /// loss, which knows pairs only.
    pub(super) fn of_real(self, real: Tensor<1>, smoothing: f64) -> Tensor<1> {
        match self {
            // Cross-entropy with target t: -t log(s(D)) - (1 - t) log(1 - s(D)) = -log(s(D)) + (1 - t) D.
            Self::Minimax | Self::NonSaturating | Self::Relativistic => {
                surprise(real.clone()) + real * smoothing
            }
            Self::Hinge => relu(-real + 1.0),
            Self::LeastSquares => (real - (1.0 - smoothing)).square() * 0.5,
            Self::Wasserstein => -real,
        }
    }

    /// What D has to pay for each fake one's verdict, as [`of_real`](Self::of_real).
    pub(super) fn of_fake(self, fake: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Minimax | Self::NonSaturating | Self::Relativistic => surprise(-fake),
            Self::Hinge => relu(fake + 1.0),
            Self::LeastSquares => fake.square() * 0.5,
            Self::Wasserstein => fake,
        }
    }

    /// The generator's loss for the same verdicts; only the relativistic one looks at `real`.
    pub fn generator(self, real: Option<Tensor<1>>, fake: Tensor<1>) -> Tensor<1> {
        match (self, real) {
            (Self::Minimax, _) => -surprise(-fake).mean(),
            (Self::Relativistic, Some(real)) => surprise(fake - real).mean(),
            (Self::NonSaturating | Self::Relativistic, _) => surprise(fake).mean(),
            (Self::Hinge | Self::Wasserstein, _) => -fake.mean(),
            (Self::LeastSquares, _) => (fake - 1.0).square().mean() * 0.5,
        }
    }

    /// Whether the generator's loss needs verdicts on real pictures too.
    pub fn compares(self) -> bool {
        self == Self::Relativistic
    }

    /// Whether real pictures have a target that can be smoothed.
    pub fn has_target(self) -> bool {
        matches!(self, Self::Minimax | Self::NonSaturating | Self::LeastSquares)
    }

    /// The verdict above which D takes a picture for real, where the loss fixes one: a Wasserstein or
    /// relativistic D is the same with any constant added.
    pub fn threshold(self) -> Option<f64> {
        match self {
            Self::Minimax | Self::NonSaturating | Self::Hinge => Some(0.0),
            Self::LeastSquares => Some(0.5),
            Self::Wasserstein | Self::Relativistic => None,
        }
    }
}

/// `-log(sigmoid(x)) = log(1 + exp(-x))`, without overflow.
fn surprise(x: Tensor<1>) -> Tensor<1> {
    -log_sigmoid(x)
}
