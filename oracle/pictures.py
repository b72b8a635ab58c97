"""Golden files for crates/pinxit/tests/it/data: pictures in odd formats, and what Pillow reads in them.

Requirements: pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0
Run: python oracle/pictures.py
Writes oracle/golden/pictures/* and oracle/golden/pictures.safetensors: FILE -> [H, W, C], upright
and of the mode that the file has (palettes resolved).
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file

GOLDEN = Path(__file__).parent / "golden"
SIDE = 24


def smooth(channels, low=0, high=255):
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    planes = [x, y, (x + y) / 2, 1 - x * y][:channels]
    return np.round(low + (high - low) * np.stack(planes, -1)).astype(np.uint8)


def main():
    folder = GOLDEN / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    rgb = Image.fromarray(smooth(3))
    grey = Image.fromarray(smooth(1)[:, :, 0])
    rgba = Image.fromarray(smooth(4))
    palette = rgb.quantize(16, dither=Image.Dither.NONE)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "baseline.jpg": (rgb, {"quality": 95, "subsampling": 0}),
        "progressive.jpg": (rgb, {"quality": 95, "progressive": True, "subsampling": 0}),
        "restart.jpg": (rgb, {"quality": 95, "restart_marker_rows": 1, "subsampling": 0}),
        "grey.jpg": (grey, {"quality": 95}),
        "halved.jpg": (rgb, {"quality": 75, "subsampling": 2}),
        "halved_columns.jpg": (rgb, {"quality": 75, "subsampling": 1}),
        "halved_progressive.jpg": (rgb, {"quality": 75, "progressive": True, "subsampling": 2}),
        "cmyk.jpg": (rgb.convert("CMYK"), {"quality": 95}),
        "turned.jpg": (rgb, {"quality": 95, "exif": exif, "subsampling": 0}),
        "palette.png": (palette, {}),
        "transparent_palette.png": (palette, {"transparency": 3}),
        "one_bit.png": (grey.convert("1", dither=Image.Dither.NONE), {}),
        "grey_alpha.png": (rgba.convert("LA"), {}),
        "turned.png": (rgb, {"exif": exif}),
        "lossy.webp": (rgb, {"quality": 95}),
        "lossless.webp": (rgba, {"lossless": True, "exact": True}),
        "animated.webp": (rgba, {"lossless": True, "exact": True, "save_all": True, "append_images": [rgba.rotate(90)]}),
        "interlaced.gif": (palette, {"interlace": 1}),
        "palette.bmp": (palette, {}),
        "lzw.tiff": (rgb, {"compression": "tiff_lzw"}),
        "deflate.tiff": (rgba, {"compression": "tiff_adobe_deflate"}),
        "packbits.tiff": (grey, {"compression": "packbits"}),
        "cmyk.tiff": (rgb.convert("CMYK"), {}),
    }
    golden = {}
    for name, (image, options) in files.items():
        path = folder / name
        image.save(path, **options)
        read = ImageOps.exif_transpose(Image.open(path))
        if read.mode == "P":
            read = read.convert("RGBA" if "transparency" in read.info else "RGB")
        if read.mode == "1":
            read = read.convert("L")
        if read.mode == "CMYK":
            read = read.convert("RGB")
        array = np.asarray(read)
        golden[name] = np.ascontiguousarray(array.reshape(read.height, read.width, -1))
    save_file(golden, GOLDEN / "pictures.safetensors")


main()
