"""Golden file for crates/pinxit/tests/it/metrics.rs: likeness of pairs of pictures.

Requirements: scikit-image==0.26.0 pytorch-msssim==1.0.0 numpy==2.4.6 torch==2.15.0
Run: python oracle/pairs.py
Writes oracle/golden/pairs.json: for each pair of the pictures that `pair` makes its height, width and channels, and
PSNR and SSIM of scikit-image, SSIM of pytorch-msssim, MS-SSIM of pytorch-msssim with as many scales as fit.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim, ssim
from pytorch_msssim.ssim import _fspecial_gauss_1d, _ssim
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


# Sides that halve: pytorch-msssim pads odd ones, the paper cuts them off.
SIZES = [(176, 176, 1), (48, 64, 3), (28, 28, 1), (11, 12, 1)]


def pair(height, width, channels):
    """Curved stripes, and the same paler with noise, in whole numbers so that any language makes them."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    a = (x * x + 3 * x * y + 40 * y + 700 * c) // 16 % 256
    index = (y * width + x) * channels + c
    noise = (index * 2654435761 % 2**32 >> 20) % 25 - 12
    b = np.clip(a * 4 // 5 + 20 + noise, 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


def main():
    golden = []
    for h, w, c in SIZES:
        a, b = pair(h, w, c)
        kwargs = dict(data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2)
        ta, tb = (torch.from_numpy(p.astype(np.float64)).permute(2, 0, 1)[None] for p in (a, b))
        scales = sum(min(h, w) // 2**s >= 11 for s in range(5))
        weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
        golden.append({
            "shape": [h, w, c],
            "scales": scales,
            "psnr": float(peak_signal_noise_ratio(a, b, data_range=255)),
            "ssim": [float(structural_similarity(a, b, **kwargs)), ssim(ta, tb, data_range=255).item()],
            "ms_ssim": multi(ta, tb, weights),
        })
    text = json.dumps(golden, indent=1)
    (Path(__file__).parent / "golden" / "pairs.json").write_text(text + "\n")
    print(text)


def multi(a, b, weights):
    """ms_ssim of pytorch-msssim; for sizes that it refuses, the same from its `_ssim` of each scale."""
    if min(a.shape[2:]) > 160 and len(weights) == 5:
        return ms_ssim(a, b, data_range=255).item()
    win = _fspecial_gauss_1d(11, 1.5).repeat([a.shape[1], 1, 1, 1]).to(a.dtype)
    product = 1
    for i, weight in enumerate(weights):
        per_channel, cs = _ssim(a, b, win=win, data_range=255, size_average=False)
        value = per_channel if i == len(weights) - 1 else cs
        product = product * torch.relu(value) ** weight
        a, b = (F.avg_pool2d(p, 2) for p in (a, b))
    return product.mean().item()


main()
