"""Golden files of adversarial training: one whole step of D and G of small networks of every kind.

The networks are written anew with PyTorch's layers under Pinxit's names of parameters, the losses are those of
the papers, penalties are taken by double backward, and everything runs in double precision. Latent vectors and mixing
factors come from the same keyed generator as in Pinxit (Philox4x32-10, written anew below), so that a golden
file holds only the pictures, the weights before, and what a step makes of them: losses, gradients, weights, batch
statistics and power iterations.

Requirements: numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import spectral_norm

from adversarial import discriminator_loss, generator_loss

GOLDEN = Path(__file__).parent / "golden"
SEED = 11
CHANNELS, SIDE, CLASSES = 2, 8, 3
TRAIN_LATENT, MIX = 12, 15  # purposes of random numbers
FAKE_BY_D, FAKE_BY_G = 1, 2


class Random:
    """Philox4x32-10 of Salmon et al. 2011, keyed (seed, purpose, step, index)."""

    def __init__(self, seed, purpose, step, index):
        self.key, self.counter, self.block = [seed & 0xFFFFFFFF, seed >> 32], [0, purpose, step, index], []

    def bits(self):
        if not self.block:
            c, k = list(self.counter), list(self.key)
            for _ in range(10):
                a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
                c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
                k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
            self.block = c
            self.counter[0] += 1
        return self.block.pop(0)

    def uniform(self):
        high, low = self.bits(), self.bits()
        return ((high << 21) ^ (low >> 11)) / 2**53

    def normals(self, count):
        values = []
        while len(values) < count:
            u = float(np.float32(self.bits())) + 0.5
            angle = float(np.float32(self.bits())) / 2**32 * 2 * math.pi
            radius = math.sqrt(-2 * math.log(u / 2**32))
            values += [radius * math.cos(angle), radius * math.sin(angle)]
        return values[:count]


def latents(places, latent, seen):
    rows = [Random(SEED, TRAIN_LATENT, 0, seen << 30 | place).normals(latent) for place in places]
    return torch.tensor(rows, dtype=torch.float64)


def mixes(places):
    values = [Random(SEED, MIX, 0, place).uniform() for place in places]
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1)


# Networks -------------------------------------------------------------------------------------------


def sn(layer, norm):
    return spectral_norm(layer) if norm == "spectral" else layer


class ClassNorm(nn.Module):
    """BatchNorm with scale and shift by class."""

    def __init__(self, c, channels):
        super().__init__()
        if c["g_norm"] == "batch":
            self.norm = nn.BatchNorm2d(channels)
            if c["condition"] == "projection":
                self.scale, self.shift = nn.Embedding(CLASSES, channels), nn.Embedding(CLASSES, channels)

    def forward(self, x, y):
        if not hasattr(self, "norm"):
            return x
        x = self.norm(x)
        if hasattr(self, "scale"):
            x = x * (1 + self.scale(y)[:, :, None, None]) + self.shift(y)[:, :, None, None]
        return x


class Head(nn.Module):
    def __init__(self, c, features):
        super().__init__()
        self.linear = sn(nn.Linear(features, 1), c["d_norm"])
        if c["condition"] == "projection":
            self.embedding = sn(nn.Linear(CLASSES, features, bias=False), c["d_norm"])
        if c["condition"] == "classifier":
            self.classifier = sn(nn.Linear(features, CLASSES), c["d_norm"])

    def forward(self, features, y):
        verdict = self.linear(features).squeeze(1)
        if hasattr(self, "embedding"):
            verdict = verdict + (features * self.embedding(F.one_hot(y, CLASSES).double())).sum(1)
        named = self.classifier(features) if hasattr(self, "classifier") else None
        return verdict, None, named


def beside(c, z, y):
    modulates = c["condition"] == "projection" and c["g_norm"] == "batch"
    if c["condition"] == "none" or modulates:
        return z
    return torch.cat([z, F.one_hot(y, CLASSES).double()], 1)


def g_inputs(c):
    modulates = c["condition"] == "projection" and c["g_norm"] == "batch"
    return c["latent"] + (0 if c["condition"] == "none" or modulates else CLASSES)


def planes(c, x, y):
    if c["condition"] != "concat":
        return x
    labels = F.one_hot(y, CLASSES).double()[:, :, None, None].expand(-1, -1, SIDE, SIDE)
    return torch.cat([x, labels], 1)


def d_inputs(c):
    return CHANNELS + (CLASSES if c["condition"] == "concat" else 0)


class MlpG(nn.Module):
    def __init__(self, c):
        super().__init__()
        sizes = [g_inputs(c), *c["g_layers"]]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.norms = nn.ModuleList(ClassNorm(c, n) for n in c["g_layers"])
        self.output, self.c = nn.Linear(sizes[-1], CHANNELS * SIDE * SIDE), c

    def forward(self, z, y):
        x = beside(self.c, z, y)
        for layer, norm in zip(self.layers, self.norms):
            x = F.leaky_relu(norm(layer(x)[:, :, None, None], y)[:, :, 0, 0], 0.2)
        return torch.tanh(self.output(x)).reshape(-1, CHANNELS, SIDE, SIDE)


class MlpD(nn.Module):
    def __init__(self, c):
        super().__init__()
        extra = CLASSES if c["condition"] == "concat" else 0
        sizes = [CHANNELS * SIDE * SIDE + extra, *c["d_layers"]]
        self.layers = nn.ModuleList(sn(nn.Linear(a, b), c["d_norm"]) for a, b in zip(sizes, sizes[1:]))
        self.head, self.extra = Head(c, sizes[-1]), extra

    def forward(self, x, y):
        x = x.flatten(1)
        if self.extra:
            x = torch.cat([x, F.one_hot(y, CLASSES).double()], 1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.head(x, y)


class DcganG(nn.Module):
    def __init__(self, c):
        super().__init__()
        layers, plain = c["g_layers"], c["g_norm"] != "batch"
        self.side = SIDE >> len(layers)
        self.project = nn.Linear(g_inputs(c), layers[0] * self.side**2, bias=plain)
        ends = [*layers, CHANNELS]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=plain or i == len(layers) - 1)
            for i, (a, b) in enumerate(zip(ends, ends[1:]))
        )
        self.norms, self.c = nn.ModuleList(ClassNorm(c, n) for n in layers), c

    def forward(self, z, y):
        x = self.project(beside(self.c, z, y)).reshape(len(z), -1, self.side, self.side)
        for up, norm in zip(self.ups, self.norms):
            x = up(F.relu(norm(x, y)))
        return torch.tanh(x)


class DcganD(nn.Module):
    def __init__(self, c):
        super().__init__()
        layers = c["d_layers"]
        ends, batch = [d_inputs(c), *layers], c["d_norm"] == "batch"
        self.downs = nn.ModuleList(
            sn(nn.Conv2d(a, b, 4, 2, 1, bias=not batch or i == 0), c["d_norm"])
            for i, (a, b) in enumerate(zip(ends, ends[1:]))
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(n) if batch and i else nn.Identity() for i, n in enumerate(layers)
        )
        self.head, self.c = Head(c, layers[-1] * (SIDE >> len(layers)) ** 2), c

    def forward(self, x, y):
        x = planes(self.c, x, y)
        for down, norm in zip(self.downs, self.norms):
            x = F.leaky_relu(norm(down(x)), 0.2)
        return self.head(x.flatten(1), y)


class CnnG(nn.Module):
    def __init__(self, c):
        super().__init__()
        layers = c["g_layers"]
        self.side = SIDE >> (len(layers) - 1)
        self.project = nn.Linear(g_inputs(c), layers[0] * self.side**2)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in zip(layers, layers[1:])
        )
        self.norms = nn.ModuleList(ClassNorm(c, n) for n in layers[1:])
        self.output, self.c = nn.Conv2d(layers[-1], CHANNELS, 3, 1, 1), c

    def forward(self, z, y):
        x = self.project(beside(self.c, z, y)).reshape(len(z), -1, self.side, self.side)
        for up, norm in zip(self.ups, self.norms):
            x = F.relu(norm(up(x), y))
        return torch.tanh(self.output(x))


class CnnD(nn.Module):
    def __init__(self, c):
        super().__init__()
        convs, width = [], d_inputs(c)
        for i, n in enumerate(c["d_layers"]):
            convs.append(sn(nn.Conv2d(width, n, 3, 1, 1), c["d_norm"]))
            if i + 1 < len(c["d_layers"]):
                convs.append(sn(nn.Conv2d(n, n, 4, 2, 1), c["d_norm"]))
            width = n
        self.convs = nn.ModuleList(convs)
        self.head, self.c = Head(c, width * (SIDE >> (len(c["d_layers"]) - 1)) ** 2), c

    def forward(self, x, y):
        x = planes(self.c, x, y)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
        return self.head(x.flatten(1), y)


def double(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


class GBlock(nn.Module):
    def __init__(self, c, a, b):
        super().__init__()
        self.norm_1, self.norm_2 = ClassNorm(c, a), ClassNorm(c, b)
        self.conv_1, self.conv_2 = nn.Conv2d(a, b, 3, 1, 1), nn.Conv2d(b, b, 3, 1, 1)
        self.skip = nn.Conv2d(a, b, 1)

    def forward(self, x, y):
        h = self.conv_1(double(F.relu(self.norm_1(x, y))))
        return self.conv_2(F.relu(self.norm_2(h, y))) + self.skip(double(x))


class ResnetG(nn.Module):
    def __init__(self, c):
        super().__init__()
        layers = c["g_layers"]
        self.side = SIDE >> (len(layers) - 1)
        self.project = nn.Linear(g_inputs(c), layers[0] * self.side**2)
        self.blocks = nn.ModuleList(GBlock(c, a, b) for a, b in zip(layers, layers[1:]))
        self.norm, self.output = ClassNorm(c, layers[-1]), nn.Conv2d(layers[-1], CHANNELS, 3, 1, 1)
        self.c = c

    def forward(self, z, y):
        x = self.project(beside(self.c, z, y)).reshape(len(z), -1, self.side, self.side)
        for block in self.blocks:
            x = block(x, y)
        return torch.tanh(self.output(F.relu(self.norm(x, y))))


class DBlock(nn.Module):
    def __init__(self, c, a, b, halves, first):
        super().__init__()
        self.conv_1 = sn(nn.Conv2d(a, b, 3, 1, 1), c["d_norm"])
        self.conv_2 = sn(nn.Conv2d(b, b, 3, 1, 1), c["d_norm"])
        if halves or a != b:
            self.skip = sn(nn.Conv2d(a, b, 1), c["d_norm"])
        self.halves, self.first = halves, first

    def forward(self, x):
        h = self.conv_2(F.relu(self.conv_1(x if self.first else F.relu(x))))
        s = self.skip(x) if hasattr(self, "skip") else x
        return F.avg_pool2d(h + s, 2) if self.halves else h + s


class ResnetD(nn.Module):
    def __init__(self, c):
        super().__init__()
        ends = [d_inputs(c), *c["d_layers"]]
        self.blocks = nn.ModuleList(
            DBlock(c, a, b, halves=i == 0, first=i == 0) for i, (a, b) in enumerate(zip(ends, ends[1:]))
        )
        self.head, self.c = Head(c, ends[-1]), c

    def forward(self, x, y):
        x = planes(self.c, x, y)
        for block in self.blocks:
            x = block(x)
        return self.head(F.relu(x).sum((2, 3)), y)


class UnetD(nn.Module):
    def __init__(self, c):
        super().__init__()
        ends = [d_inputs(c), *c["d_layers"]]
        pairs = list(zip(ends, ends[1:]))
        self.downs = nn.ModuleList(DBlock(c, a, b, True, i == 0) for i, (a, b) in enumerate(pairs[:-1]))
        self.bottom = DBlock(c, *pairs[-1], False, False)
        self.head, ups, width = Head(c, ends[-1]), [], ends[-1]
        for i in reversed(range(len(pairs) - 1)):
            ups.append(DBlock(c, width + (pairs[i - 1][1] if i else 0), pairs[i][1], False, False))
            width = pairs[i][1]
        self.ups, self.output, self.c = nn.ModuleList(ups), sn(nn.Conv2d(width, 1, 1), c["d_norm"]), c

    def forward(self, x, y):
        x, seen = planes(self.c, x, y), []
        for down in self.downs:
            x = down(x)
            seen.append(x)
        x = self.bottom(x)
        verdict, _, named = self.head(F.relu(x).sum((2, 3)), y)
        for i, up in enumerate(self.ups):
            x = double(x)
            if i + 2 <= len(seen):
                x = torch.cat([x, seen[len(seen) - 2 - i]], 1)
            x = up(x)
        return verdict, self.output(F.relu(x)), named


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv_1, self.conv_2 = nn.Conv2d(n, n, 1), nn.Conv2d(n, n, 3, 1, 1)
        self.conv_3 = nn.Conv2d(n, n, 1, bias=False)

    def forward(self, x):
        return x + self.conv_3(F.leaky_relu(self.conv_2(F.leaky_relu(self.conv_1(x), 0.2)), 0.2))


class Stage(nn.Module):
    def __init__(self, before, n):
        super().__init__()
        if before != n:
            self.enter = nn.Conv2d(before, n, 1)
        self.blocks = nn.ModuleList([Block(n), Block(n)])

    def forward(self, x):
        x = self.enter(x) if hasattr(self, "enter") else x
        for block in self.blocks:
            x = block(x)
        return x


def stages(layers):
    return nn.ModuleList(Stage(layers[max(i - 1, 0)], n) for i, n in enumerate(layers))


class ModernG(nn.Module):
    def __init__(self, c):
        super().__init__()
        layers = c["g_layers"]
        self.side = SIDE >> (len(layers) - 1)
        self.project = nn.Linear(g_inputs(c), layers[0] * self.side**2)
        self.stages, self.output, self.c = stages(layers), nn.Conv2d(layers[-1], CHANNELS, 1), c

    def forward(self, z, y):
        x = self.project(beside(self.c, z, y)).reshape(len(z), -1, self.side, self.side)
        for i, stage in enumerate(self.stages):
            x = stage(double(x) if i else x)
        return self.output(x)


class ModernD(nn.Module):
    def __init__(self, c):
        super().__init__()
        layers = c["d_layers"]
        side = SIDE >> (len(layers) - 1)
        self.input, self.stages = nn.Conv2d(d_inputs(c), layers[0], 1), stages(layers)
        self.basis = nn.Parameter(torch.zeros(layers[-1], side, side))
        self.head, self.c = Head(c, layers[-1]), c

    def forward(self, x, y):
        x = self.input(planes(self.c, x, y))
        for i, stage in enumerate(self.stages):
            x = stage(F.avg_pool2d(x, 2) if i else x)
        return self.head((x * self.basis).sum((2, 3)), y)


NETS = dict(
    mlp=(MlpG, MlpD), dcgan=(DcganG, DcganD), cnn=(CnnG, CnnD),
    resnet=(ResnetG, ResnetD), unet=(ResnetG, UnetD), modern=(ModernG, ModernD),
)

# Training -------------------------------------------------------------------------------------------


def randomise(module, generator):
    """Weights of about the usual size, none of them special."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            fan = max(p[0].numel(), 1) if p.dim() > 1 else 4
            p.copy_(torch.randn(p.shape, generator=generator) / fan**0.5)
            if p.dim() == 1 and name.endswith("norm.weight") or (p.dim() == 1 and ".norms." in f".{name}" and name.endswith("weight")):
                p.add_(1.0)
        for name, b in module.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=generator) * 0.1)
            elif name.endswith("running_var"):
                b.copy_(torch.rand(b.shape, generator=generator) + 0.5)
            elif name.endswith(("weight_u", "weight_v")):
                b.copy_(F.normalize(torch.randn(b.shape, generator=generator), dim=0))


