"""Golden files of pictures to pictures: one whole step of pix2pix, of CycleGAN and of SRGAN.

The networks are written anew with PyTorch's layers after the papers, pix2pix's with `BatchNorm2d` on a batch of one
picture as its authors have it, the losses are PyTorch's, and everything runs in double precision. A golden file holds
the pictures, the weights before under Pinxit's names, and what a step makes of them: losses, gradients, weights.

Requirements: safetensors==0.8.0 torch==2.15.0
"""

import itertools
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

GOLDEN = Path(__file__).parent / "golden"
LR = 0.01


class Unet(nn.Module):
    """Isola et al. 2017, section 6.1.1, as blocks in blocks."""

    def __init__(self, inputs, outputs, width, depth):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(depth)]
        befores = [inputs, *widths]
        inner = range(1, depth - 1)
        self.downs = nn.ModuleList(
            nn.Conv2d(befores[i], widths[i], 4, 2, 1, bias=i not in inner) for i in range(depth)
        )
        self.down_norms = nn.ModuleList(nn.BatchNorm2d(widths[i]) if i in inner else nn.Identity() for i in range(depth))
        ups, norms = [], []
        for level in reversed(range(depth)):
            into = widths[level] * (1 if level == depth - 1 else 2)
            after = outputs if level == 0 else widths[level - 1]
            ups.append(nn.ConvTranspose2d(into, after, 4, 2, 1, bias=level == 0))
            if level:
                norms.append(nn.BatchNorm2d(after))
        self.ups, self.up_norms, self.depth = nn.ModuleList(ups), nn.ModuleList(norms), depth

    def block(self, x, level):
        h = self.down_norms[level](self.downs[level](F.leaky_relu(x, 0.2) if level else x))
        if level < self.depth - 1:
            h = self.block(h, level + 1)
        y = self.ups[self.depth - 1 - level](F.relu(h))
        if level == 0:
            return torch.tanh(y)
        return torch.cat([x, self.up_norms[self.depth - 1 - level](y)], 1)

    def forward(self, x):
        return self.block(x, 0)


class ResnetBlock(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv_1, self.conv_2 = nn.Conv2d(n, n, 3), nn.Conv2d(n, n, 3)

    def forward(self, x):
        pad, norm = nn.ReflectionPad2d(1), nn.InstanceNorm2d(self.conv_1.out_channels)
        return x + norm(self.conv_2(pad(F.relu(norm(self.conv_1(pad(x)))))))


class Resnet(nn.Module):
    """Zhu et al. 2017, section 7.2."""

    def __init__(self, inputs, outputs, width, blocks):
        super().__init__()
        self.enter, self.leave = nn.Conv2d(inputs, width, 7), nn.Conv2d(width, outputs, 7)
        self.downs = nn.ModuleList(nn.Conv2d(width << i, width << (i + 1), 3, 2, 1) for i in range(2))
        self.blocks = nn.ModuleList(ResnetBlock(4 * width) for _ in range(blocks))
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(width << (i + 1), width << i, 3, 2, 1, output_padding=1) for i in (1, 0)
        )

    def forward(self, x):
        pad, norm = nn.ReflectionPad2d(3), lambda x: F.relu(F.instance_norm(x))
        x = norm(self.enter(pad(x)))
        for down in self.downs:
            x = norm(down(x))
        for block in self.blocks:
            x = block(x)
        for up in self.ups:
            x = norm(up(x))
        return torch.tanh(self.leave(pad(x)))


class Patches(nn.Module):
    """Isola et al. 2017, section 6.1.2, for patches of 16 pixels (one halving) or 34 (two)."""

    def __init__(self, inputs, width, halvings, norm):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(halvings + 1)] + [1]
        batch = norm is nn.BatchNorm2d
        convs, norms = [], []
        for i, after in enumerate(widths):
            inner = 0 < i < len(widths) - 1
            before = widths[i - 1] if i else inputs
            convs.append(nn.Conv2d(before, after, 4, 2 if i < halvings else 1, 1, bias=not (inner and batch)))
            norms.append(norm(after) if inner else nn.Identity())
        self.convs, self.norms = nn.ModuleList(convs), nn.ModuleList(norms)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = norm(conv(x))
            x = F.leaky_relu(x, 0.2) if i < len(self.convs) - 1 else x
        return x


