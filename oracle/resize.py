"""Golden files for crates/pinxit/src/data/{resize,planes}.rs: what Pillow makes of small pictures.

Requirements: pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0
Run: python oracle/resize.py
Writes oracle/golden/resize.safetensors: NAME.input and NAME.output [H, W, C] for
  crop_*       ImageOps.fit(image, size, LANCZOS)
  letterbox_*  ImageOps.pad(image, size, LANCZOS, color=255)
  deep_*       Image.resize in mode F, 16-bit values
  luma         Image.convert("L")
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# name, (height, width) from, (height, width) to
SIZES = [
    ("down", (45, 37), (16, 16)),
    ("up", (9, 12), (32, 32)),
    ("wide", (31, 40), (12, 28)),
    ("tall", (20, 64), (29, 18)),
    ("strip", (7, 90), (24, 24)),
    ("same", (16, 16), (16, 16)),
]


def picture(rng, height, width, channels):
    """Slopes, an edge and noise; alpha with holes, soft parts and solid parts."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        plane = 255 * (x / width if c % 2 else y / height)
        plane = np.where((x + c * 3) % 11 < 4, 255 - plane, plane)
        planes.append(plane + rng.normal(0, 20, (height, width)))
    if channels % 2 == 0:
        distance = np.hypot(y - height / 2, x - width / 2) / (min(height, width) / 2)
        planes[-1] = 255 * np.clip(1.6 - 1.4 * distance, 0, 1)
    return np.clip(np.round(np.stack(planes, -1)), 0, 255).astype(np.uint8)


def image_of(array):
    return Image.fromarray(array if array.shape[2] > 1 else array[:, :, 0])


def array_of(image, channels):
    return np.asarray(image).reshape(image.height, image.width, channels)


def main():
    rng = np.random.default_rng(7)
    golden = {}
    for channels, mode in MODES.items():
        for name, (h, w), (to_h, to_w) in SIZES:
            source = picture(rng, h, w, channels)
            image = image_of(source)
            assert image.mode == mode
            white = tuple([255] * channels) if channels > 1 else 255
            fitted = ImageOps.fit(image, (to_w, to_h), Image.Resampling.LANCZOS)
            padded = ImageOps.pad(image, (to_w, to_h), Image.Resampling.LANCZOS, color=white)
            for fit, output in [("crop", fitted), ("letterbox", padded)]:
                golden[f"{fit}_{name}_{mode}.input"] = source
                golden[f"{fit}_{name}_{mode}.output"] = array_of(output, channels)
    for name, (h, w), (to_h, to_w) in [("down", (40, 40), (16, 16)), ("up", (9, 9), (20, 20))]:
        y, x = np.mgrid[0:h, 0:w]
        source = np.round(32768 + 20000 * np.sin(x / 3) * np.cos(y / 4)).astype(np.uint16)
        image = Image.fromarray(source.astype(np.float32), mode="F")
        output = np.asarray(image.resize((to_w, to_h), Image.Resampling.LANCZOS))
        golden[f"deep_{name}.input"] = source[:, :, None]
        golden[f"deep_{name}.output"] = np.round(output).astype(np.uint16)[:, :, None]
    source = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    golden["luma.input"] = source
    golden["luma.output"] = array_of(Image.fromarray(source).convert("L"), 1)
    golden = {name: np.ascontiguousarray(array) for name, array in golden.items()}
    save_file(golden, Path(__file__).parent / "golden" / "resize.safetensors")


main()