def state(module):
    return {k: v.detach().clone() for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}


class Borrowed:
    """Leaves the buffers of a module as they were."""

    def __init__(self, module):
        self.module = module

    def __enter__(self):
        self.before = {k: v.clone() for k, v in self.module.named_buffers()}

    def __exit__(self, *_):
        for name, buffer in self.module.named_buffers():
            buffer.data.copy_(self.before[name])


def penalty(c, d, real, fake, mix, y):
    def slopes(x):
        x = x.clone().requires_grad_()
        verdict, pixels, _ = d(x, y)
        total = verdict.sum() + (0 if pixels is None else pixels.mean((1, 2, 3)).sum())
        return torch.autograd.grad(total, x, create_graph=True)[0].flatten(1).norm(dim=1)

    d.eval()
    kind, weight = c["penalty"], c["penalty_weight"]
    if kind == "gp":
        value = weight * (slopes(mix * real + (1 - mix) * fake) - 1).square().mean()
    else:
        value = sum(weight / 2 * slopes(x).square().mean() for x in (real, fake)[: 2 if kind == "r1+r2" else 1])
    d.train()
    return value


def optimizer(c, module, lr):
    if c["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(module.parameters(), lr=lr, alpha=c["beta2"], eps=1e-8)
    return torch.optim.Adam(module.parameters(), lr=lr, betas=(c["beta1"], c["beta2"]), eps=1e-8)


def run(name, c):
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    make_g, make_d = NETS[c["net"]]
    g, d = make_g(c), make_d(c)
    randomise(g, generator)
    randomise(d, generator)
    tensors = {f"g/{k}": v for k, v in state(g).items()} | {f"d/{k}": v for k, v in state(d).items()}
    images = torch.rand(c["batch"], CHANNELS, SIDE, SIDE, generator=generator) * 2 - 1
    labels = torch.randint(CLASSES, (c["batch"],), generator=generator)
    tensors |= {"images": images, "labels": labels.float()}
    g, d, images = g.double().train(), d.double().train(), images.double()
    opt_g, opt_d = optimizer(c, g, c["lr"]), optimizer(c, d, c["d_lr"] or c["lr"])

    size, d_losses, penalties = c["batch"] // c["d_steps"], [], []
    for start in range(0, c["batch"], size):
        places, y = range(start, start + size), labels[start : start + size]
        real = images[start : start + size]
        with Borrowed(g), torch.no_grad():
            fake = g(latents(places, c["latent"], FAKE_BY_D), y)
        (r, r_pixels, r_named), (f, f_pixels, f_named) = d(real, y), d(fake, y)
        loss = discriminator_loss(c["loss"], r, f, 0.0)
        if r_pixels is not None:
            loss = loss + discriminator_loss(c["loss"], r_pixels.flatten(), f_pixels.flatten(), 0.0)
        if r_named is not None:
            loss = loss + F.cross_entropy(r_named, y) + F.cross_entropy(f_named, y)
        d_losses.append(loss.detach())
        if c["penalty"] != "none":
            value = penalty(c, d, real, fake, mixes(places), y)
            penalties.append(value.detach())
            loss = loss + value
        opt_d.zero_grad()
        loss.backward()
        tensors |= {f"d_grad/{k}": torch.zeros_like(p) if p.grad is None else p.grad.clone() for k, p in d.named_parameters()}
        opt_d.step()
        if c["weight_clip"]:
            for p in d.parameters():
                p.data.clamp_(-c["weight_clip"], c["weight_clip"])
    with Borrowed(d):
        relativistic = c["loss"] == "relativistic"
        r, r_pixels, _ = d(real, y) if relativistic else (None, None, None)
        f, f_pixels, f_named = d(g(latents(places, c["latent"], FAKE_BY_G), y), y)
        loss = generator_loss(c["loss"], r, f)
        if f_pixels is not None:
            loss = loss + generator_loss(c["loss"], r_pixels and r_pixels.flatten(), f_pixels.flatten())
        if f_named is not None:
            loss = loss + F.cross_entropy(f_named, y)
    opt_g.zero_grad()
    loss.backward()
    tensors |= {f"g_grad/{k}": p.grad.clone() for k, p in g.named_parameters()}
    opt_g.step()

    tensors |= {f"g_after/{k}": v for k, v in state(g).items()} | {f"d_after/{k}": v for k, v in state(d).items()}
    tensors["d_loss"], tensors["g_loss"] = torch.stack(d_losses).mean().reshape(1), loss.reshape(1)
    if penalties:
        tensors["d_penalty"] = torch.stack(penalties).mean().reshape(1)
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    settings = {k: v for k, v in c.items() if k not in ("family", "batch", "lr") and v is not None}
    metadata = dict(family=json.dumps(c["family"]), settings=json.dumps(settings), lr=json.dumps(c["lr"]), seed=json.dumps(SEED))
    save_file(tensors, GOLDEN / f"gan_{name}.safetensors", metadata=metadata)


BASE = dict(
    net="dcgan", g_layers=[4, 3], d_layers=[3, 4], latent=5, g_norm="batch", d_norm="batch", condition="none",
    loss="non-saturating", penalty="none", penalty_weight=0.0, weight_clip=0.0, d_steps=1, d_lr=None,
    optimizer="adam", beta1=0.5, beta2=0.999, lr=0.01, batch=6,
)
CASES = dict(
    gan=dict(family="gan", net="mlp", g_layers=[6, 7], d_layers=[7, 6], d_norm="none"),
    cgan=dict(family="cgan", net="mlp", g_layers=[6, 7], d_layers=[7, 6], d_norm="none", condition="concat", loss="minimax"),
    dcgan=dict(family="dcgan"),
    cdcgan=dict(family="cdcgan", condition="concat", loss="least-squares"),
    acgan=dict(family="cdcgan", condition="classifier"),
    wgan=dict(family="wgan", loss="wasserstein", weight_clip=0.05, d_steps=2, optimizer="rmsprop", beta2=0.99),
    wgan_gp=dict(
        family="wgan-gp", d_norm="none", loss="wasserstein", penalty="gp", penalty_weight=10.0, d_steps=2, beta1=0.0,
        beta2=0.9,
    ),
    sngan=dict(family="sngan", net="cnn", g_layers=[6, 4, 3], d_layers=[3, 4, 6], d_norm="spectral", loss="hinge"),
    sngan_resnet=dict(
        family="sngan", net="resnet", g_layers=[5, 4, 3], d_layers=[3, 4, 4], d_norm="spectral", loss="hinge",
        condition="projection",
    ),
    unet_gan=dict(
        family="unet-gan", net="unet", g_layers=[4, 4, 3], d_layers=[3, 4, 5], d_norm="spectral", loss="hinge", beta1=0.0,
        d_lr=0.02, cutmix=0.0,
    ),
    r3gan=dict(
        family="r3gan", net="modern", g_layers=[5, 4, 3], d_layers=[3, 4, 5], g_norm="none", d_norm="none",
        loss="relativistic", penalty="r1+r2", penalty_weight=1.5, beta1=0.0, beta2=0.99,
    ),
)

if __name__ == "__main__":
    for name, changes in CASES.items():
        run(name, BASE | changes)
