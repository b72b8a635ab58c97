"""Golden files of diffusers' UNet2DModel: outputs and gradients of small networks with random weights.

Requirements: diffusers==0.42.1 numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

import json
from pathlib import Path

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

GOLDEN = Path(__file__).parent / "golden"

# Gradients up to this size are kept whole; of larger ones two sums are kept.
WHOLE = 150

CASES = {
    "plain": dict(
        config=dict(
            in_channels=1, out_channels=1, block_out_channels=[4, 8],
            down_block_types=["DownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "UpBlock2D"],
            layers_per_block=2, attention_head_dim=8, norm_num_groups=2,
        ),
        size=(8, 8),
        timesteps=[3.75, 811.5],
    ),
    # Class-conditional, attention at both levels with one head each: head dimensions 4 and 8.
    "classes": dict(
        config=dict(
            in_channels=3, out_channels=3, block_out_channels=[4, 8],
            down_block_types=["AttnDownBlock2D", "AttnDownBlock2D"],
            up_block_types=["AttnUpBlock2D", "AttnUpBlock2D"],
            layers_per_block=1, attention_head_dim=None, norm_num_groups=2, num_class_embeds=5,
        ),
        size=(16, 16),
        timesteps=[0.0, 500.25, 999.0],
        classes=[4, 0, 2],
    ),
    # Three levels, odd number of layers, not square, several heads, other ways down and up,
    # other channels in and out, time embedding of DDPM's first code.
    "deep": dict(
        config=dict(
            in_channels=2, out_channels=3, block_out_channels=[4, 8, 8],
            down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
            up_block_types=["AttnUpBlock2D", "UpBlock2D", "AttnUpBlock2D"],
            layers_per_block=3, attention_head_dim=2, norm_num_groups=2,
            flip_sin_to_cos=False, freq_shift=1,
        ),
        size=(8, 16),
        timesteps=[17.0, 640.125],
    ),
    # A single level: no change of size, no attention.
    "flat": dict(
        config=dict(
            in_channels=1, out_channels=2, block_out_channels=[8],
            down_block_types=["DownBlock2D"], up_block_types=["UpBlock2D"],
            layers_per_block=1, attention_head_dim=8, norm_num_groups=4,
            flip_sin_to_cos=False, freq_shift=0, norm_eps=1e-3, add_attention=False,
        ),
        size=(5, 3),
        timesteps=[250.0],
    ),
}


def randomise(model):
    """Moves every parameter, those of norms as well, away from its default."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)


def sums(gradient):
    """Sum of absolute values, and a sum with weights cos(i) that no permutation of values keeps."""
    flat = gradient.flatten()
    weights = torch.cos(torch.arange(len(flat), dtype=torch.float64))
    return torch.stack([flat.abs().sum(), (flat * weights).sum()])


def multiply_adds(model, x, t, labels):
    """Multiply-adds of one picture, counted by PyTorch (which counts each as two operations)."""
    for module in model.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())  # the counter does not know the fused attention of the CPU
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x, t, class_labels=labels)
    return counter.get_total_flops() // 2 // len(x)


def write(name, config, size, timesteps, classes=None):
    model = UNet2DModel(**config)
    randomise(model)
    weights = {f"weights/{k}": v.clone() for k, v in model.state_dict().items()}

    # The weights are f32, the computation is f64 (but for the time embedding, which diffusers makes in f32).
    model = model.double()
    batch = len(timesteps)
    x = torch.randn(batch, config["in_channels"], *size).double().requires_grad_()
    t = torch.tensor(timesteps)
    labels = None if classes is None else torch.tensor(classes)
    output = model(x, t, class_labels=labels).sample
    fixed = torch.randn_like(output).float().double()
    (output * fixed).sum().backward()

    tensors = {**weights, "x": x, "timesteps": t, "output": output, "fixed": fixed, "gradient/x": x.grad}
    if classes is not None:
        tensors["classes"] = labels
    for key, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient.numel() <= WHOLE:
            tensors[f"gradient/{key}"] = gradient
        else:
            tensors[f"gradient_sums/{key}"] = sums(gradient)
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    notes = {"config": json.dumps(config), "macs": str(multiply_adds(model, x, t, labels))}
    save_file(tensors, GOLDEN / f"unet_{name}.safetensors", metadata=notes)


if __name__ == "__main__":
    for seed, (name, case) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        write(name, **case)
