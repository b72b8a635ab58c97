"""Single operations with PyTorch, named and shaped as in `crates/pinxit/benches/workloads/ops.rs`."""

import statistics
import time

import torch
import torch.nn.functional as F


def median(prepare, run):
    """Median milliseconds of `run(prepare())` without `prepare`, over 0.15 s and at least 5 calls."""
    run(prepare())
    begin, times = time.perf_counter(), []
    while len(times) < 5 or time.perf_counter() - begin < 0.15:
        given = prepare()
        start = time.perf_counter()
        made = run(given)
        times.append((time.perf_counter() - start) * 1e3)
        del made, given
    return statistics.median(times)


def forward(op, make):
    def times():
        tensors = make()
        with torch.no_grad():
            return median(lambda: None, lambda _: op(*tensors))

    return times


def backward(op, make, wanted):
    """To those of the inputs that `wanted` names."""

    def times():
        tensors = make()
        leaves = [tensors[i].requires_grad_() for i in wanted]
        ones = torch.ones_like(op(*tensors))
        return median(lambda: op(*tensors), lambda y: torch.autograd.grad(y, leaves, ones))

    return times


def operations(channels_last):
    def tensor(*shape):
        x = torch.rand(*shape) * 2 - 1
        return x.contiguous(memory_format=torch.channels_last) if channels_last and x.dim() == 4 else x

    found = {}

    def trio(name, op, *shapes):
        make = lambda: [tensor(*shape) for shape in shapes]
        found[f"{name}.fwd"] = forward(op, make)
        found[f"{name}.bwd_x"] = backward(op, make, [0])
        found[f"{name}.bwd_w"] = backward(op, make, list(range(1, len(shapes))))

    def pair(name, op, *shapes):
        make = lambda: [tensor(*shape) for shape in shapes]
        found[f"{name}.fwd"] = forward(op, make)
        found[f"{name}.bwd"] = backward(op, make, list(range(len(shapes))))

    for name, rows, i, o in [
        ("linear_1024", 1024, 1024, 1024), ("linear_a1", 128, 784, 512),
        ("linear_a2", 128, 512, 256), ("linear_a3", 128, 512, 784),
    ]:
        trio(name, F.linear, (rows, i), (o, i), (o,))
    heads = (16, 4, 256, 32)
    pair("attention", F.scaled_dot_product_attention, heads, heads, heads)

    trio("conv3_32", lambda x, w: F.conv2d(x, w, None, 1, 1), (16, 64, 32, 32), (64, 64, 3, 3))
    trio("conv3_16", lambda x, w: F.conv2d(x, w, None, 1, 1), (16, 128, 16, 16), (128, 128, 3, 3))
    trio("conv4_stride2", lambda x, w: F.conv2d(x, w, None, 2, 1), (64, 64, 32, 32), (128, 64, 4, 4))
    trio("conv1", F.conv2d, (16, 128, 16, 16), (384, 128, 1, 1))
    trio("convt4_stride2", lambda x, w: F.conv_transpose2d(x, w, None, 2, 1), (64, 256, 8, 8), (256, 128, 4, 4))
    for name, kind, x, w in [
        ("masked7_a", 0, (32, 1, 28, 28), (64, 1, 7, 7)), ("masked3_b", 1, (32, 64, 28, 28), (128, 64, 3, 3)),
    ]:
        half = w[2] // 2
        mask = torch.ones(w)
        mask[:, :, half, half + kind:] = 0
        mask[:, :, half + 1:] = 0
        trio(name, lambda x, w, mask=mask, half=half: F.conv2d(x, w * mask, None, 1, half), x, w)

    x = (16, 64, 32, 32)
    pair("group_norm", lambda x, w, b: F.group_norm(x, 32, w, b), x, (64,), (64,))
    pair("group_norm_silu", lambda x, w, b: F.silu(F.group_norm(x, 32, w, b)), x, (64,), (64,))
    mean, variance = torch.zeros(64), torch.ones(64)
    batch_norm = lambda x, w, b: F.batch_norm(x, mean, variance, w, b, True)
    pair("batch_norm", batch_norm, (64, 64, 32, 32), (64,), (64,))
    pair("batch_norm_relu", lambda x, w, b: F.relu(batch_norm(x, w, b), inplace=True), (64, 64, 32, 32), (64,), (64,))
    pair("instance_norm", F.instance_norm, (8, 64, 64, 64))
    pair("layer_norm", lambda x, w, b: F.layer_norm(x, (128,), w, b), (16, 256, 128), (128,), (128,))

    for name, op in [("silu", F.silu), ("gelu", F.gelu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("relu", F.relu)]:
        pair(name, op, x)
    pair("leaky_relu", lambda x: F.leaky_relu(x, 0.2), (64, 64, 32, 32))

    def gated(x):
        a, b = x.chunk(2, 1)
        return torch.tanh(a) * torch.sigmoid(b)

    pair("gated", gated, (32, 128, 28, 28))
    pair("upsample", lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"), (16, 128, 16, 16))

    pictures = (64, 3, 64, 64)
    target = tensor(*pictures)
    pair("mse", lambda x: F.mse_loss(x, target), pictures)
    levels = torch.randint(256, (32, 28, 28))
    pair("cross_entropy", lambda x: F.cross_entropy(x, levels), (32, 256, 28, 28))

    def adam(**how):
        def times():
            parameter = torch.rand(10_000_000, requires_grad=True)
            parameter.grad = torch.rand(10_000_000)
            optimizer = torch.optim.Adam([parameter], 1e-4, **how)
            return median(lambda: None, lambda _: optimizer.step())

        return times

    # The better of the two that PyTorch has; the fused one is in the column of channels_last.
    found["adam_10m"] = adam(fused=True) if channels_last else adam()
    return found
