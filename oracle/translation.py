"""Golden files of pictures to pictures: one whole step of pix2pix, of CycleGAN, of SRGAN and of fast style transfer.

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
    """Zhu et al. 2017, section 7.2, with ends of 7 pixels; of 9 in Johnson et al. 2016."""

    def __init__(self, inputs, outputs, width, blocks, ends=7, nearest=False):
        super().__init__()
        self.enter, self.leave = nn.Conv2d(inputs, width, ends), nn.Conv2d(width, outputs, ends)
        self.border = ends // 2
        self.downs = nn.ModuleList(nn.Conv2d(width << i, width << (i + 1), 3, 2, 1) for i in range(2))
        self.blocks = nn.ModuleList(ResnetBlock(4 * width) for _ in range(blocks))
        ups = [(width << (i + 1), width << i) for i in (1, 0)]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(*up, 3, 2, 1, output_padding=1) for up in ups if not nearest)
        self.upsamplers = nn.ModuleList(nn.Conv2d(*up, 3, 1, 1) for up in ups if nearest)

    def forward(self, x):
        pad, norm = nn.ReflectionPad2d(self.border), lambda x: F.relu(F.instance_norm(x))
        x = norm(self.enter(pad(x)))
        for down in self.downs:
            x = norm(down(x))
        for block in self.blocks:
            x = block(x)
        for up in self.ups:
            x = norm(up(x))
        for up in self.upsamplers:
            x = norm(up(F.interpolate(x, scale_factor=2, mode="nearest")))
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


class Vgg(nn.Module):
    """The convolutions of Simonyan and Zisserman 2015 as torchvision numbers them, for pictures in [-1, 1]."""

    def __init__(self, blocks):
        super().__init__()
        layers, before, self.ends = [], 3, []
        for i, (convs, width) in enumerate(blocks):
            layers += [nn.MaxPool2d(2)] if i else []
            for _ in range(convs):
                layers += [nn.Conv2d(before, width, 3, 1, 1), nn.ReLU()]
                before = width
            self.ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        mean, deviation = (torch.tensor(v, dtype=x.dtype).view(1, 3, 1, 1) for v in
                           ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        x, made = ((x + 1) / 2 - mean) / deviation, []
        for i, layer in enumerate(self.features):
            x = layer(x)
            made += [x] if i in self.ends else []
        return made


def gram(features):
    """Johnson et al. 2016, eq. 3."""
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0].numel()


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
    def __init__(self, name, family, settings, shapes, g, d, buffers=False, beta1=0.5, seed=None):
        self.name, self.family, self.settings = name, family, settings
        self.lr, self.betas = LR, (beta1, 0.999)
        generator = torch.Generator().manual_seed(sum(map(ord, seed or name)))
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

    def frozen(self, network):
        """A loss network with random weights, which the file holds under phi/."""
        randomise(network, torch.Generator().manual_seed(sum(map(ord, self.name)) + 1))
        self.tensors |= {f"phi/{k}": p.detach().clone() for k, p in network.named_parameters()}
        return network.double().requires_grad_(False)

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


def srgan(name, seed, channels, blocks, **more):
    settings = dict(scale=4, width=3, blocks=2, content="mse", adversarial=0.05, d_width=2, **more)
    g, d = SrResnet(channels, 3, 2, [2, 2]), SrJudge(channels, 2)
    shapes = [(3, channels, 8, 8), (3, channels, 8, 8)]
    # Seeds with which no gradient of D is so near 0 that rounding decides the sign of Adam's first step, which G then sees.
    case = Case(name, "srgan", settings, shapes, [("", g)], [("", d)], buffers=True, beta1=0.9, seed=seed)
    phi = case.frozen(Vgg(blocks)) if blocks else None
    del case.tensors["inputs"]
    small = F.interpolate(case.y, scale_factor=0.25, mode="bicubic", antialias=True)
    ones, bce = torch.ones_like, F.binary_cross_entropy_with_logits
    made = g(small)
    real, fake = d(case.y), d(made.detach())
    d_loss = bce(real, ones(real)) + bce(fake, 0 * fake)
    case.step("d", case.d, d_loss, case.g)
    verdict = d(made)
    content, game = F.mse_loss(made, case.y), bce(verdict, ones(verdict))
    losses = dict(loss=content, g_loss=game, d_loss=d_loss)
    if phi:
        # Ledig et al. 2017, eq. 5, of the last layer.
        losses["features"] = F.mse_loss(phi(made)[-1], phi(case.y)[-1])
        content = settings["pixel"] * content + settings["feature"] * losses["features"]
        losses["loss"] = content
    case.step("g", case.g, content + settings["adversarial"] * game, case.d)
    case.write(losses)


def style():
    weights = dict(content_weight=300.0, style_weight=10.0, tv_weight=1.0)
    settings = dict(width=3, blocks=1, style_size=20, **weights)
    g = Resnet(3, 3, 3, 1, ends=9, nearest=True)
    shapes = [(1, 3, 12, 20), (2, 3, 16, 20)]
    case = Case("style", "style", settings, shapes, [("forward.Resnet.", g)], [], beta1=0.9)
    phi = case.frozen(Vgg([(2, 4), (1, 6), (3, 5), (1, 7)]))
    # A file of 8 bits holds it without rounding.
    picture = ((case.x + 1) * 127.5).round() / 127.5 - 1
    del case.tensors["inputs"]
    x, y = case.y, g(case.y)
    of_x, of_y, of_style = phi(x), phi(y), phi(picture)
    content = F.mse_loss(of_y[2], of_x[2])
    grams = [gram(layer) for layer in of_style[:4]]
    case.tensors |= {"picture": picture} | {f"gram/{i}": g for i, g in enumerate(grams)}
    style = sum(((gram(a) - b) ** 2).sum((1, 2)).mean() for a, b in zip(of_y, grams))
    down, right = y[:, :, 1:] - y[:, :, :-1], y[..., 1:] - y[..., :-1]
    tv = ((down**2).sum() + (right**2).sum()) / y.numel()
    loss = sum(settings[k] * v for k, v in zip(weights, (content, style, tv)))
    case.step("g", case.g, loss, case.d)
    case.write(dict(loss=loss, content=content, style=style, tv=tv))


if __name__ == "__main__":
    pix2pix()
    srgan("srgan", "sr", 2, [])
    srgan("srgan_features", "srgan_features", 3, [(2, 4), (1, 6), (2, 5)], pixel=0.7, feature=100.0)
    cyclegan()
    style()
