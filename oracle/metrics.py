"""Golden file for crates/pinxit/tests/it/metrics.rs: scores of features that NumPy's RandomState makes.

Requirements: torch-fidelity==0.4.0 prdc==0.2 numpy==2.4.6 scipy==1.17.1 torch==2.15.0 scikit-learn==1.9.1
Run: python oracle/metrics.py
Writes oracle/golden/metrics.json: for each case how its features are made and
  fid     torch_fidelity.metric_fid, and |m1-m2|^2 + tr(S1 + S2 - 2 sqrtm(S1 S2)) with SciPy's sqrtm
  isc     torch_fidelity.metric_isc of the first set [mean, std]
  kid     torch_fidelity.metric_kid [mean, std], in single precision as it is and in double
  prc     torch_fidelity.metric_prc of the first (generated) against the second (real), k = 3
  prdc    prdc.compute_prdc, k = 5: precision, recall, density, coverage
"""

import json
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

# name, seed, generated rows, real rows, features, scale and shift of the real ones, size and number of KID's subsets
CASES = [
    ("the fixture", 42, 512, 512, 64, 1.1, 0.2, 100, 10),
    ("fewer rows than features", 7, 40, 90, 96, 0.8, -0.1, 30, 20),
    ("odd sizes, far from 0", 3, 331, 277, 18, 1.0, 6.0, 277, 4),
]


def scipy_fid(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2)
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * root.real))


def main():
    cases = []
    for name, seed, n1, n2, d, scale, shift, size, count in CASES:
        r = np.random.RandomState(seed)
        a = r.randn(n1, d).astype(np.float32)
        b = (r.randn(n2, d) * scale + shift).astype(np.float32)
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        fid = fid_statistics_to_metric(fid_features_to_statistics(ta), fid_features_to_statistics(tb), False)
        isc = isc_features_to_metric(ta)
        subsets = dict(kid_subsets=count, kid_subset_size=size, rng_seed=2020, verbose=False)
        kid = [kid_features_to_metric(*pair, **subsets) for pair in [(ta, tb), (ta.double(), tb.double())]]
        prc = prc_features_to_metric(ta, tb, verbose=False)
        prdc = compute_prdc(real_features=b, fake_features=a, nearest_k=5)
        cases.append({
            "name": name, "seed": seed, "generated": n1, "real": n2, "width": d, "scale": scale, "shift": shift,
            "subset_size": size, "subsets": count,
            "fid": [float(*fid.values()), scipy_fid(a, b)],
            "isc": list(isc.values()),
            "kid": [list(k.values()) for k in kid],
            "prc": [prc["precision"], prc["recall"]],
            "prdc": [float(prdc[k]) for k in ("precision", "recall", "density", "coverage")],
        })
    text = json.dumps(cases, indent=1)
    (Path(__file__).parent / "golden" / "metrics.json").write_text(text + "\n")
    print(text)


main()
