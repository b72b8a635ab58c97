"""Writes assets/patches/*.png: photographs in the public domain, as whole tiles of 64x64 hold them.

Needs: pillow==13.0.0
Input: the wheel of scikit-image 0.16.2 (`pip download --no-deps --only-binary=:all: --python-version 3.8
scikit-image==0.16.2`), which ships them.

    python oracle/patches.py WHEEL

Only photographs that `skimage/data/__init__.py` states to be CC0 or in the public domain, and no people. Those that
are JPEG files or unsharp at full size are halved, by the means of two by two pixels.
"""

import io
import sys
import zipfile
from pathlib import Path

from PIL import Image

TILE = 64
# File of the wheel: times that it shrinks.
PHOTOGRAPHS = {
    "chelsea.png": 1,
    "coffee.png": 1,
    "rocket.jpg": 2,
    "hubble_deep_field.jpg": 2,
    "brick.png": 2,
    "grass.png": 2,
    "gravel.png": 2,
}

folder = Path(__file__).parent.parent / "assets" / "patches"
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for file, shrink in PHOTOGRAPHS.items():
        photograph = Image.open(io.BytesIO(wheel.read(f"skimage/data/{file}"))).reduce(shrink)
        left, top = photograph.width % TILE // 2, photograph.height % TILE // 2
        right, bottom = (start + side // TILE * TILE for start, side in zip((left, top), photograph.size))
        path = folder / Path(file).with_suffix(".png").name
        photograph.crop((left, top, right, bottom)).save(path, optimize=True)
        print(path.name, photograph.mode, (right - left, bottom - top), path.stat().st_size)
