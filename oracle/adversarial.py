"""Golden file of the parts of adversarial training: losses, penalties by double backward, DiffAugment.

The penalties are those of the papers, taken with `create_graph=True` in double precision; DiffAugment is
written with indices and slices instead of Pinxit's matrices, after Zhao et al. 2020, section 3.2.

Requirements: numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def discriminator_loss(kind, real, fake, smoothing):
    if kind in ("minimax", "non-saturating"):
        return bce(real, 1 - smoothing) + bce(fake, 0.0)
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "least-squares":
        return 0.5 * F.mse_loss(real, torch.full_like(real, 1 - smoothing)) + 0.5 * fake.square().mean()
    if kind == "wasserstein":
        return fake.mean() - real.mean()
    return F.softplus(-(real - fake)).mean()


def generator_loss(kind, real, fake):
    if kind == "minimax":
        return -bce(fake, 0.0)
    if kind == "non-saturating":
        return bce(fake, 1.0)
    if kind in ("hinge", "wasserstein"):
        return -fake.mean()
    if kind == "least-squares":
        return 0.5 * F.mse_loss(fake, torch.ones_like(fake))
    return F.softplus(real - fake).mean()


def losses(tensors):
    real = torch.tensor([0.3, -1.2, 2.5, 30.0, -40.0, 0.0], dtype=torch.float64)
    fake = torch.tensor([-0.4, 0.9, -3.0, 25.0, 60.0, 0.0], dtype=torch.float64)
    tensors |= {"loss/real": real, "loss/fake": fake}
    for kind in ("minimax", "non-saturating", "hinge", "least-squares", "wasserstein", "relativistic"):
        smoothed = 0.1 if kind in ("minimax", "non-saturating", "least-squares") else 0.0
        for name, loss in (
            ("d", lambda r, f: discriminator_loss(kind, r, f, smoothed)),
            ("g", lambda r, f: generator_loss(kind, r, f)),
        ):
            r, f = real.clone().requires_grad_(), fake.clone().requires_grad_()
            value = loss(r, f)
            grads = torch.autograd.grad(value, (r, f), allow_unused=True)
            tensors[f"loss/{kind}/{name}"] = value.reshape(1)
            tensors[f"loss/{kind}/{name}/real"] = torch.zeros_like(r) if grads[0] is None else grads[0]
            tensors[f"loss/{kind}/{name}/fake"] = torch.zeros_like(f) if grads[1] is None else grads[1]


class Critic(torch.nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.conv_1 = torch.nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.conv_2 = torch.nn.Conv2d(6, 8, 3, padding=1)
        self.linear = torch.nn.Linear(8 * 4 * 4, 1)
        self.activation = activation

    def forward(self, x):
        x = self.activation(self.conv_2(self.activation(self.conv_1(x))))
        return self.linear(x.flatten(1)).squeeze(1)


ACTIVATIONS = {"silu": F.silu, "leaky": lambda x: F.leaky_relu(x, 0.2)}


def slopes(critic, x):
    x = x.clone().requires_grad_()
    gradient, = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return gradient.flatten(1).norm(dim=1)


def penalties(tensors):
    torch.manual_seed(3)
    critic = Critic(None)
    tensors |= {f"critic/{k}": v.detach().clone() for k, v in critic.state_dict().items()}
    critic = critic.double()
    real, fake = (torch.rand(6, 2, 8, 8) * 2 - 1 for _ in range(2))
    mix = torch.rand(6)
    tensors |= {"penalty/x_real": real, "penalty/x_fake": fake, "penalty/mix": mix}
    real, fake, mix = real.double(), fake.double(), mix.double().reshape(-1, 1, 1, 1)
    for activation, function in ACTIVATIONS.items():
        critic.activation = function
        cases = {
            "gp": lambda: 10 * (slopes(critic, mix * real + (1 - mix) * fake) - 1).square().mean(),
            "r1": lambda: 0.5 * 3.0 * slopes(critic, real).square().mean(),
            "r2": lambda: 0.5 * 3.0 * slopes(critic, fake).square().mean(),
            "r1+r2": lambda: 0.5 * 3.0 * (slopes(critic, real).square().mean() + slopes(critic, fake).square().mean()),
        }
        for case, penalty in cases.items():
            critic.zero_grad()
            value = penalty()
            value.backward()
            prefix = f"penalty/{activation}/{case}"
            tensors[f"{prefix}/value"] = value.reshape(1)
            for name, parameter in critic.named_parameters():
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                tensors[f"{prefix}/{name}"] = gradient


CHANGES = [
    dict(brightness=0.4, saturation=1.7, contrast=0.6, shift=[1, -2], hole=[[0, 3], [2, 5]]),
    dict(brightness=-0.5, saturation=0.0, contrast=1.5, shift=[0, 0], hole=[[4, 8], [0, 6]]),
    dict(brightness=0.0, saturation=1.0, contrast=1.0, shift=[-1, 1], hole=[[0, 0], [0, 0]]),
]


def change(x, brightness, saturation, contrast, shift, hole):
    x = x + brightness
    x = (x - x.mean(0, keepdim=True)) * saturation + x.mean(0, keepdim=True)
    x = (x - x.mean()) * contrast + x.mean()
    (down, right), (_, height, width) = shift, x.shape
    padded = F.pad(x, (2, 2, 1, 1))
    x = padded[:, 1 - down : 1 - down + height, 2 - right : 2 - right + width]
    mask = torch.ones(height, width, dtype=x.dtype)
    mask[hole[0][0] : hole[0][1], hole[1][0] : hole[1][1]] = 0
    return x * mask


def augmentation(tensors):
    torch.manual_seed(4)
    x = torch.rand(3, 3, 8, 6) * 2 - 1
    weight = torch.randn(3, 3, 8, 6)
    tensors |= {"augment/x": x, "augment/weight": weight}
    x = x.double().requires_grad_()
    y = torch.stack([change(picture, **how) for picture, how in zip(x, CHANGES)])
    (y * weight.double()).sum().backward()
    tensors |= {"augment/y": y, "augment/dx": x.grad}


if __name__ == "__main__":
    tensors = {}
    losses(tensors)
    penalties(tensors)
    augmentation(tensors)
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    save_file(tensors, GOLDEN / "adversarial.safetensors", metadata={"changes": json.dumps(CHANGES)})