class SrBlock(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv_1, self.conv_2 = (nn.Conv2d(n, n, 3, 1, 1, bias=False) for _ in range(2))
        self.norm_1, self.norm_2, self.activation = nn.BatchNorm2d(n), nn.BatchNorm2d(n), nn.PReLU()

    def forward(self, x):
        return x + self.norm_2(self.conv_2(self.activation(self.norm_1(self.conv_1(x)))))


class SrResnet(nn.Module):
    """Ledig et al. 2017, figure 4."""

    def __init__(self, channels, n, blocks, factors):
        super().__init__()
        self.enter, self.enter_activation = nn.Conv2d(channels, n, 9, 1, 4), nn.PReLU()
        self.blocks = nn.ModuleList(SrBlock(n) for _ in range(blocks))
        self.bridge, self.bridge_norm = nn.Conv2d(n, n, 3, 1, 1, bias=False), nn.BatchNorm2d(n)
        self.ups = nn.ModuleList(nn.Conv2d(n, n * f * f, 3, 1, 1) for f in factors)
        self.up_activations = nn.ModuleList(nn.PReLU() for _ in factors)
        self.leave, self.factors = nn.Conv2d(n, channels, 9, 1, 4), factors

    def forward(self, x):
        first = h = self.enter_activation(self.enter(x))
        for block in self.blocks:
            h = block(h)
        h = first + self.bridge_norm(self.bridge(h))
        for up, activation, factor in zip(self.ups, self.up_activations, self.factors):
            h = activation(F.pixel_shuffle(up(h), factor))
        return self.leave(h)


class SrJudge(nn.Module):
    """Ledig et al. 2017, figure 4, for pictures of 8 pixels: three halvings."""

    def __init__(self, channels, n):
        super().__init__()
        shapes = [(channels, n, 1), (n, n, 2), (n, 2 * n, 1), (2 * n, 2 * n, 2), (2 * n, 4 * n, 1), (4 * n, 4 * n, 2)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, s, 1, bias=i == 0) for i, (a, b, s) in enumerate(shapes))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) if i else nn.Identity() for i, (_, b, _) in enumerate(shapes))
        self.hidden, self.verdict = nn.Linear(4 * n, 1024), nn.Linear(1024, 1)

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        return self.verdict(F.leaky_relu(self.hidden(x.flatten(1)), 0.2))


def randomise(module, generator):
    with torch.no_grad():
        for name, p in module.named_parameters():
            fan = max(p[0].numel(), 1) if p.dim() > 1 else 4
            p.copy_(torch.randn(p.shape, generator=generator) / fan**0.5)
            if p.dim() == 1 and "norm" in name and name.endswith("weight"):
                p.add_(1.0)


def named(prefixes, of):
    """What `of` gives of each parameter, under Pinxit's names."""
    return {f"{prefix}{k}": of(p).detach().clone() for prefix, m in prefixes for k, p in m.named_parameters()}


class Case:
    def __init__(self, name, family, settings, shapes, g, d, buffers=False, lr=LR, beta1=0.5):
        self.name, self.family, self.settings = name, family, settings
        self.lr, self.betas = lr, (beta1, 0.999)
        generator = torch.Generator().manual_seed(sum(map(ord, name)))
        for _, module in g + d:
            randomise(module, generator)
        self.g, self.d = g, d
        self.tensors = named([(f"g/{p}", m) for p, m in g] + [(f"d/{p}", m) for p, m in d], lambda p: p)
        if buffers:
            for player, prefixes in (("g", g), ("d", d)):
                for prefix, module in prefixes:
                    for k, v in module.named_buffers():
                        if not k.endswith("num_batches_tracked"):
                            self.tensors[f"{player}/{prefix}{k}"] = v.detach().clone()
        x, y = (torch.rand(shape, generator=generator) * 2 - 1 for shape in shapes)
        self.tensors |= {"inputs": x, "images": y}
        for _, module in g + d:
            module.double().train()
        self.x, self.y = x.double(), y.double()

    def step(self, player, prefixes, loss, others):
        parameters = itertools.chain(*(m.parameters() for _, m in prefixes))
        optimizer = torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=1e-8)
        for _, module in prefixes + others:
            module.zero_grad()
        loss.backward()
        named_as = [(f"{player}_grad/{p}", m) for p, m in prefixes]
        self.tensors |= named(named_as, lambda p: p.grad)
        optimizer.step()
        self.tensors |= named([(f"{player}_after/{p}", m) for p, m in prefixes], lambda p: p)

    def write(self, losses):
        self.tensors |= {k: v.reshape(1) for k, v in losses.items()}
        tensors = {k: v.detach().float().contiguous() for k, v in self.tensors.items()}
        metadata = dict(family=json.dumps(self.family), settings=json.dumps(self.settings), lr=json.dumps(self.lr))
        save_file(tensors, GOLDEN / f"translation_{self.name}.safetensors", metadata=metadata)


