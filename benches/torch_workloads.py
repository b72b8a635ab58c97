"""PyTorch's side of `just bench-torch`: the networks of `crates/pinxit/benches/workloads`, the same numbers in them.

`python torch_workloads.py NAME [--threads N] [--batch N] [--steps N] [--warm N] [--channels-last] [--check | --serve]`
answers as the Rust side does: one line of JSON, or with `--serve` one for each number of steps on the input.
`ops` as the name times single operations (`torch_ops.py`).
"""

import argparse
import json
import math
import resource
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def numbers(shape, seed, scale=1.0, offset=0.0):
    """Hashes of their places, as `workloads/hash.rs` makes them."""
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761)
        x += np.uint32((seed * 0x9E3779B9 + 0x7F4A7C15) & 0xFFFFFFFF)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    values = (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return torch.from_numpy((values * np.float32(scale) + np.float32(offset)).reshape(shape))


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)


def fill(network, seed):
    """Around 1 for the scales of a norm and 0 for its shifts, small other biases, weights of variance 1 / fan-in."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, NORMS):
                values = numbers(parameter.shape, seed, 0.1, 1.0 if name == "weight" else 0.0)
            elif parameter.dim() == 1:
                values = numbers(parameter.shape, seed, 0.01)
            else:
                values = numbers(parameter.shape, seed, math.sqrt(3 / math.prod(parameter.shape[1:])))
            with torch.no_grad():
                parameter.copy_(values)
            seed += 1
    return network


def generator_a():
    leaky = nn.LeakyReLU(0.2, inplace=True)
    return nn.Sequential(
        nn.Linear(100, 256), nn.BatchNorm1d(256), leaky,
        nn.Linear(256, 512), nn.BatchNorm1d(512), leaky,
        nn.Linear(512, 784), nn.Tanh(),
    )


def discriminator_a():
    leaky = nn.LeakyReLU(0.2, inplace=True)
    return nn.Sequential(nn.Linear(784, 512), leaky, nn.Linear(512, 256), leaky, nn.Linear(256, 1))


def generator_b():
    layers = [nn.ConvTranspose2d(100, 512, 4, bias=False), nn.BatchNorm2d(512), nn.ReLU(inplace=True)]
    for i, o in [(512, 256), (256, 128), (128, 64)]:
        layers += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator_b():
    layers = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for i, o in [(64, 128), (128, 256), (256, 512)]:
        layers += [nn.Conv2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, bias=False))


class ResidualBlock(nn.Module):
    def __init__(self, i, o, time):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(32, i), nn.Conv2d(i, o, 3, padding=1)
        self.time = nn.Linear(time, o)
        self.norm2, self.conv2 = nn.GroupNorm(32, o), nn.Conv2d(o, o, 3, padding=1)
        self.shortcut = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    HEADS = 4

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(32, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.HEADS, c // self.HEADS, h * w).transpose(3, 4).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(2, 3).reshape(b, c, h, w))


class Level(nn.Module):
    """Residual blocks, each with attention if asked for, and a change of size unless it is the last level."""

    def __init__(self, blocks, attention, resample, time):
        super().__init__()
        layers = []
        for i, o in blocks:
            layers.append(nn.ModuleList([ResidualBlock(i, o, time)] + [Attention(o)] * attention))
        self.blocks, self.resample = nn.ModuleList(layers), resample


class UNet(nn.Module):
    def __init__(self, first=64, multipliers=(1, 2, 2), depth=2, attention=(False, True, False)):
        super().__init__()
        time, last, sizes = 4 * first, len(multipliers) - 1, [first * m for m in multipliers]
        self.first = first
        self.time1, self.time2 = nn.Linear(first, time), nn.Linear(time, time)
        self.conv_in = nn.Conv2d(3, first, 3, padding=1)
        self.down, skips, channels = nn.ModuleList(), [first], first
        for level, size in enumerate(sizes):
            blocks = [(channels if n == 0 else size, size) for n in range(depth)]
            conv = nn.Conv2d(size, size, 3, 2, 1) if level < last else None
            self.down.append(Level(blocks, attention[level], conv, time))
            skips += [size] * (depth + (conv is not None))
            channels = size
        self.mid1 = ResidualBlock(channels, channels, time)
        self.mid_attention = Attention(channels)
        self.mid2 = ResidualBlock(channels, channels, time)
        self.up = nn.ModuleList()
        for level, size in reversed(list(enumerate(sizes))):
            blocks = [((channels if n == 0 else size) + skips.pop(), size) for n in range(depth + 1)]
            conv = nn.Conv2d(size, size, 3, padding=1) if level > 0 else None
            self.up.append(Level(blocks, attention[level], conv, time))
            channels = size
        self.norm_out, self.conv_out = nn.GroupNorm(32, channels), nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x, t):
        half = self.first // 2
        angles = t[:, None] * torch.exp(torch.arange(half) * (-math.log(10000.0) / (half - 1)))
        time = torch.cat([angles.sin(), angles.cos()], 1)
        time = F.silu(self.time2(F.silu(self.time1(time))))
        x = self.conv_in(x)
        skips = [x]
        for level in self.down:
            for block, *attention in level.blocks:
                x = block(x, time)
                for layer in attention:
                    x = layer(x)
                skips.append(x)
            if level.resample is not None:
                x = level.resample(x)
                skips.append(x)
        x = self.mid2(self.mid_attention(self.mid1(x, time)), time)
        for level in self.up:
            for block, *attention in level.blocks:
                x = block(torch.cat([x, skips.pop()], 1), time)
                for layer in attention:
                    x = layer(x)
            if level.resample is not None:
                x = level.resample(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(x)))


class MaskedConv2d(nn.Conv2d):
    def __init__(self, kind, i, o, kernel):
        super().__init__(i, o, kernel, padding=kernel // 2)
        mask = torch.ones(o, i, kernel, kernel)
        mask[:, :, kernel // 2, kernel // 2 + (kind == "B"):] = 0
        mask[:, :, kernel // 2 + 1:] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, 1, self.padding)


class PixelCnn(nn.Module):
    def __init__(self, channels=64, blocks=8):
        super().__init__()
        self.first = MaskedConv2d("A", 1, channels, 7)
        block = lambda: nn.ModuleList([MaskedConv2d("B", channels, 2 * channels, 3), nn.Conv2d(channels, channels, 1)])
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.out1, self.out2 = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 256, 1)

    def forward(self, x):
        h = self.first(x)
        for masked, mix in self.blocks:
            a, b = masked(h).chunk(2, 1)
            h = h + mix(torch.tanh(a) * torch.sigmoid(b))
        return self.out2(F.relu(self.out1(F.relu(h))))


class Vae(nn.Module):
    def __init__(self, latent=128):
        super().__init__()
        c = [3, 32, 64, 128, 256]
        self.encoder = nn.ModuleList(nn.Conv2d(c[i], c[i + 1], 4, 2, 1) for i in range(4))
        self.mean, self.log_variance = nn.Linear(4096, latent), nn.Linear(4096, latent)
        self.from_latent = nn.Linear(latent, 4096)
        self.decoder = nn.ModuleList(nn.ConvTranspose2d(c[i + 1], c[i], 4, 2, 1) for i in reversed(range(4)))

    def forward(self, x, noise):
        for conv in self.encoder:
            x = F.relu(conv(x))
        x = x.flatten(1)
        mean, log_variance = self.mean(x), self.log_variance(x)
        z = mean + torch.exp(0.5 * log_variance) * noise
        x = F.relu(self.from_latent(z)).view(-1, 256, 4, 4)
        for conv in self.decoder[:-1]:
            x = F.relu(conv(x))
        return torch.sigmoid(self.decoder[-1](x)), mean, log_variance


def adam(network):
    return torch.optim.Adam(network.parameters(), 1e-4)


def absolute_sum(network):
    return sum(p.grad.double().abs().sum().item() for p in network.parameters())


def gan(generator, discriminator, real, noise, layout):
    g, d = fill(generator, 1000).to(**layout), fill(discriminator, 2000).to(**layout)
    optimizer_g, optimizer_d = adam(g), adam(d)
    one, zero = torch.ones(len(real)), torch.zeros(len(real))
    bce = F.binary_cross_entropy_with_logits

    def step(sums=None):
        optimizer_d.zero_grad()
        loss_real = bce(d(real).view(-1), one)
        loss_real.backward()
        painted = g(noise)
        loss_fake = bce(d(painted.detach()).view(-1), zero)
        loss_fake.backward()
        if sums is not None:
            sums.append(absolute_sum(d))
        optimizer_d.step()
        optimizer_g.zero_grad()
        loss = bce(d(painted).view(-1), one)
        loss.backward()
        if sums is not None:
            sums.append(absolute_sum(g))
        optimizer_g.step()
        return [(loss_real + loss_fake).item(), loss.item()]

    return step


def trained(network, loss_of, layout):
    network = fill(network, 1000).to(**layout)
    optimizer = adam(network)

    def step(sums=None):
        optimizer.zero_grad()
        loss = loss_of(network)
        loss.backward()
        if sums is not None:
            sums.append(absolute_sum(network))
        optimizer.step()
        return [loss.item()]

    return step


def workload(name, batch, channels_last):
    layout = dict(memory_format=torch.channels_last) if channels_last else {}
    arranged = lambda x: x.contiguous(**layout) if x.dim() == 4 else x
    if name == "A":
        b = batch or 128
        return gan(generator_a(), discriminator_a(), numbers((b, 784), 1), numbers((b, 100), 2), {})
    if name == "B":
        b = batch or 64
        real = arranged(numbers((b, 3, 64, 64), 1))
        return gan(generator_b(), discriminator_b(), real, numbers((b, 100, 1, 1), 2), layout)
    if name in ("C", "C-inference"):
        b = batch or 16
        x, noise = arranged(numbers((b, 3, 32, 32), 1)), arranged(numbers((b, 3, 32, 32), 2))
        t = torch.arange(b, dtype=torch.float32) * 50 + 7
        if name == "C":
            return trained(UNet(), lambda network: F.mse_loss(network(x, t), noise), layout)
        network = fill(UNet(), 1000).to(**layout)

        def infer(sums=None):
            with torch.no_grad():
                return [network(x, t)[0, 0, 0, 0].item()]

        return infer
    if name == "D":
        b = batch or 32
        x = arranged(numbers((b, 1, 28, 28), 1))
        levels = ((numbers((b * 784,), 2) + 1) * 128).long().clamp(0, 255).view(b, 28, 28)
        return trained(PixelCnn(), lambda network: F.cross_entropy(network(x), levels), layout)
    if name == "E":
        b = batch or 64
        x, noise = arranged(numbers((b, 3, 64, 64), 1, 0.5, 0.5)), numbers((b, 128), 2)

        def loss_of(network):
            made, mean, log_variance = network(x, noise)
            divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
            return (((made - x) ** 2).sum() + divergence) / b

        return trained(Vae(), loss_of, layout)
    sys.exit(f"there is no workload {name}: A, B, C, C-inference, D, E or ops")


def steps(step, count):
    times, losses = [], []
    for _ in range(count):
        start = time.perf_counter()
        losses = step()
        times.append((time.perf_counter() - start) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": times, "losses": losses, "peak_mib": peak}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--serve", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    answer = lambda value: print(json.dumps(value), flush=True)
    if options.name == "ops":
        import torch_ops

        times = torch_ops.operations(options.channels_last)
        answer({"ready": True, "version": torch.__version__})
        for line in sys.stdin:
            answer({"ms": times[line.strip()]()})
        return
    step = workload(options.name, options.batch, options.channels_last)
    if options.check:
        sums = []
        with FlopCounterMode(display=False) as counter:  # counts a multiply-add as two
            losses = [step(sums)]
        losses += [step() for _ in range(options.steps - 1)]
        answer({"losses": losses, "gradients": sums, "multiply_adds": counter.get_total_flops() // 2})
    elif options.serve:
        answer({"ready": True, "version": torch.__version__})
        for line in sys.stdin:
            answer(steps(step, int(line)))
    else:
        first = steps(step, 1)["ms"][0]
        steps(step, options.warm)
        found = steps(step, options.steps)
        found |= {"name": options.name, "threads": options.threads, "first_ms": first, "median_ms": statistics.median(found["ms"])}
        answer(found)


if __name__ == "__main__":
    main()
