"""Golden file of PyTorch's layers, operations and losses: outputs, gradients and buffers, in f64 from f32 weights.

Requirements: numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.nn.utils import spectral_norm

GOLDEN = Path(__file__).parent / "golden"
torch.manual_seed(0)


class Masked(nn.Conv2d):
    """Van den Oord et al. 2016; channel c belongs to colour c % colours."""

    def __init__(self, kind, i, o, k, colours=1):
        super().__init__(i, o, k, padding=k // 2)
        mask = torch.zeros(o, i, k, k)
        mask[:, :, : k // 2] = 1
        mask[:, :, k // 2, : k // 2] = 1
        for a in range(o):
            for b in range(i):
                earlier = b % colours < a % colours
                mask[a, b, k // 2, k // 2] = earlier or (kind == "B" and b % colours == a % colours)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, 1, self.padding)


# Layer, size of its input.
LAYERS = {
    "conv": (nn.Conv2d(3, 4, 4, 2, 1, bias=False), (2, 3, 8, 6)),
    "conv_transpose": (nn.ConvTranspose2d(4, 3, 4, 2, 1), (2, 4, 3, 5)),
    "conv_transpose_first": (nn.ConvTranspose2d(6, 2, 4, bias=False), (3, 6, 1, 1)),
    "conv_transpose_odd": (nn.ConvTranspose2d(2, 3, 3, 2, 1, output_padding=1), (2, 2, 4, 3)),
    "linear": (nn.Linear(5, 3, bias=False), (4, 5)),
    "batch_norm_1d": (nn.BatchNorm1d(5), (7, 5)),
    "batch_norm_2d": (nn.BatchNorm2d(3), (4, 3, 5, 3)),
    "instance_norm": (nn.InstanceNorm2d(3), (2, 3, 5, 4)),
    "instance_norm_affine": (nn.InstanceNorm2d(3, affine=True), (2, 3, 5, 4)),
    "layer_norm": (nn.LayerNorm(6), (2, 3, 6)),
    "masked_a": (Masked("A", 1, 4, 7), (2, 1, 6, 5)),
    "masked_b": (Masked("B", 3, 4, 3), (2, 3, 6, 5)),
    "masked_rgb_a": (Masked("A", 3, 6, 5, colours=3), (2, 3, 6, 5)),
    "masked_rgb_b": (Masked("B", 6, 12, 3, colours=3), (2, 6, 6, 5)),
    "spectral_conv": (spectral_norm(nn.Conv2d(3, 4, 3, padding=1)), (2, 3, 5, 4)),
    "spectral_linear": (spectral_norm(nn.Linear(5, 3)), (4, 5)),
    "reflection_pad": (nn.ReflectionPad2d(2), (2, 3, 4, 5)),
    "pixel_shuffle": (nn.PixelShuffle(2), (2, 12, 3, 2)),
    "avg_pool": (nn.AvgPool2d(2), (2, 3, 4, 6)),
    "silu": (nn.SiLU(), (2, 3, 4, 5)),
    "relu": (nn.ReLU(), (2, 3, 4, 5)),
    "leaky_relu": (nn.LeakyReLU(0.2), (2, 3, 4, 5)),
    "gelu": (nn.GELU(), (2, 3, 4, 5)),
    "tanh": (nn.Tanh(), (2, 3, 4, 5)),
    "sigmoid": (nn.Sigmoid(), (2, 3, 4, 5)),
}


def gated(x):
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


LOSSES = {
    "gated": (gated, (2, 6, 3, 4)),
    "mse": (lambda x: F.mse_loss(x, torch.full_like(x, 0.5)), (3, 2, 4)),
    "bce_real": (lambda x: F.binary_cross_entropy_with_logits(x, torch.ones_like(x)), (30,)),
    "bce_smooth": (lambda x: F.binary_cross_entropy_with_logits(x, torch.full_like(x, 0.1)), (30,)),
    "cross_entropy": (lambda x: F.cross_entropy(x, (torch.arange(24) * 7 % 5).view(2, 3, 4)), (2, 5, 3, 4)),
    "padded_avg_pool": (lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), (2, 3, 5, 6)),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 7, 6)),
}


def state(layer):
    return {k: v.clone() for k, v in layer.state_dict().items() if k != "num_batches_tracked"}


def layer_tensors(layer, size):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    tensors = {f"weights/{k}": v for k, v in state(layer).items()}
    layer = layer.double().train()
    x = (2 * torch.randn(size)).double().requires_grad_()
    output = layer(x)
    fixed = torch.randn_like(output).float().double()
    (output * fixed).sum().backward()
    tensors |= {"x": x, "output": output, "fixed": fixed, "gradient/x": x.grad}
    tensors |= {f"gradient/{k}": v.grad for k, v in layer.named_parameters()}
    # A second pass in training moves the buffers on; then one outside of it.
    with torch.no_grad():
        tensors["second"] = layer(0.5 * x + 1.0)
        tensors["evaluated"] = layer.eval()(x)
    return tensors | {f"after/{k}": v for k, v in state(layer).items()}


def loss_tensors(loss, size):
    x = (3 * torch.randn(size)).double().requires_grad_()
    output = loss(x)
    fixed = torch.randn_like(output).float().double()
    (output * fixed).sum().backward()
    output, fixed = output.reshape(-1) if output.dim() == 0 else output, fixed.reshape(-1) if fixed.dim() == 0 else fixed
    return {"x": x, "output": output, "fixed": fixed, "gradient/x": x.grad}


if __name__ == "__main__":
    found = {name: layer_tensors(*case) for name, case in LAYERS.items()}
    found |= {name: loss_tensors(*case) for name, case in LOSSES.items()}
    flat = {f"{name}/{k}": v for name, tensors in found.items() for k, v in tensors.items()}
    save_file({k: v.detach().float().contiguous() for k, v in flat.items()}, GOLDEN / "layers.safetensors")
