"""pool3 features to FID: Pinxit beside NumPy's covariance and SciPy's sqrtm, in turn in one run.

Run: cargo build --release --workspace --example frechet_speed; VENV/bin/python benches/bench_frechet.py [COUNT]
COUNT rows of 2048 features on either side (default 3000), drawn with falling variances as those of real pictures have.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.linalg import sqrtm

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
ROUNDS = 2

rng = np.random.default_rng(0)
scale = np.exp(-np.arange(2048) / 400)
mix = rng.normal(0, 1, (2048, 2048)) / 2048**0.5
sets = [((rng.normal(0, 1, (COUNT, 2048)) * scale + shift) @ mix).astype(np.float32) for shift in (0, 0.05)]


def scipy():
    begin = time.perf_counter()
    (m1, s1), (m2, s2) = [(x.mean(0), np.cov(x, rowvar=False)) for x in (x.astype(np.float64) for x in sets)]
    moments = time.perf_counter() - begin
    distance = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2) - 2 * np.trace(sqrtm(s1 @ s2).real)
    return distance, moments, time.perf_counter() - begin - moments


with tempfile.TemporaryDirectory() as folder:
    files = [str(Path(folder) / f"{i}.f32") for i in range(2)]
    for file, rows in zip(files, sets):
        rows.tofile(file)
    for _ in range(ROUNDS):
        out = subprocess.run(["target/release/examples/frechet_speed", *files], check=True, capture_output=True, text=True)
        ours = [float(word) for word in out.stdout.split()]
        theirs = scipy()
        for name, (distance, moments, root) in (("pinxit", ours), ("scipy", theirs)):
            print(f"{name:8} FID {distance:.9g}  moments {moments:.2f} s  distance {root:.2f} s")
        print(f"ratio {sum(theirs[1:]) / sum(ours[1:]):.1f}, of the distance alone {theirs[2] / ours[2]:.1f}")
