"""Golden losses and gradients of small autoregressive networks in PyTorch, f64, written the plain way: masks on
square kernels, recurrences pixel by pixel, paddings and shifts by hand.

Requirements: safetensors==0.8.0 torch==2.15.0
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from likelihood import logistic_nats, softmax_nats, values

GOLDEN = Path(__file__).parent / "golden" / "autoregressive.safetensors"
BATCH, COLOURS, LEVELS, HEIGHT, WIDTH, FEATURES, LAYERS, CLASSES, MIXTURES = 2, 3, 5, 4, 5, 6, 2, 2, 2
tensors = {}


class Weights(dict):
    """Random weights, made when they are first asked for."""

    def get(self, name, *shape):
        if name not in self:
            scale = 1.0 if "class" in name else (torch.tensor(shape[1:]).prod().item() or 1) ** -0.5
            self[name] = (scale * torch.randn(shape)).float().double().requires_grad_()
        return self[name]

    def conv(self, name, x, out, mask=None, kernel=(1, 1), **options):
        weight = self.get(f"{name}.weight", out, x.shape[1], *kernel)
        bias = self.get(f"{name}.bias", out)
        return F.conv2d(x, weight if mask is None else weight * mask, bias, **options)


def sums(gradient):
    flat = gradient.flatten()
    weights = torch.cos(torch.arange(len(flat), dtype=torch.float64))
    return torch.stack([flat.abs().sum(), (flat * weights).sum()])


def keep(name, weights, x, labels, nats):
    nats.sum().backward()
    found = {"x": x, "labels": labels, "nats": nats}
    found |= {f"weights/{key}": value for key, value in weights.items()}
    found |= {f"gradient_sums/{key}": sums(value.grad) for key, value in weights.items()}
    tensors.update({f"{name}/{key}": value.detach().float().contiguous() for key, value in found.items()})


def colour_mask(out, inputs, kind):
    """Channel c has colour c % COLOURS; type A sees the colours before, type B its own as well."""
    o, i = torch.arange(out)[:, None] % COLOURS, torch.arange(inputs)[None] % COLOURS
    return (i < o if kind == "A" else i <= o).double()


def raster_mask(out, inputs, kernel, kind):
    mask = torch.zeros(out, inputs, kernel, kernel).double()
    centre = kernel // 2
    mask[:, :, :centre] = 1
    mask[:, :, centre, :centre] = 1
    mask[:, :, centre, centre] = colour_mask(out, inputs, kind)
    return mask


def masked(w, name, x, out, kernel, kind):
    mask = raster_mask(out, x.shape[1], kernel, kind)
    return w.conv(name, x, out, mask, (kernel, kernel), padding=kernel // 2)


def by_colour(p):
    """Output channel c has colour c % COLOURS: all of the first colour first."""
    return torch.cat([p[:, colour::COLOURS] for colour in range(COLOURS)], 1)


def class_bias(w, name, labels, size):
    return w.get(f"{name}.weight", CLASSES, size)[labels][:, :, None, None]


def data():
    places = torch.randint(0, LEVELS, (BATCH, COLOURS, HEIGHT, WIDTH))
    return places, values(places, LEVELS), torch.tensor([1, 0])


def masked_cnn():
    w, (places, x, labels) = Weights(), data()
    y = masked(w, "conv_in", x, FEATURES, 7, "A") + class_bias(w, "class_embedding", labels, FEATURES)
    for block in range(LAYERS):
        z = y
        for number, (out, kernel) in enumerate([(FEATURES // 2, 1), (FEATURES // 2, 3), (FEATURES, 1)]):
            z = masked(w, f"blocks.{block}.convs.{number}", z.relu(), out, kernel, "B")
        y = y + z
    y = masked(w, "out.0", y.relu(), FEATURES, 1, "B")
    y = masked(w, "out.1", y.relu(), COLOURS * LEVELS, 1, "B")
    keep("masked", w, x, labels, softmax_nats(by_colour(y), places, LEVELS))


def gated_cnn():
    w, (places, x, labels) = Weights(), data()

    def gate(y):
        return y[:, :FEATURES].tanh() * y[:, FEATURES:].sigmoid()

    v = h = x
    for number in range(LAYERS + 1):
        name, first = f"layers.{number}", number == 0
        rows, columns = (3, 7) if first else (2, 3)
        # The kernel ends one row above the pixel in the first layer and in its own row afterwards.
        above = F.pad(v, (columns // 2, columns // 2, rows - (not first), 0))
        vertical = w.conv(f"{name}.vertical", above, 2 * FEATURES, kernel=(rows, columns))[:, :, :HEIGHT]
        length = 4 if first else 2
        mask = torch.ones(2 * FEATURES, h.shape[1], 1, length).double()
        mask[:, :, 0, -1] = colour_mask(2 * FEATURES, h.shape[1], "A" if first else "B")
        left = F.pad(h, (length - 1, 0, 0, 0))
        horizontal = w.conv(f"{name}.horizontal", left, 2 * FEATURES, mask, (1, length))
        horizontal = horizontal + w.conv(f"{name}.vertical_to_horizontal", vertical, 2 * FEATURES)
        if number < LAYERS:
            v = gate(vertical + class_bias(w, f"{name}.class_vertical", labels, 2 * FEATURES))
        y = gate(horizontal + class_bias(w, f"{name}.class_horizontal", labels, 2 * FEATURES))
        y = masked(w, f"{name}.horizontal_out", y, FEATURES, 1, "B")
        h = y if first else h + y
    y = masked(w, "out_1", h.relu(), FEATURES, 1, "B")
    y = masked(w, "out_2", y.relu(), COLOURS * LEVELS, 1, "B")
    keep("gated", w, x, labels, softmax_nats(by_colour(y), places, LEVELS))


def lstm(gates, cell):
    o, f, i, g = gates.chunk(4, 1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def linear_over(w, name, columns, out, kernel):
    """A convolution over a list of pixels [B, C] that stand side by side or above each other."""
    weight = w.get(f"{name}.weight", out, columns[0].shape[1], *kernel).reshape(out, -1, len(columns))
    return sum(x @ weight[:, :, i].T for i, x in enumerate(columns)) + w.get(f"{name}.bias", out)


def row_lstm(w, name, x, _):
    half, nothing = FEATURES // 2, torch.zeros(BATCH, FEATURES // 2).double()
    mask = torch.ones(4 * half, FEATURES, 1, 2).double()
    mask[:, :, 0, 1] = colour_mask(4 * half, FEATURES, "B")
    inputs = w.conv(f"{name}.Row.input_to_state", F.pad(x, (1, 0, 0, 0)), 4 * half, mask, (1, 2))
    above = [(nothing, nothing)] * WIDTH
    rows = []
    for row in range(HEIGHT):
        padded = [nothing, *(h for h, _ in above), nothing]
        state = [linear_over(w, f"{name}.Row.state_to_state", padded[c : c + 3], 4 * half, (1, 3)) for c in range(WIDTH)]
        above = [lstm(inputs[:, :, row, c] + state[c], above[c][1]) for c in range(WIDTH)]
        rows.append(torch.stack([h for h, _ in above], -1))
    return torch.stack(rows, 2)


def one_diagonal(w, name, x):
    half, nothing = FEATURES // 2, torch.zeros(BATCH, FEATURES // 2).double()
    inputs = masked(w, f"{name}.input_to_state", x, 4 * half, 1, "B")
    h, cells = {}, {}
    for row in range(HEIGHT):
        for c in range(WIDTH):
            pair = [h.get((row - 1, c), nothing), h.get((row, c - 1), nothing)]
            state = linear_over(w, f"{name}.state_to_state", pair, 4 * half, (2, 1))
            h[row, c], cells[row, c] = lstm(inputs[:, :, row, c] + state, cells.get((row, c - 1), nothing))
    return torch.stack([torch.stack([h[row, c] for c in range(WIDTH)], -1) for row in range(HEIGHT)], 2)


def diagonal_bilstm(w, name, x, right):
    left = one_diagonal(w, f"{name}.Diagonal.left", x)
    right = one_diagonal(w, f"{name}.Diagonal.right", right.flip(3)).flip(3)
    return left + F.pad(right, (0, 0, 1, 0))[:, :, :HEIGHT]


def pixel_rnn(kind, layer):
    w, (places, x, labels) = Weights(), data()
    y = masked(w, "conv_in", x, FEATURES, 7, "A") + class_bias(w, "class_embedding", labels, FEATURES)
    right = None
    if kind == "diagonal":
        # Comes a row later, so it may see all of the pixel itself.
        mask = raster_mask(FEATURES, COLOURS, 7, "B")
        mask[:, :, 3, 3] = 1
        right = w.conv("conv_in_right", x, FEATURES, mask, (7, 7), padding=3)
        right = right + class_bias(w, "class_embedding", labels, FEATURES)
    for number in range(LAYERS):
        h = layer(w, f"layers.{number}.lstm", y, y if right is None else right)
        right = None
        y = y + masked(w, f"layers.{number}.up", h, FEATURES, 1, "B")
    y = masked(w, "out.0", y.relu(), FEATURES, 1, "B")
    y = masked(w, "out.1", y.relu(), COLOURS * LEVELS, 1, "B")
    keep(kind, w, x, labels, softmax_nats(by_colour(y), places, LEVELS))


def shifted(w, name, x, out, stream, stride=1):
    """Salimans et al. 2017's code: down_shifted_conv2d (u) pads (1, 0) x (1, 1), down_right (v) (1, 0) x (1, 0)."""
    right = 1 if stream == 0 else 0
    return w.conv(name, F.pad(x, (1, right, 1, 0)), out, kernel=(2, 2 + right), stride=stride)


