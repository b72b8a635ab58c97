"""Golden file for crates/pinxit/src/metrics/extract/tests.rs: torch-fidelity's Inception network and clean-fid's resize.

Requirements: torch-fidelity==0.4.0 clean-fid==0.1.35 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 pillow==13.0.0
              safetensors==0.8.0
Run: python oracle/inception.py [FILE.pth]
The real weights can't be had without a network and weigh 96 MB, so both languages draw the same ones: convolutions
are He-normal from NumPy's RandomState(1), in the order of the state dict, and `fc.weight` is randn * 0.02; what the
batch normalisations remember is that of one pass in train mode and is in the golden file. With FILE.pth, the whole
state dict is written there as well, for comparing end to end.
Writes oracle/golden/inception.safetensors:
  bn/NAME.running_mean, bn/NAME.running_var
  features [N, 2048], logits [N, 1008]   of the pictures that `picture` makes, by torch-fidelity
  clean [N, 2048]                        the same after clean-fid's resize
  tf1/I, bicubic/I [3, 299, 299]         every 131st value of picture I resized, by either
and oracle/golden/inception_shapes.txt, the names and shapes of the convolutions.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from cleanfid.resize import make_resizer
from safetensors.numpy import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

# height, width, channels
SIZES = [(32, 32, 3), (28, 28, 1), (75, 50, 3), (299, 299, 3), (320, 411, 3), (64, 64, 3)]


def picture(index, height, width, channels):
    """Curved stripes with noise, in whole numbers so that any language makes them."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    stripes = (x * x * (1 + index % 3) + (3 + index % 5) * x * y + (40 + 7 * index) * y + 700 * c) // 16 % 256
    place = ((y * width + x) * channels + c + 1000 * index).astype(np.uint64)
    noise = (place * 2654435761 % 2**32 >> 20).astype(np.int64) % 97
    image = np.clip(stripes * 5 // 8 + noise, 0, 255).astype(np.uint8)
    return np.repeat(image, 3, axis=2) if channels == 1 else image


def network():
    names = ["2048", "logits_unbiased"]
    original = torch.load
    torch.load = lambda *a, **k: None
    FeatureExtractorInceptionV3.load_state_dict, real = lambda self, state: None, FeatureExtractorInceptionV3.load_state_dict
    net = FeatureExtractorInceptionV3("inception-v3-compat", names, feature_extractor_weights_path="none")
    FeatureExtractorInceptionV3.load_state_dict, torch.load = real, original
    state = net.state_dict()
    rng = np.random.RandomState(1)
    for name, tensor in state.items():
        if name.endswith("conv.weight"):
            fan_in = tensor[0].numel()
            tensor.copy_(torch.from_numpy(rng.randn(*tensor.shape) * np.sqrt(2 / fan_in)))
        elif name == "fc.weight":
            tensor.copy_(torch.from_numpy(rng.randn(*tensor.shape) * 0.02))
        elif name == "fc.bias":
            tensor.zero_()
    net.load_state_dict(state)
    return net


def tf1(image):
    x = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    return interpolate_bilinear_2d_like_tensorflow1x(x, size=(299, 299), align_corners=False)


def main():
    net = network()
    images = [picture(i, *size) for i, size in enumerate(SIZES)]
    warm = [picture(i, *SIZES[i % len(SIZES)]) for i in range(12)]
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the statistics of the one pass
            module.reset_running_stats()
            module.train()
    features_of_floats(net, torch.cat([tf1(image) for image in warm]))
    net.eval()
    golden = {}
    for name, tensor in net.state_dict().items():
        if "running" in name:
            golden["bn/" + name] = tensor.numpy()
    outputs = [net(torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()) for image in images]
    golden["features"] = torch.cat([o[0] for o in outputs]).numpy()
    golden["logits"] = torch.cat([o[1] for o in outputs]).numpy()
    resize = make_resizer("PIL", False, "bicubic", (299, 299))
    clean = []
    for i, image in enumerate(images):
        resized = resize(image)
        golden[f"tf1/{i}"] = tf1(image)[0].numpy().reshape(-1)[::131].copy()
        golden[f"bicubic/{i}"] = resized.transpose(2, 0, 1).reshape(-1)[::131].copy()
        # clean-fid's network takes pictures that have its size already; TF1's resize of those changes nothing.
        x = torch.from_numpy(resized.transpose(2, 0, 1).copy()).float()[None]
        clean.append(features_of_floats(net, x))
    golden["clean"] = torch.cat(clean).numpy()
    f = golden["features"]
    print("std over pictures", f.std(0).mean(), "mean", f.mean())
    save_file({n: np.ascontiguousarray(a.astype(np.float32)) for n, a in golden.items()},
              Path(__file__).parent / "golden" / "inception.safetensors")
    shapes = [(n.removesuffix(".conv.weight"), t.shape) for n, t in net.state_dict().items() if n.endswith("conv.weight")]
    text = "".join(" ".join([name, *map(str, shape)]) + "\n" for name, shape in shapes)
    (Path(__file__).parent / "golden" / "inception_shapes.txt").write_text(text)
    if len(sys.argv) > 1:
        torch.save(net.state_dict(), sys.argv[1])
        torch.save(net.state_dict(), sys.argv[1] + ".legacy", _use_new_zipfile_serialization=False)


def features_of_floats(net, x):
    """pool3 of pictures that are not whole numbers, which the extractor itself refuses."""
    import torch_fidelity.feature_extractor_inceptionv3 as module

    keep, module.vassert = module.vassert, lambda *a: None
    try:
        return net(x)[0]
    finally:
        module.vassert = keep


main()
