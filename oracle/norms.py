"""Golden file of PyTorch's normalisations, activations, gates and losses: outputs and gradients.

Requirements: numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"


def batch_norm(x, w, b):
    """With the running averages that one step with momentum 1 leaves: the batch's own."""
    mean, variance = torch.zeros(x.shape[1]).double(), torch.ones(x.shape[1]).double()
    y = F.batch_norm(x, mean, variance, w, b, training=True, momentum=1.0, eps=1e-3)
    return y, mean, variance


def line(v):
    return v[:, :, None, None]


def kl(mu, lv):
    return -0.5 * (1 + lv - mu**2 - lv.exp()).sum()


# Name: function and shapes of its inputs.
CASES = {
    "group_norm": (lambda x, w, b: F.silu(F.group_norm(x, 3, w, b, 1e-3)), [2, 6, 3, 4], [6], [6]),
    "shifted_group_norm": (
        lambda x, t, w, b: F.silu(F.group_norm(x + line(t), 3, w, b, 1e-3)), [2, 6, 3, 4], [2, 6], [6], [6],
    ),
    "adaptive_group_norm": (
        lambda x, w, b: F.group_norm(x, 3, eps=1e-3) * line(w) + line(b), [2, 6, 3, 4], [2, 6], [2, 6],
    ),
    "instance_norm": (
        lambda x, w, b: F.leaky_relu(F.instance_norm(x, weight=w, bias=b, eps=1e-3), 0.2), [2, 3, 4, 5], [3], [3],
    ),
    "layer_norm": (lambda x, w, b: F.gelu(F.layer_norm(x, [20], w, b, 1e-3)), [5, 20], [20], [20]),
    "batch_norm_4": (lambda x, w, b: batch_norm(x, w, b)[0], [3, 4, 5, 2], [4], [4]),
    "batch_norm_2": (lambda x, w, b: F.relu(batch_norm(x, w, b)[0]), [7, 5], [5], [5]),
    "relu": (F.relu, [40]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), [40]),
    "silu": (F.silu, [40]),
    "gelu": (F.gelu, [40]),
    "tanh": (torch.tanh, [40]),
    "sigmoid": (torch.sigmoid, [40]),
    "pixelcnn_gate": (lambda x: torch.tanh(x[:, :3]) * torch.sigmoid(x[:, 3:]), [2, 6, 3, 2]),
    "geglu": (lambda x: x[:, :9] * F.gelu(x[:, 9:]), [4, 18]),
    "mse_mean": (F.mse_loss, [3, 2, 4, 4], [3, 2, 4, 4]),
    "l1_sum": (lambda x, y: F.l1_loss(x, y, reduction="sum"), [3, 2, 4, 4], [3, 2, 4, 4]),
    "bce_real": (lambda x: F.binary_cross_entropy_with_logits(x, torch.ones_like(x)), [17]),
    "bce_each": (lambda x, y: F.binary_cross_entropy_with_logits(x, y), [17], [17]),
    "cross_entropy_4": (lambda x: F.cross_entropy(x, classes(2, 7, 3, 4)), [2, 7, 3, 4]),
    "cross_entropy_2": (lambda x: F.cross_entropy(x, classes(5, 11), reduction="sum"), [5, 11]),
    "gaussian_kl": (kl, [4, 6], [4, 6]),
    "reparameterise": (lambda mu, lv, eps: mu + torch.exp(0.5 * lv) * eps, [4, 6], [4, 6], [4, 6]),
}


def classes(images, kinds, *size):
    """A class for every pixel: i * i * 5 mod the number of classes, for the i-th."""
    count = images * int(torch.tensor(size).prod()) if size else images
    i = torch.arange(count)
    return (i * i * 5 % kinds).reshape(images, *size)


if __name__ == "__main__":
    torch.manual_seed(0)
    tensors = {}
    for name, (function, *shapes) in CASES.items():
        # The numbers are f32, the computation is f64.
        inputs = [(2 * torch.randn(shape)).double().requires_grad_() for shape in shapes]
        output = function(*inputs)
        weight = torch.randn_like(output).float().double()
        (output * weight).sum().backward()
        tensors |= {f"{name}/output": output.reshape(-1), f"{name}/weight": weight.reshape(-1)}
        for i, x in enumerate(inputs):
            tensors |= {f"{name}/input/{i}": x, f"{name}/gradient/{i}": x.grad}
        if name.startswith("batch_norm"):
            _, tensors[f"{name}/mean"], tensors[f"{name}/variance"] = batch_norm(*inputs)
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    save_file(tensors, GOLDEN / "norms.safetensors")
