"""Scores two folders of pictures with torch-fidelity, clean-fid and pinxit, and prints them side by side.

Requirements: those of inception.py, scipy==1.17.1
Run: python oracle/inception.py weights.pth; python oracle/end_to_end.py target/release/pinxit weights.pth FOLDER [COUNT]
Makes COUNT pictures (default 60) of several sizes, a fifth of them grey, as PNG in FOLDER/a and as JPEG, with whole and
halved colour planes, in one scan and progressive, in FOLDER/b; leaves what is there. Both sets have fewer pictures than
the network has features. Fails beyond the gates: FID, KID and Inception Score 1e-4, precision and recall equal.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

binary, weights, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
COUNT = int(sys.argv[4]) if len(sys.argv) > 4 else 60
SIZES = [(64, 64), (48, 75), (299, 299), (320, 200), (31, 33)]


def make(path, seed, suffix):
    if path.exists():
        return
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(COUNT):
        h, w = SIZES[i % len(SIZES)]
        y, x = np.mgrid[0:h, 0:w] / 20
        a, b, c, d = rng.normal(0, 1, 4)
        planes = [128 + 60 * np.sin(a * x + b * y + k) + 40 * np.sin(c * x * y / 4 + d) for k in range(3)]
        levels = np.stack(planes, -1) + rng.normal(0, 12, (h, w, 3)) * (1 + seed)
        image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
        if i % 5 == 4:
            image = image.convert("L")
        lossy = {"quality": 92 - i % 20, "subsampling": i % 3, "progressive": i % 2 == 1}
        image.save(path / f"{i:05}.{suffix}", **(lossy if suffix == "jpg" else {}))


def fidelity(a, b):
    import torch_fidelity

    begin = time.time()
    scores = torch_fidelity.calculate_metrics(
        input1=str(a), input2=str(b), cuda=False, fid=True, kid=True, isc=True, prc=True, batch_size=1, cache=False,
        kid_subset_size=min(1000, COUNT), feature_extractor="inception-v3-compat", verbose=False,
        feature_extractor_weights_path=weights, samples_find_deep=False,
    )
    return {
        "FID": scores["frechet_inception_distance"],
        "KID": scores["kernel_inception_distance_mean"],
        "IS": scores["inception_score_mean"],
        "precision": scores["precision"],
        "recall": scores["recall"],
        "seconds": time.time() - begin,
    }


def clean(a, b):
    """clean-fid's resize and distance with the same weights, in place of the ones that it downloads."""
    from cleanfid.fid import frechet_distance
    from cleanfid.resize import make_resizer
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    import torch_fidelity.feature_extractor_inceptionv3 as module

    net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=weights)
    module.vassert = lambda *_: None  # pictures that are not whole numbers
    resize = make_resizer("PIL", False, "bicubic", (299, 299))

    def statistics(path):
        rows = []
        for file in sorted(path.iterdir()):
            x = resize(np.array(Image.open(file).convert("RGB")))
            rows.append(net(torch.from_numpy(x.transpose(2, 0, 1).copy()).float()[None])[0].numpy())
        rows = np.concatenate(rows)
        return rows.mean(0), np.cov(rows, rowvar=False)

    (m1, s1), (m2, s2) = statistics(a), statistics(b)
    return {"FID": float(frechet_distance(m1, s1, m2, s2))}


def pinxit(a, b, *more):
    begin = time.time()
    out = subprocess.run([binary, "score", str(a), "--against", str(b), "--inception", weights, "--json", "-q", *more],
                         check=True, capture_output=True, text=True).stdout
    scores = {score["name"]: score["value"] for score in json.loads(out)["scores"]}
    return scores | {"seconds": time.time() - begin}


def compare(name, ours, theirs, gates):
    failed = False
    for key, value in theirs.items():
        relative = abs(ours[key] - value) / max(abs(value), 1e-30)
        gate = gates.get(key, np.inf)
        failed |= relative > gate
        print(f"{name:16} {key:10} {ours[key]:14.7g} {value:14.7g} {relative:9.1e}{' BEYOND' if relative > gate else ''}")
    return failed


GATES = {"FID": 1e-4, "KID": 1e-4, "IS": 1e-4, "precision": 1e-6, "recall": 1e-6}

torch.set_num_threads(2)
a, b = folder / "a", folder / "b"
make(a, 0, "png")
make(b, 1, "jpg")
failed = compare("torch-fidelity", pinxit(a, b), fidelity(a, b), GATES)
failed |= compare("clean-fid", pinxit(a, b, "--resize", "clean"), clean(a, b), GATES)
sys.exit(failed)
