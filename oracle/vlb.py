"""DDPM's variational bound by the formulas of Ho et al. 2020 in variance-preserving coordinates:
the oracle of crates/pinxit/tests/it/vlb.rs, which computes it in noise levels.

Requirements: numpy scipy==1.17.*
Run from the repository's root: python oracle/vlb.py
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import norm

SHAPE = (3, 1, 3, 4)
STEPS = 20
rng = np.random.default_rng(11)


def network(x, t):
    """F(x; t), as in samplers.py."""
    return 0.8 * x + 0.15 * x[..., ::-1] + 0.0001 * t


def normal_kl(mean1, logvar1, mean2, logvar2):
    return 0.5 * (-1 + logvar2 - logvar1 + np.exp(logvar1 - logvar2) + (mean1 - mean2) ** 2 * np.exp(-logvar2))


def discretized_nll(x, mean, std):
    """-ln of the mass of the bin of x; Ho et al. 2020, eq. 13."""
    upper, lower = (x + 1 / 255 - mean) / std, (x - 1 / 255 - mean) / std
    upper = np.where(x > 0.999, np.inf, upper)
    lower = np.where(x < -0.999, -np.inf, lower)
    flip = lower > 0  # work in the tail that keeps its digits
    upper, lower = np.where(flip, -lower, upper), np.where(flip, -upper, lower)
    log_upper, log_lower = norm.logcdf(upper), norm.logcdf(lower)
    return -(log_upper + np.log1p(-np.exp(log_lower - log_upper)))


def bound(x0, noise):
    betas = np.minimum(np.linspace(1e-4, 0.02, STEPS) * 1000 / STEPS, 0.999)
    alpha_bar = np.cumprod(1 - betas)
    before = np.append(1.0, alpha_bar[:-1])
    variance = betas * (1 - before) / (1 - alpha_bar)
    log_variance = np.log(np.append(variance[1], variance[1:]))  # clipped, because variance[0] = 0
    of_x0 = betas * np.sqrt(before) / (1 - alpha_bar)
    of_xt = (1 - before) * np.sqrt(1 - betas) / (1 - alpha_bar)
    per_image = tuple(range(1, x0.ndim))

    last = alpha_bar[-1]
    zero = np.zeros_like(x0)
    terms = [normal_kl(np.sqrt(last) * x0, np.log(1 - last) + zero, zero, zero).sum(per_image)]
    for t in reversed(range(STEPS)):
        xt = np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * noise[t]
        predicted = (xt - np.sqrt(1 - alpha_bar[t]) * network(xt, t)) / np.sqrt(alpha_bar[t])
        predicted = np.clip(predicted, -1, 1)
        mean = of_x0[t] * predicted + of_xt[t] * xt
        if t == 0:
            term = discretized_nll(x0, mean, np.exp(0.5 * log_variance[0]))
        else:
            true_mean = of_x0[t] * x0 + of_xt[t] * xt
            term = normal_kl(true_mean, log_variance[t], mean, log_variance[t])
        terms.append(term.sum(per_image))
    return terms


if __name__ == "__main__":
    levels = rng.integers(0, 256, SHAPE)
    levels[0, 0, 0, :2] = [0, 255]
    x0 = levels / 127.5 - 1
    noise = rng.standard_normal((STEPS, *SHAPE)).astype(np.float32)
    terms = bound(x0, noise.astype(np.float64))
    golden = {
        "shape": SHAPE,
        "steps": STEPS,
        "images": [int(v) for v in levels.ravel()],
        "noise": [[float(v) for v in step.ravel()] for step in noise],
        "nats": [float(v) for v in np.sum(terms, axis=0)],
    }
    path = Path(__file__).parent / "golden" / "vlb.json"
    path.write_text(json.dumps(golden) + "\n")
    print(np.array(terms).round(2)[:3], np.array(terms).round(2)[-3:], golden["nats"])
