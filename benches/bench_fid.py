"""Two folders of pictures to their scores: Pinxit beside torch-fidelity, with the same weights, in turn in one run.

Requirements: those of oracle/inception.py
Run: python oracle/inception.py weights.pth; VENV/bin/python benches/bench_fid.py target/release/pinxit weights.pth [COUNT]
COUNT pictures of 64x64 on either side (default 500), as PNG. FID, KID, Inception Score, precision and recall of both.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch_fidelity
from PIL import Image

binary, weights = sys.argv[1:3]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 500


def make(folder, seed):
    folder.mkdir()
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:64] / 12
    for i in range(COUNT):
        a, b, c = rng.normal(0, 1, 3)
        plane = 128 + 90 * np.sin(a * x + b * y + c)
        levels = np.stack([plane, plane[::-1], plane[:, ::-1]], -1) + rng.normal(0, 10 + seed, (64, 64, 3))
        Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).save(folder / f"{i:05}.png")


def pinxit(a, b, cache):
    begin = time.perf_counter()
    out = subprocess.run([binary, "score", str(a), "--against", str(b), "--inception", weights, "--json", "-q"],
                         check=True, capture_output=True, text=True, env=os.environ | {"PINXIT_CACHE": cache}).stdout
    seconds = time.perf_counter() - begin
    return {score["name"]: score["value"] for score in json.loads(out)["scores"]}["FID"], seconds


def fidelity(a, b):
    begin = time.perf_counter()
    scores = torch_fidelity.calculate_metrics(
        input1=str(a), input2=str(b), cuda=False, fid=True, kid=True, isc=True, prc=True, batch_size=64, cache=False,
        kid_subset_size=min(1000, COUNT), feature_extractor="inception-v3-compat", verbose=False,
        feature_extractor_weights_path=weights,
    )
    return scores["frechet_inception_distance"], time.perf_counter() - begin


torch.set_num_threads(os.cpu_count())
with tempfile.TemporaryDirectory() as folder:
    a, b = Path(folder) / "a", Path(folder) / "b"
    make(a, 0), make(b, 1)
    ours, theirs = pinxit(a, b, folder), fidelity(a, b)
    for name, (distance, seconds) in (("pinxit", ours), ("torch-fidelity", theirs)):
        print(f"{name:16} FID {distance:.7g}  {seconds:.1f} s for {COUNT} and {COUNT} pictures")
    print(f"torch-fidelity takes {theirs[1] / ours[1]:.2f} times as long")