def pix2pix():
    settings = dict(net="unet", width=3, depth=4, patch=16, d_width=4, dropout=0.0, l1=20.0)
    g, d = Unet(2, 3, 3, 4), Patches(5, 4, 1, nn.BatchNorm2d)
    case = Case(
        "pix2pix", "pix2pix", settings, [(1, 2, 16, 16), (1, 3, 16, 16)], [("forward.Unet.", g)], [("", d)]
    )
    fake = g(case.x)
    ones, bce = torch.ones_like, F.binary_cross_entropy_with_logits
    real_verdict, fake_verdict = d(torch.cat([case.x, case.y], 1)), d(torch.cat([case.x, fake.detach()], 1))
    d_loss = 0.5 * (bce(real_verdict, ones(real_verdict)) + bce(fake_verdict, 1 - ones(fake_verdict)))
    case.step("d", case.d, d_loss, case.g)
    verdict = d(torch.cat([case.x, fake], 1))
    game, l1 = bce(verdict, ones(verdict)), F.l1_loss(fake, case.y)
    case.step("g", case.g, game + settings["l1"] * l1, case.d)
    case.write(dict(d_loss=d_loss, g_loss=game, l1=l1))


def cyclegan():
    settings = dict(net="resnet", width=3, blocks=2, patch=34, d_width=3, cycle=10.0, identity=5.0)
    there, back = Resnet(2, 2, 3, 2), Resnet(2, 2, 3, 2)
    judge_y, judge_x = Patches(2, 3, 2, nn.InstanceNorm2d), Patches(2, 3, 2, nn.InstanceNorm2d)
    case = Case(
        "cyclegan", "cyclegan", settings, [(2, 2, 24, 20), (2, 2, 24, 20)],
        [("forward.Resnet.", there), ("backward.Resnet.", back)], [("y.", judge_y), ("x.", judge_x)],
    )
    x, y, ones = case.x, case.y, torch.ones_like
    fake_y, fake_x = there(x), back(y)
    verdict_y, verdict_x = judge_y(fake_y), judge_x(fake_x)
    game = F.mse_loss(verdict_y, ones(verdict_y)) + F.mse_loss(verdict_x, ones(verdict_x))
    cycle = F.l1_loss(back(fake_y), x) + F.l1_loss(there(fake_x), y)
    identity = F.l1_loss(there(y), y) + F.l1_loss(back(x), x)
    loss = game + settings["cycle"] * cycle + settings["identity"] * identity
    case.step("g", case.g, loss, case.d)
    halves = []
    for judge, real, fake in ((judge_y, y, fake_y.detach()), (judge_x, x, fake_x.detach())):
        real, fake = judge(real), judge(fake)
        halves.append(0.5 * (F.mse_loss(real, ones(real)) + F.mse_loss(fake, 0 * fake)))
    case.step("d", case.d, sum(halves), case.g)
    case.write(dict(g_loss=game, cycle=cycle, identity=identity, d_loss=halves[0], d_loss_back=halves[1]))


def srgan():
    settings = dict(scale=4, width=3, blocks=2, content="mse", adversarial=0.05, d_width=2)
    g, d = SrResnet(2, 3, 2, [2, 2]), SrJudge(2, 2)
    shapes = [(3, 2, 8, 8), (3, 2, 8, 8)]
    case = Case("srgan", "srgan", settings, shapes, [("", g)], [("", d)], buffers=True, lr=1e-4, beta1=0.9)
    del case.tensors["inputs"]
    small = F.interpolate(case.y, scale_factor=0.25, mode="bicubic", antialias=True)
    ones, bce = torch.ones_like, F.binary_cross_entropy_with_logits
    made = g(small)
    real, fake = d(case.y), d(made.detach())
    d_loss = bce(real, ones(real)) + bce(fake, 0 * fake)
    case.step("d", case.d, d_loss, case.g)
    verdict = d(made)
    content, game = F.mse_loss(made, case.y), bce(verdict, ones(verdict))
    case.step("g", case.g, content + settings["adversarial"] * game, case.d)
    case.write(dict(loss=content, g_loss=game, d_loss=d_loss))


if __name__ == "__main__":
    pix2pix()
    srgan()
    cyclegan()
