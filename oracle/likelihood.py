"""Golden values of likelihoods and bounds from PyTorch's distributions, in f64: nats and gradients of
the pixel distributions, of the variational bounds, and of a linear Gaussian model, which has a closed form.

Requirements: numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence

GOLDEN = Path(__file__).parent / "golden" / "likelihood.safetensors"
SIZE = (3, 2)
tensors = {}


def keep(name, **values):
    for key, value in values.items():
        tensors[f"{name}/{key}"] = value.detach().float().contiguous()


def pictures(batch, channels, levels):
    """Levels of random pictures, the first and the last level among them."""
    places = torch.randint(0, levels, (batch, channels, *SIZE))
    places[0, :, 0, 0], places[0, :, 1, 0] = 0, levels - 1
    return places


def values(places, levels):
    return places.double() / (levels - 1) * 2 - 1


def finish(name, parameters, x, nats):
    """Gradient of a weighted sum over the pictures."""
    weights = torch.linspace(0.5, 1.5, len(nats), dtype=torch.float64)
    (nats * weights).sum().backward()
    keep(name, parameters=parameters, x=x, nats=nats, gradient=parameters.grad)


def parameters_of(batch, count, scale=1.0):
    return (scale * torch.randn(batch, count, *SIZE)).float().double().requires_grad_()


def bernoulli():
    places, p = pictures(2, 2, 2), parameters_of(2, 2, 3.0)
    log_prob = Bernoulli(logits=p).log_prob(places.double())
    finish("bernoulli", p, values(places, 2), -log_prob.sum((1, 2, 3)))


def gaussian():
    levels, p = 17, parameters_of(2, 4)
    y = (pictures(2, 2, levels).double() + torch.rand(2, 2, *SIZE).float().double()) / levels  # in [0, 1)
    mean, ln_var = p[:, :2], p[:, 2:]
    on_unit = Normal((mean + 1) / 2, (0.5 * ln_var).exp() / 2)  # the same density on [0, 1]
    bits_constant = torch.log(torch.tensor(float(levels), dtype=torch.float64))
    finish("gaussian", p, 2 * y - 1, (bits_constant - on_unit.log_prob(y)).sum((1, 2, 3)))


def softmax(levels):
    places, p = pictures(2, 3, levels), parameters_of(2, 3 * levels, 2.0)
    finish(f"softmax_{levels}", p, values(places, levels), softmax_nats(p, places, levels))


def logistic_cdf(x, mean, ln_scale):
    return torch.sigmoid((x - mean) / ln_scale.exp())


def logistic_nats(p, places, mixtures, levels):
    """Salimans et al. 2017, eq. 2: the mass of each level as a difference of distribution functions."""
    channels = places.shape[1]
    x, part = values(places, levels), p.unflatten(1, (-1, mixtures))
    logits, means = part[:, 0], part[:, 1 : 1 + channels]
    ln_scales = part[:, 1 + channels : 1 + 2 * channels].clamp(min=-7)
    coefficients = torch.tanh(part[:, 1 + 2 * channels :])
    joint = torch.ones_like(logits)
    pair = 0
    for i in range(channels):
        mean = means[:, i]
        for j in range(i):
            mean = mean + coefficients[:, pair] * x[:, j : j + 1]
            pair += 1
        half = 1 / (levels - 1)
        high = logistic_cdf(x[:, i : i + 1] + half, mean, ln_scales[:, i])
        low = logistic_cdf(x[:, i : i + 1] - half, mean, ln_scales[:, i])
        high = torch.where(places[:, i : i + 1] == levels - 1, torch.ones_like(high), high)
        low = torch.where(places[:, i : i + 1] == 0, torch.zeros_like(low), low)
        joint = joint * (high - low)
    return -(joint * torch.softmax(logits, 1)).sum(1).log().sum((1, 2))


def logistic(channels, mixtures, levels, ln_scale):
    count = mixtures * (1 + 2 * channels + channels * (channels - 1) // 2)
    places, p = pictures(2, channels, levels), parameters_of(2, count)
    with torch.no_grad():
        p[:, mixtures * (1 + channels) : mixtures * (1 + 2 * channels)] += ln_scale
    nats = logistic_nats(p, places, mixtures, levels)
    finish(f"logistic_{channels}_{mixtures}_{levels}", p, values(places, levels), nats)


def softmax_nats(p, places, levels):
    logits = p.unflatten(1, (-1, levels)).movedim(2, 1)
    return F.cross_entropy(logits, places, reduction="none").sum((1, 2, 3))


def bounds():
    """The evidence lower bound and the importance-weighted one of given samples."""
    batch, latents, samples = 4, 3, 5
    mean, ln_var = (torch.randn(batch, latents).float().double().requires_grad_() for _ in range(2))
    posterior, prior = Normal(mean, (0.5 * ln_var).exp()), Normal(torch.zeros(()).double(), torch.ones(()).double())
    kl = kl_divergence(posterior, prior)
    kl.sum().backward()
    keep("kl", mean=mean, ln_var=ln_var, kl=kl, gradient_mean=mean.grad, gradient_ln_var=ln_var.grad)
    mean.grad = ln_var.grad = None

    posterior = Normal(mean, (0.5 * ln_var).exp())
    noise = torch.randn(samples, batch, latents).float().double()
    reconstruction = (5 * torch.randn(samples, batch)).float().double()
    z = mean + (0.5 * ln_var).exp() * noise
    ln_weights = reconstruction + (prior.log_prob(z) - posterior.log_prob(z)).sum(-1)
    nats = -(torch.logsumexp(ln_weights, 0) - torch.log(torch.tensor(float(samples))))
    nats.sum().backward()
    keep("iwae", noise=noise, reconstruction=reconstruction, nats=nats, gradient_mean=mean.grad,
         gradient_ln_var=ln_var.grad)
    floor = kl.detach().mean(0).clamp(min=0.8).sum() * batch
    keep("free_bits", rate=floor.reshape(1))


def linear_gaussian():
    """z ~ N(0, I), x = W z + b + N(0, s^2): x is Gaussian, and so is the posterior; the columns of W are
    orthogonal, so that the posterior is diagonal."""
    dims, latents, batch, ln_var = 12, 3, 6, -1.5
    w = torch.linalg.qr(torch.randn(dims, latents).double())[0] * torch.tensor([2.0, 1.0, 0.5])
    w, b = w.float().double(), torch.randn(dims).float().double()
    variance = torch.exp(torch.tensor(ln_var).double())
    model = MultivariateNormal(b, w @ w.T + variance * torch.eye(dims).double())
    x = model.sample((batch,)).float().double()
    precision = torch.eye(latents).double() + w.T @ w / variance
    encoder = torch.linalg.solve(precision, w.T / variance)  # posterior mean: encoder (x - b)
    keep("linear", w=w, b=b, encoder=encoder, posterior_ln_var=-torch.diagonal(precision).log(), x=x,
         nats=-model.log_prob(x), ln_var=torch.tensor([ln_var]))


if __name__ == "__main__":
    torch.manual_seed(5)
    bernoulli()
    gaussian()
    softmax(17)
    softmax(256)
    logistic(1, 4, 256, -3.0)
    logistic(3, 3, 256, -1.0)
    logistic(2, 2, 17, -1.0)
    logistic(1, 1, 256, 1.0)
    bounds()
    linear_gaussian()
    save_file(tensors, GOLDEN, metadata={"torch": json.dumps(torch.__version__)})
    print({name: [round(v, 4) for v in t.flatten()[:3].tolist()] for name, t in tensors.items() if "nats" in name})