def concat_elu(x):
    return F.elu(torch.cat([x, -x], 1))


def gated_resnet(w, name, x, other, labels, stream):
    y = shifted(w, f"{name}.conv_1", concat_elu(x), FEATURES, stream)
    if other is not None:
        y = y + w.conv(f"{name}.shortcut", concat_elu(other), FEATURES)
    y = shifted(w, f"{name}.conv_2", concat_elu(y), 2 * FEATURES, stream)
    y = y + class_bias(w, f"{name}.class_embedding", labels, 2 * FEATURES)
    return x + y[:, :FEATURES] * y[:, FEATURES:].sigmoid()


def grow(w, name, x, stream, size):
    """down_shifted_deconv2d: transposed, cut to the size, one column off the left of a kernel of three."""
    columns = 3 if stream == 0 else 2
    weight = w.get(f"{name}.weight", FEATURES, FEATURES, 2, columns)
    y = F.conv_transpose2d(x, weight, w.get(f"{name}.bias", FEATURES), stride=2)
    cut = (columns - 1) // 2
    return y[:, :, : size[0], cut : cut + size[1]]


def plus_plus():
    w, (places, x, labels) = Weights(), data()
    x1 = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    down_shift = lambda y: F.pad(y, (0, 0, 1, 0))[:, :, :-1]
    right_shift = lambda y: F.pad(y, (1, 0, 0, 0))[:, :, :, :-1]
    # Shifting the input is shifting the output, but for the bias of the first row and column.
    u = w.conv("u_in", F.pad(down_shift(x1), (1, 1, 1, 0)), FEATURES, kernel=(2, 3))
    v = w.conv("v_in_above", F.pad(down_shift(x1), (1, 1, 0, 0)), FEATURES, kernel=(1, 3))
    v = v + w.conv("v_in_left", F.pad(right_shift(x1), (0, 0, 1, 0)), FEATURES, kernel=(2, 1))
    us, vs, sizes = [[u], []], [[v], []], []
    for level in range(2):
        if level == 1:
            sizes = u.shape[2:]
            u, v = (shifted(w, f"levels.0.shrink.{s}", y, FEATURES, s, stride=2) for s, y in enumerate([u, v]))
            us[1].append(u), vs[1].append(v)
        for layer in range(LAYERS):
            u = gated_resnet(w, f"levels.{level}.down.{layer}.0", u, None, labels, 0)
            v = gated_resnet(w, f"levels.{level}.down.{layer}.1", v, u, labels, 1)
            us[level].append(u), vs[level].append(v)
    u, v = us[1].pop(), vs[1].pop()
    for level in (1, 0):
        if level == 0:
            u, v = (grow(w, f"levels.0.grow.{s}", y, s, sizes) for s, y in enumerate([u, v]))
        for layer in range(len(us[level])):
            u = gated_resnet(w, f"levels.{level}.up.{layer}.0", u, us[level].pop(), labels, 0)
            v = gated_resnet(w, f"levels.{level}.up.{layer}.1", v, torch.cat([u, vs[level].pop()], 1), labels, 1)
    w.get("out.weight", 10 * MIXTURES, FEATURES, 1, 1).data *= 0.2  # no mass that underflows
    y = w.conv("out", F.elu(v), 10 * MIXTURES)
    keep("plus-plus", w, x, labels, logistic_nats(y, places, MIXTURES, LEVELS))


if __name__ == "__main__":
    torch.manual_seed(9)
    masked_cnn()
    gated_cnn()
    pixel_rnn("row", row_lstm)
    pixel_rnn("diagonal", diagonal_bilstm)
    plus_plus()
    save_file(tensors, GOLDEN, metadata={"torch": json.dumps(torch.__version__)})
    print({name: value.tolist() for name, value in tensors.items() if name.endswith("nats")})
